"""How much the console does at once: so many requests, each for so long. Whoever comes beyond that is told to come again, at once.

Without it, requests that wait for PostgreSQL or Kafka would pile up in memory for as long as those are away.
"""

import asyncio

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.api.problems import shown

REQUESTS_MAX = 500
"""Requests that are being answered, at most; /healthz, /readyz and /metrics are answered beside them."""
REQUEST_SECONDS = 60.0
"""The longest that a request may take: more than whoever waits for an outcome may wait, and sending it may take."""
AGAIN_SECONDS = 1
"""After so long whoever was turned away may try again."""
ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
CROWDED = f"{REQUESTS_MAX} requests are being answered already, and no more are taken. Try again in {AGAIN_SECONDS} s, or later."
TOO_LONG = (
    f"It took longer than {REQUEST_SECONDS:.0f} s: PostgreSQL or Kafka keeps it waiting. What was asked may have been taken all the same: "
    "ask again with the same Idempotency-Key, and nothing happens twice."
)

log = structlog.get_logger()


class Crowd:
    """Counts those who are inside."""

    def __init__(self, app: ASGIApp) -> None:
        """`app`: what answers them."""
        self._app = app
        self.inside = 0
        """Requests that are being answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        if self.inside >= REQUESTS_MAX:
            await shown(Request(scope), 503, "crowded", CROWDED, headers={"Retry-After": f"{AGAIN_SECONDS}"})(scope, receive, send)
            return
        self.inside += 1
        try:
            await self._in_time(scope, receive, send)
        finally:
            self.inside -= 1

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(REQUEST_SECONDS) as limit:
                await self._app(scope, receive, sending)
        except TimeoutError:
            if not limit.expired() or begun:
                raise
            log.warning("took_too_long", path=scope["path"])
            await shown(Request(scope), 503, "took_too_long", TOO_LONG)(scope, receive, send)
