"""One fault at a time from a calm system, and how long it takes until everything that it hit commits again."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.contract.envelope import SERVICES
from tests.faults.chaos.faults import Faults
from tests.faults.chaos.fleet import REPLICAS, SESSION_TIMEOUT_MS, Fleet
from tests.faults.chaos.heads import Heads, Shard
from tests.faults.chaos.replica import Replica

CALM_SECONDS = 120.0
"""Within which all must be ready again after a storm, with nobody's hand."""
BACK_SECONDS = 60.0
SESSION_SECONDS = SESSION_TIMEOUT_MS / 1000
GOALS: Mapping[str, float] = {
    "service killed": SESSION_SECONDS + 2,
    "service frozen": SESSION_SECONDS + 2,
    "kafka killed": 5.0,
    "postgres killed, since it answers again": 1.0,
}
"""Seconds."""


@dataclass
class Recoveries:
    """What was measured, in seconds, by the fault."""

    fleet: Fleet
    heads: Heads
    faults: Faults
    seconds: dict[str, list[float]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    """What did not come back at all, in sentences."""

    async def calm(self) -> bool:
        """Waits until all is ready and commits; how long that took is noted."""
        began = time.monotonic()
        while time.monotonic() - began < CALM_SECONDS:
            if await self.fleet.all_ready():
                at = await self.heads.until(lambda: self.heads.all_committed_since(began), 5.0)
                if at is not None:
                    self.note("a storm, until all is ready again", at - began)
                    return True
            await asyncio.sleep(0.1)
        said = "; ".join(f"{name}: {told[:300]}" for name, told in (await self.fleet.said()).items())
        self.missed.append(f"{CALM_SECONDS:.0f} s after a storm it does not go on by itself: {said}")
        return False

    async def round(self) -> None:
        """Each fault once."""
        for measure in (self._kill, self._freeze, self._broker, self._postgres):
            if not await self.calm():
                return
            await measure()

    async def _kill(self) -> None:
        """One process of each service at the same time: services recover side by side."""
        hit = self._one_of_each()
        before = await self._epochs(hit)
        began = time.monotonic()
        for replica in hit:
            self.faults.kill(replica)
        await self._committed("service killed", began, before)

    async def _freeze(self) -> None:
        hit = self._one_of_each()
        before = await self._epochs(hit)
        began = time.monotonic()
        waking = [asyncio.create_task(self.faults.freeze(one, SESSION_SECONDS + 4)) for one in hit]
        await self._committed("service frozen", began, before)
        await asyncio.gather(*waking)

    def _one_of_each(self) -> list[Replica]:
        return [self.faults.chance.choice(self.fleet.of(service)[:REPLICAS]) for service in SERVICES]

    async def _epochs(self, hit: Sequence[Replica]) -> Mapping[Shard, int]:
        """Of the shards that these have: somebody must take them over."""
        return self.heads.epochs([(one.service, shard) for one in hit for shard in await self.fleet.shards(one)])

    async def _broker(self) -> None:
        began, pid = time.monotonic(), self.fleet.server("kafka").pid
        if not self.faults.kill_server("kafka"):
            return

        def is_back() -> bool:
            broker = self.fleet.server("kafka")
            return broker.pid not in {None, pid} and broker.state == "ready"

        ready = await self.heads.until(is_back, BACK_SECONDS)
        if ready is None:
            self.missed.append("Kafka is not back")
            return
        self.note("kafka killed, until the supervisor finds it ready", ready - began)
        restarted = began + 0.5  # what was fetched before the kill is committed by then
        at = await self.heads.until(lambda: self.heads.all_committed_since(max(restarted, ready - 1.0)), BACK_SECONDS)
        self._noted("kafka killed", began, at)

    async def _postgres(self) -> None:
        began = time.monotonic()
        if not self.faults.kill_server("postgres"):
            return
        back = await self.heads.until(lambda: self.heads.back_at > began, BACK_SECONDS)
        if back is None:
            self.missed.append("PostgreSQL is not back")
            return
        self.note("postgres killed, until it answers again", self.heads.back_at - began)
        at = await self.heads.until(lambda: self.heads.all_committed_since(self.heads.back_at), BACK_SECONDS)
        self._noted("postgres killed, since it answers again", self.heads.back_at, at)

    async def _committed(self, what: str, began: float, before: Mapping[Shard, int]) -> None:
        at = await self.heads.until(lambda: self.heads.all_committed_since(began, before), BACK_SECONDS)
        self._noted(what, began, at)

    def _noted(self, what: str, began: float, at: float | None) -> None:
        if at is None:
            self.missed.append(f"{what}: not every shard committed again within {BACK_SECONDS:.0f} s")
        else:
            self.note(what, at - began)

    def note(self, what: str, seconds: float) -> None:
        """It took so long."""
        self.seconds.setdefault(what, []).append(seconds)
