"""Making what the console keeps once more, beside it, from the events alone."""

import asyncpg

from deploy.install import CONSOLE
from deploy.migrate import migrate
from services.console.projections.outcomes import Outcomes
from services.console.projections.queue import Queue
from services.console.projections.story import Story
from shared.kafka import Kafka
from shared.machine.group import Group
from shared.machine.installed import installation
from shared.machine.projecting import TOPICS, Projector

SCHEMA = "console_again"
KEPT = {
    "complaints": (
        "SELECT id, stage, source, ref, owner, refusals, conflicts, parked, broken, next_promise_at, summary, convert_from(card, 'UTF8')"
        " FROM {0}.complaints ORDER BY id"
    ),
    "story": (
        "SELECT service, shard, position, complaint, stream, kind, version, type, at, actor, message_id, hash, body"
        " FROM {0}.story ORDER BY service, shard, position"
    ),
    "outcomes": "SELECT message_id, service, shard, first, last, stream, outcome, cause, entry, came FROM {0}.outcomes ORDER BY 1, 2, 3, 4",
    "places": "SELECT service, shard, position, hash FROM {0}.places ORDER BY 1, 2",
}


async def make(owner: asyncpg.Connection, shards: int) -> None:
    """Its tables, empty."""
    await owner.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
    await migrate(owner, CONSOLE, SCHEMA, "makegood_console", shards)


async def same(owner: asyncpg.Connection, query: str) -> bool:
    """Whether a query of `KEPT` finds the same in both."""
    live, again = [await owner.fetch(query.format(schema)) for schema in ("console", SCHEMA)]
    return live == again


async def project(dsn: str, kafka: str) -> None:
    """The console's own projections, in small batches, under a group of their own, until cancelled."""
    async with asyncpg.create_pool(dsn, server_settings={"search_path": SCHEMA}) as pool:
        own = Kafka(kafka)
        own.only((await installation(pool)).cluster)
        group = Group(
            own, SCHEMA, tuple(TOPICS), 6_000, lambda shard, feed: Projector(shard, feed, 7, pool, (Story(), Queue(), Outcomes())),
        )  # fmt: skip
        await group.run()
