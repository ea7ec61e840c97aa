"""Who of a process's shards decides when: side by side, or one alone while nobody else does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Of one process.

    What a process dies of is known only where one input is tried and no other: beside another shard's, an input would be blamed for what
    that one did.
    """

    def __init__(self) -> None:
        """Nobody decides."""
        self._door = asyncio.Lock()
        self._deciding = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    @asynccontextmanager
    async def turn(self, *, alone: bool) -> AsyncIterator[None]:
        """While the block lasts its shard decides. `alone`: whether no other does. Whoever came first goes first."""
        async with self._door:
            if alone:
                await self._nobody.wait()
                yield
                return
            self._deciding += 1
            self._nobody.clear()
        try:
            yield
        finally:
            self._deciding -= 1
            if not self._deciding:
                self._nobody.set()
