"""What the console keeps could be made again: from the events alone, and nothing else."""

import asyncio
from contextlib import suppress

import asyncpg

from tests.services.console import again
from tests.shared.machine.live import until
from tests.system import SHARDS


async def test_a_projection_rebuilt_from_nothing_equals_the_one_kept_live(system):
    for number in range(8):
        complaint = system.submit(product="bread" if number % 2 else "cake")
        system.ask(complaint, "StartFix")
        system.ask(complaint, "AssignOwner", owner="person:anna")
        system.ask(complaint, "MakePromise", what="A call", due_at="2099-01-01T00:00:00Z")
    owner = await asyncpg.connect(system.stack.owner_dsn)
    await again.make(owner, SHARDS)
    making = asyncio.create_task(again.project(system.stack.owner_dsn, system.stack.kafka))
    try:
        await until(lambda: again.same(owner, again.KEPT["places"]))
        for what, query in again.KEPT.items():
            assert await again.same(owner, query), what
        assert await owner.fetchval(f"SELECT count(*) FROM {again.SCHEMA}.complaints") >= 8
    finally:
        making.cancel()
        with suppress(asyncio.CancelledError):
            await making
        await owner.execute(f"DROP SCHEMA {again.SCHEMA} CASCADE")
        await owner.close()
