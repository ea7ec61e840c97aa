"""The engine end to end: processes of a service work off what lies on their topics, until the events are on theirs."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contract.envelope import events_topic
from tests.servers import Installation

POLL_SECONDS = 0.05
BEGUN = 0.05
"""The part of the load after which the clock starts: joining the group and taking the shards over is not what is measured."""
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Ran:
    """What was seen of a run."""

    events_per_s: float
    cpu_us_per_event: Mapping[str, float]
    """Processor time an event, of the engine's processes and of the servers' (PostgreSQL, Kafka), in microseconds."""
    memory_mb: tuple[float, float, float]
    """Of the engine's processes together, when the clock started, halfway and at the end."""


@contextmanager
def processes(installation: Installation, module: str, count: int, env: Mapping[str, str] | None = None) -> Iterator[list[int]]:
    """So many processes of intake, with the mind that the module runs; their ids."""
    there = {**os.environ, **installation.env("intake"), "MAKEGOOD_LOG_LEVEL": "WARNING", **(env or {})}
    running = [subprocess.Popen([sys.executable, "-m", module], env=there) for _ in range(count)]
    try:
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


class Ends:
    """How many events are on the events topic."""

    def __init__(self, installation: Installation) -> None:
        self._places = [TopicPartition(events_topic("intake"), shard) for shard in range(installation.installed.shards)]
        self._consumer = AIOKafkaConsumer(bootstrap_servers=installation.kafka, enable_auto_commit=False)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def count(self) -> int:
        return sum((await self._consumer.end_offsets(self._places)).values())


async def measured(installation: Installation, module: str, events: int, *, count: int = 1, env: Mapping[str, str] | None = None) -> Ran:
    """Works off what lies there already: so many events are expected."""
    async with Ends(installation) as ends:
        before = await ends.count()
        with processes(installation, module, count, env) as pids:
            begun = await _until(ends, before + int(events * BEGUN))
            used, memory = cpu_seconds(pids), [_memory_mb(pids)]
            await _until(ends, before + events // 2)
            memory.append(_memory_mb(pids))
            done = await _until(ends, before + events)
            memory.append(_memory_mb(pids))
            spent = {name: seconds - used[name] for name, seconds in cpu_seconds(pids).items()}
    of = done[1] - begun[1]
    return Ran(of / (done[0] - begun[0]), {name: 1e6 * seconds / of for name, seconds in spent.items()}, tuple(memory))


async def rebuilt(installation: Installation, events: int) -> float:
    """A console that knows nothing takes in so many events of intake: events a second."""
    env = {**os.environ, **installation.env("console"), "MAKEGOOD_LOG_LEVEL": "WARNING"}
    connection = await asyncpg.connect(installation.owner_dsn)
    console = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.console", env=env)
    begun: tuple[float, int] | None = None
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = await connection.fetchval("SELECT coalesce(sum(position), 0)::bigint FROM console.places WHERE service = 'intake'")
            if begun is None and found > BEGUN * events:
                begun = time.perf_counter(), found
            if found >= events and begun is not None:
                return (found - begun[1]) / (time.perf_counter() - begun[0])
            if time.monotonic() > deadline:
                raise TimeoutError(f"{found} events of {events} after {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(POLL_SECONDS)
    finally:
        console.terminate()
        await console.wait()
        await connection.close()


def _memory_mb(pids: list[int]) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20


async def _until(ends: Ends, count: int) -> tuple[float, int]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := await ends.count()) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found} events of {count} after {PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)
    return time.perf_counter(), found


def cpu_seconds(pids: list[int]) -> dict[str, float]:
    """Processor time until now of our own processes, by what they are."""
    found = {"engine": 0.0, "postgres": 0.0, "kafka": 0.0}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            name, times = process.name(), process.cpu_times()
            kind = "engine" if process.pid in pids else {"postgres": "postgres", "java": "kafka"}.get(name)
            if kind:
                found[kind] += times.user + times.system
    return found
