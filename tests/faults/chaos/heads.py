"""Watching the heads from outside: when each shard was taken over, and when something was committed to it."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg

from shared.contract.envelope import SERVICES
from shared.machine.patience import PASSING

LOOK_SECONDS = 0.05
HEADS = " UNION ALL ".join(f"SELECT '{service}' AS service, shard, epoch, entry FROM {service}.head" for service in SERVICES)

Shard = tuple[str, int]


@dataclass(slots=True)
class Seen:
    """A head, and since when by our clock it is so."""

    epoch: int = 0
    entry: int = 0
    committed_at: float = 0.0
    """When its entry was last seen to have moved."""
    committed_epoch: int = 0
    """The epoch in which that was."""


@dataclass
class Heads:
    """All heads of an installation."""

    dsn: str
    seen: dict[Shard, Seen] = field(default_factory=dict)
    answered_at: float = 0.0
    """When PostgreSQL last answered."""
    back_at: float = 0.0
    """When PostgreSQL last answered again after it had not."""

    async def watch(self) -> None:
        """Looks until cancelled."""
        away = True
        while True:
            with suppress(*PASSING):
                connection = await asyncpg.connect(self.dsn, timeout=2.0)
                try:
                    while True:
                        rows = await connection.fetch(HEADS, timeout=5.0)
                        self._take(rows)
                        if away:
                            self.back_at, away = time.monotonic(), False
                        await asyncio.sleep(LOOK_SECONDS)
                finally:
                    connection.terminate()
            away = True
            await asyncio.sleep(LOOK_SECONDS)

    def _take(self, rows: Iterable[asyncpg.Record]) -> None:
        now = self.answered_at = time.monotonic()
        for row in rows:
            seen = self.seen.setdefault((row["service"], row["shard"]), Seen())
            if row["entry"] > seen.entry:
                # an entry that came together with a new epoch may be its predecessor's last: only the next one surely is not
                seen.committed_at, seen.committed_epoch = now, seen.epoch if row["epoch"] != seen.epoch else row["epoch"]
            seen.epoch, seen.entry = row["epoch"], row["entry"]

    def epochs(self, shards: Iterable[Shard]) -> Mapping[Shard, int]:
        return {shard: self.seen[shard].epoch for shard in shards}

    async def until(self, is_so: Callable[[], bool], seconds: float) -> float | None:
        """When it became so; None where it did not in time."""
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(LOOK_SECONDS / 2)
        return time.monotonic()

    def all_committed_since(self, moment: float, after: Mapping[Shard, int] | None = None) -> bool:
        """Whether something was committed to all shards since a moment; to those of `after`, by a newer epoch than that."""
        older = after or {}
        return all(seen.committed_at > moment and seen.committed_epoch > older.get(shard, -1) for shard, seen in self.seen.items())
