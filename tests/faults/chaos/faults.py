"""What is done to it, drawn from a seed, each fault written down with its time. In a storm they come one upon the other."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg

from deploy.roles import PROCESSES
from shared.machine.patience import PASSING
from tests.faults.chaos.fleet import SESSION_TIMEOUT_MS, SPARE, Fleet
from tests.faults.chaos.replica import Replica

PAUSE_SECONDS = (0.05, 0.9)
"""Between two faults of a storm."""
FROZEN_SECONDS = (SESSION_TIMEOUT_MS / 1000 + 1.0, SESSION_TIMEOUT_MS / 1000 + 4.0)
"""Longer than the session lasts: somebody else has the shards by then."""
BROKER_FROZEN_SECONDS = (0.5, 3.0)
OFTEN = {"kill": 24, "freeze": 4, "backend": 5, "postmaster": 5, "broker": 3, "broker freeze": 1, "rebalance": 3}


class Faults:
    """The damage that is done to a fleet."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []
        self._began = time.monotonic()
        self._lasting: set[asyncio.Task[None]] = set()

    async def storm(self, seconds: float) -> None:
        """Everything at once, for so long; what it froze is awake and what it stopped is started when this returns."""
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "kill": self.kill_any, "freeze": self.freeze_any, "backend": self.end_backends, "postmaster": self.kill_postmaster,
            "broker": self.kill_broker, "broker freeze": self.freeze_broker, "rebalance": self.rebalance,
        }  # fmt: skip
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            kind = self.chance.choices(list(OFTEN), list(OFTEN.values()))[0]
            lasting = asyncio.create_task(kinds[kind]())
            self._lasting.add(lasting)
            await asyncio.sleep(self.chance.uniform(*PAUSE_SECONDS))
        await asyncio.gather(*self._lasting)
        self._lasting.clear()
        for replica in self.fleet.replicas:
            if not replica.name.endswith(f"-{SPARE}"):
                replica.start()

    # ---- services --------------------------------------------------------------------------------------------------------------

    def kill(self, replica: Replica) -> bool:
        return self._did("service killed", replica.name) if replica.signal(signal.SIGKILL) else False

    async def kill_any(self) -> None:
        self.kill(self.chance.choice(self.fleet.replicas))

    async def freeze(self, replica: Replica, seconds: float) -> None:
        if replica.pid is not None and not replica.frozen:
            self._did("service frozen", f"{replica.name} for {seconds:.1f} s")
            await replica.freeze(seconds)

    async def freeze_any(self) -> None:
        """One whose fellow is awake, so that somebody takes over."""
        awake = [
            one for one in self.fleet.replicas if one.pid is not None and not any(other.frozen for other in self.fleet.of(one.service))
        ]
        if awake:
            await self.freeze(self.chance.choice(awake), self.chance.uniform(*FROZEN_SECONDS))

    async def rebalance(self) -> None:
        """One more process, or one fewer, politely: for a while."""
        service = self.chance.choice([name for name in PROCESSES if name != "console"])
        spare = self.fleet.of(service)[-1]
        if spare.wanted:
            self._did("replica stopped", spare.name)
            await spare.stop()
        else:
            self._did("replica started", spare.name)
            spare.start()

    # ---- servers ---------------------------------------------------------------------------------------------------------------

    def kill_server(self, name: str) -> bool:
        pid = self.fleet.server(name).pid
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return self._did(f"{name} killed", str(pid))
        return False

    async def kill_postmaster(self) -> None:
        self.kill_server("postgres")

    async def kill_broker(self) -> None:
        self.kill_server("kafka")

    async def freeze_broker(self) -> None:
        pid, seconds = self.fleet.server("kafka").pid, self.chance.uniform(*BROKER_FROZEN_SECONDS)
        with suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, signal.SIGSTOP)
                self._did("kafka frozen", f"for {seconds:.1f} s")
                try:
                    await asyncio.sleep(seconds)
                finally:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)

    async def end_backends(self) -> None:
        """Some sessions of the services are ended, whatever they were doing."""
        share = self.chance.choice((0.1, 0.5, 1.0))
        with suppress(*PASSING):
            connection = await asyncpg.connect(self.fleet.database, timeout=2.0)
            try:
                ended = await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'makegood %' AND random() < $1",
                    share, timeout=2.0,
                )  # fmt: skip
                if ended:
                    self.counts["backends ended"] += ended - 1
                    self._did("backends ended", str(ended))
            finally:
                connection.terminate()

    def _did(self, what: str, whom: str) -> bool:
        self.counts[what] += 1
        self.log.append(f"{time.monotonic() - self._began:8.2f} s  {what}: {whom}")
        return True
