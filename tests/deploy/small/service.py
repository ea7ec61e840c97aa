"""The least that is a service: it logs in, says that it is ready, and ends when told."""

import asyncio
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

import asyncpg

from shared.settings import Settings


class Readiness(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(HTTPStatus.OK if self.path == "/readyz" else HTTPStatus.NOT_FOUND)
        self.end_headers()


async def log_in(dsn):
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT count(*) FROM letters") is not None
    await connection.close()


def main():
    settings = Settings()
    asyncio.run(log_in(settings.database))
    HTTPServer((settings.bind, settings.port), Readiness).serve_forever()


if __name__ == "__main__":
    main()
