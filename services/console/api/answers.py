"""Waiting for what became of a message: the projection tells that there are new outcomes, and whoever waits looks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.console.projections.outcomes import CHANNEL
from shared.machine.patience import PASSING, is_told_to_end

LOOK_EVERY_SECONDS = 1.0
"""Should a notification be lost, the answer is found all the same."""
FIND = """
SELECT DISTINCT ON (message_id) message_id, outcome, outcomes.service, shard, first, last FROM outcomes JOIN asked USING (message_id)
WHERE message_id = ANY($1) AND outcomes.service = coalesce(asked.service, split_part(type, '.', 1))
    AND (outcomes.stream = asked.stream OR outcomes.stream IS NULL)
ORDER BY message_id, outcomes.stream NULLS LAST, came
"""
"""Anybody may use an id of ours: the answer is the first input under it that is about what we asked about."""


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
        self._waiting: dict[UUID, set[asyncio.Future[Outcome]]] = {}
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Listens until cancelled."""
        while True:
            try:
                await self._listen()
            except PASSING:
                if is_told_to_end():
                    raise
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _listen(self) -> None:
        async with self._pool.acquire() as connection:
            await connection.add_listener(CHANNEL, self._tell)
            try:
                while not connection.is_closed():
                    await self._look()
            finally:
                if not connection.is_closed():
                    await connection.remove_listener(CHANNEL, self._tell)

    def _tell(self, *_: object) -> None:
        self._told.set()

    async def _look(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), LOOK_EVERY_SECONDS)
        self._told.clear()
        if not self._waiting:
            return
        for found in await self._find(list(self._waiting)):
            for waiting in self._waiting.get(found.message_id, ()):
                if not waiting.done():
                    waiting.set_result(found)

    @contextmanager
    def expected(self, message_id: UUID) -> "Iterator[asyncio.Future[Outcome]]":
        """The answer to come, for one of those who wait for it. Entered before the message is sent, so that none is missed."""
        waiting = asyncio.get_running_loop().create_future()
        together = self._waiting.setdefault(message_id, set())
        together.add(waiting)
        try:
            yield waiting
        finally:
            together.discard(waiting)
            if not together:
                del self._waiting[message_id]

    async def known(self, message_id: UUID) -> Outcome | None:
        """What became of a message, where that is known by now."""
        found = await self._find([message_id])
        return found[0] if found else None

    async def _find(self, ids: list[UUID]) -> list[Outcome]:
        return [Outcome(*row) for row in await self._pool.fetch(FIND, ids)]
