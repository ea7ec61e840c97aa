"""The whole system as `makegood up` starts it: how fast it takes in complaints, and how long one of them takes from the request on."""

import asyncio
import time
import uuid
from dataclasses import dataclass

import asyncpg
import httpx

from tests.benchmarks import load
from tests.system import SHARDS, System

POLL_SECONDS = 0.005
LOADED_SECONDS = 0.1
"""Under load so many seconds' worth of complaints are sent at a time."""
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Latency:
    """Seconds from a request until its outcome was answered, and until the complaint could be read."""

    outcome: list[float]
    visible: list[float]


async def taken_in(system: System, count: int) -> float:
    """Complaints a second, from the topic through all services into the console's projections."""
    connection = await asyncpg.connect(system.stack.owner_dsn)
    try:
        before = await _complaints(connection)
        began = time.perf_counter()
        await load.fill(system.stack.kafka, SHARDS, load.submissions(count, uuid.uuid4().hex[:8]))
        while await _complaints(connection) < before + count:
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise TimeoutError(f"{count} complaints were not taken in after {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(0.05)
        return count / (time.perf_counter() - began)
    finally:
        await connection.close()


async def _complaints(connection: asyncpg.Connection) -> int:
    return await connection.fetchval("SELECT count(*) FROM console.complaints WHERE received_at IS NOT NULL")


async def latency(system: System, count: int, load_per_s: float = 0.0) -> Latency:
    """Complaints told one after another over HTTP, while so many others a second come over Kafka."""
    loading = asyncio.create_task(_load(system, load_per_s)) if load_per_s else None
    found = Latency([], [])
    async with httpx.AsyncClient(
        base_url=system.console, headers={"Prefer": "wait=20", "Makegood-Actor": "person:anna"}, timeout=40
    ) as client:
        for n in range(count + 5):
            ref = uuid.uuid4().hex
            began = time.perf_counter()
            answer = await client.post("/api/complaints", json={"source": "bench", "ref": ref, "narrative": load.TEXT})
            outcome = time.perf_counter() - began
            assert answer.status_code == 200, answer.text
            place = f"/api/complaints/{load.complaint_id('bench', ref)}"
            while (await client.get(place)).status_code != 200:  # noqa: ASYNC110 - there is nothing else to wait for
                await asyncio.sleep(POLL_SECONDS)
            if n >= 5:  # the first ones find nothing warm
                found.outcome.append(outcome)
                found.visible.append(time.perf_counter() - began)
    if loading:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    return found


async def _load(system: System, per_s: float) -> None:
    run, due = uuid.uuid4().hex[:8], time.perf_counter()
    for n in range(1_000_000):
        await load.fill(system.stack.kafka, SHARDS, load.submissions(max(1, int(per_s * LOADED_SECONDS)), f"{run}-{n}"))
        due += LOADED_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
