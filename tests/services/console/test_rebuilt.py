"""What the console keeps could be made again: from the events alone, and nothing else."""

import asyncio
from contextlib import suppress

import asyncpg

from deploy.install import CONSOLE
from deploy.migrate import migrate
from services.console.projections.outcomes import Outcomes
from services.console.projections.queue import Queue
from services.console.projections.story import Story
from shared.kafka import Kafka
from shared.machine.group import Group
from shared.machine.projecting import TOPICS, Projector
from tests.shared.machine.live import until
from tests.system import SHARDS

KEPT = {
    "complaints": (
        "SELECT id, stage, source, ref, owner, refusals, conflicts, parked, broken, next_promise_at, summary, convert_from(card, 'UTF8')"
        " FROM {0}.complaints ORDER BY id"
    ),
    "story": (
        "SELECT service, shard, position, complaint, stream, kind, version, type, at, actor, message_id, hash, body"
        " FROM {0}.story ORDER BY service, shard, position"
    ),
    "outcomes": "SELECT message_id, service, shard, first, last, stream, outcome, cause FROM {0}.outcomes ORDER BY 1, 2, 3, 4",
    "places": "SELECT service, shard, position, hash FROM {0}.places ORDER BY 1, 2",
}


async def test_a_projection_rebuilt_from_nothing_equals_the_one_kept_live(system):
    for number in range(8):
        complaint = system.submit(product="bread" if number % 2 else "cake")
        system.ask(complaint, "StartFix")
        system.ask(complaint, "AssignOwner", owner="person:anna")
        system.ask(complaint, "MakePromise", what="A call", due_at="2099-01-01T00:00:00Z")
    owner = await asyncpg.connect(system.stack.owner_dsn)
    await owner.execute("DROP SCHEMA IF EXISTS console_again CASCADE; CREATE SCHEMA console_again")
    await migrate(owner, CONSOLE, "console_again", "makegood_console", SHARDS)
    again = asyncio.create_task(project(system, "console_again"))
    try:
        await until(lambda: same(owner, KEPT["places"]))
        for what, query in KEPT.items():
            assert await same(owner, query), what
        assert await owner.fetchval("SELECT count(*) FROM console_again.complaints") >= 8
    finally:
        again.cancel()
        with suppress(asyncio.CancelledError):
            await again
        await owner.execute("DROP SCHEMA console_again CASCADE")
        await owner.close()


async def same(owner, query):
    live, rebuilt = [await owner.fetch(query.format(schema)) for schema in ("console", "console_again")]
    return live == rebuilt


async def project(system, schema):
    """The console's own projections, in small batches, into a schema of their own, under a group of their own."""
    async with asyncpg.create_pool(system.stack.owner_dsn, server_settings={"search_path": schema}) as pool:
        group = Group(
            Kafka(system.stack.kafka), schema, tuple(TOPICS), 6_000,
            lambda shard, feed: Projector(shard, feed, 7, pool, (Story(), Queue(), Outcomes())),
        )  # fmt: skip
        await group.run()
