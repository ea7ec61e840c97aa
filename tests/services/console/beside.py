"""A console in this process, on a running system's Kafka and database: what is asked of it can be held up where a test wants it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import httpx
from fastapi import FastAPI

from services.console.api.answers import Answers
from services.console.app import NAME, give, make_app
from shared.kafka import Kafka
from shared.machine import store
from shared.machine.figures import Figures
from shared.machine.installed import installation
from shared.machine.relay import Outlet
from shared.settings import Settings
from tests.system import System

CONNECTIONS = 3


class Wire:
    """What leads to a server, until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._ends: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """No byte goes through any more."""
        self._server.close()
        for end in self._ends:
            end.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._to)
        self._ends |= {writer, back}
        await asyncio.gather(_carry(reader, back), _carry(there, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@dataclass
class Beside:
    """The console, and what it stands on."""

    app: FastAPI
    http: httpx.AsyncClient
    database: Wire


@asynccontextmanager
async def stood_beside(system: System) -> AsyncIterator[Beside]:
    """A console that reads and asks. It projects nothing: the system's own does."""
    dsn = urlsplit(system.stack.role_dsn(NAME))
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(Wire(dsn.hostname or "", dsn.port or 0))
        login = dsn.netloc.rpartition("@")[0]
        through = urlunsplit(dsn._replace(netloc=f"{login}@127.0.0.1:{wire.port}"))
        settings = Settings(kafka=system.stack.kafka, database=through)
        app = make_app(settings, Figures(NAME))
        pool = await store.connect(settings.database, NAME, CONNECTIONS)
        stack.callback(pool.terminate)
        there = await installation(pool)
        outlet, answers = Outlet(Kafka(settings.kafka)), Answers(pool)
        stack.push_async_callback(outlet.close)
        give(app, {"pool": pool, "outlet": outlet, "generation": there.generation, "shards": there.shards, "answers": answers})
        listening = asyncio.create_task(answers.run())
        stack.callback(listening.cancel)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1"))
        yield Beside(app, http, wire)
