"""Waiting for what became of a message: the projection tells that there are new outcomes, and whoever waits looks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.console.projections.outcomes import CHANNEL
from shared.machine.patience import PASSING

LOOK_EVERY_SECONDS = 1.0
"""Should a notification be lost, the answer is found all the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message, and where its events stand."""

    message_id: UUID
    outcome: str
    service: str
    shard: int
    first: int
    last: int


class Answers:
    """One listener for all who wait."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """`pool`: the console's."""
        self._pool = pool
        self._waiting: dict[UUID, asyncio.Future[Outcome]] = {}
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Listens until cancelled."""
        while True:
            with suppress(*PASSING):
                async with self._pool.acquire() as connection:
                    await connection.add_listener(CHANNEL, lambda *_: self._told.set())
                    while not connection.is_closed():
                        await self._look()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _look(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), LOOK_EVERY_SECONDS)
        self._told.clear()
        if not self._waiting:
            return
        for found in await self._find(list(self._waiting)):
            if waiting := self._waiting.get(found.message_id):
                waiting.set_result(found) if not waiting.done() else None

    @contextmanager
    def expected(self, message_id: UUID) -> "Iterator[asyncio.Future[Outcome]]":
        """The answer to come. Entered before the message is sent, so that none is missed."""
        waiting = self._waiting.setdefault(message_id, asyncio.get_running_loop().create_future())
        try:
            yield waiting
        finally:
            self._waiting.pop(message_id, None)

    async def known(self, message_id: UUID) -> Outcome | None:
        """What became of a message, where that is known by now."""
        found = await self._find([message_id])
        return found[0] if found else None

    async def _find(self, ids: list[UUID]) -> list[Outcome]:
        rows = await self._pool.fetch(
            "SELECT message_id, outcome, service, shard, first, last FROM outcomes WHERE message_id = ANY($1)", ids
        )
        return [Outcome(*row) for row in rows]
