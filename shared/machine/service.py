"""A deciding service as a process: its share of the shards, and what is told of them."""

import asyncio
import sys

from shared import telemetry
from shared.machine import store
from shared.machine.figures import Figures
from shared.machine.group import Group
from shared.machine.mind import Mind
from shared.machine.relay import Outlet, Relay
from shared.machine.shard import Shard, Terms
from shared.machine.tail import Tail
from shared.machine.told import Reader
from shared.policy.loader import shipped_body
from shared.settings import Settings, load

BATCHES_AT_ONCE = 4
"""Transactions side by side, one a shard."""
OTHER_CONNECTIONS = 2
"""For the relays."""


async def work(mind: Mind, settings: Settings, figures: Figures) -> None:
    """Decides until cancelled. Waits for PostgreSQL and Kafka as long as it takes. Raises Torn where the process must end."""
    pool = await store.connect(settings.database, mind.service, BATCHES_AT_ONCE + OTHER_CONNECTIONS)
    spare = await store.connect(settings.database, mind.service, 1)
    outlet, tail = Outlet(settings.kafka), Tail(settings.kafka, mind.service)
    try:
        generation, _, shards = await store.installation(pool)
        reader = Reader(mind, shards, settings.submission_topics, generation)

        def relay(shard: int, epoch: int) -> Relay:
            return Relay(shard, epoch, mind.service, generation, reader=reader, pool=pool, outlet=outlet)

        terms = Terms(mind, reader, pool, spare, tail, relay, {}, shipped_body())
        group = Group(
            settings.kafka, mind.service, reader.topics, settings.session_timeout_ms,
            lambda shard, feed: Shard(shard, feed, settings.batch_records, terms),
        )  # fmt: skip
        figures.group = group
        await group.run()
    finally:
        await outlet.close()
        await tail.close()
        pool.terminate()
        spare.terminate()


def main(mind: Mind) -> None:
    """The process of a deciding service, with the settings of its environment. Exit code 75: another process has its shards."""
    settings = load()
    telemetry.log_to_stderr(settings.log_level, mind.service)
    figures = Figures(mind.service)
    web = telemetry.health_app(figures.registry, figures.ready)
    sys.exit(asyncio.run(telemetry.serve(work(mind, settings, figures), web, settings.bind, settings.port)))
