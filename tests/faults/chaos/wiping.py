"""All topics are deleted and made again from the ledgers, in the midst of it, as an operator would: nobody at work, nothing unread."""

import asyncio
import time
from collections.abc import Sequence

import asyncpg

from deploy.topics import TOPICS, admin, partitions
from tests.faults.chaos import checks, topics
from tests.faults.chaos.fleet import Fleet
from tests.faults.chaos.load import Load

QUIET_SECONDS = 120.0
"""Until what is under way has come to its end."""


async def wiped(fleet: Fleet, load: Load, names: Sequence[str], gone: dict[tuple[str, int], tuple[int, int]]) -> tuple[list[str], float]:
    """What was wrong, in sentences, and how many seconds it took until everybody was ready again.

    What the topics have is held against the journals before they go. `gone` is carried on.
    """
    if not await load.pause(QUIET_SECONDS):
        return [f"with no fault under way, not everything that was asked was answered within {QUIET_SECONDS:.0f} s"], 0.0
    connection = await asyncpg.connect(fleet.database)
    try:
        if not await _all_is_quiet(fleet, connection, names):
            return [f"without load it does not come to rest: {await fleet.said()}"], 0.0
        found = await topics.looked_at(connection, fleet.kafka, names, load.acknowledged, gone)
        load.acknowledged.clear()
        began = time.monotonic()
        running = [replica for replica in fleet.replicas if replica.wanted]
        await asyncio.gather(*(replica.stop() for replica in running))
        gone.update(await checks.gone_with(connection))
        async with admin(fleet.kafka) as client:
            while there := TOPICS.keys() & await partitions(client):
                await client.delete_topics(list(there))
        found += await checks.makegood(fleet.kafka, fleet.database, "topics", "rebuild", "--yes", "--reason", "chaos")
        for replica in running:
            replica.start()
        while not await fleet.all_ready():
            if time.monotonic() - began > QUIET_SECONDS:
                return [*found, f"the topics were made again, and it does not go on: {await fleet.said()}"], 0.0
            await asyncio.sleep(0.1)
        return found, time.monotonic() - began
    finally:
        load.go_on()
        await connection.close()


async def _all_is_quiet(fleet: Fleet, connection: asyncpg.Connection, names: Sequence[str]) -> bool:
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline:
        ends = await topics.ends(fleet.kafka, names)
        if await checks.quiet(connection) and await checks.read(connection, ends) and await fleet.all_ready():
            return True
        await asyncio.sleep(0.5)
    return False
