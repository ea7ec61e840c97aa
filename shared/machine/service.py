"""A deciding service as a process: its share of the shards, and what is told of them."""

import sys
from collections.abc import Awaitable, Callable

import asyncpg

from shared import loop, telemetry
from shared.kafka import Kafka
from shared.machine import store
from shared.machine.figures import Figures
from shared.machine.group import Group
from shared.machine.installed import installation
from shared.machine.mind import Mind
from shared.machine.relay import Outlet, Relay
from shared.machine.shard import Shard, Terms
from shared.machine.tail import Tail
from shared.machine.told import Reader
from shared.machine.turns import Turns
from shared.machine.watchdog import Watchdog
from shared.policy.loader import shipped_body
from shared.settings import Settings, load

BATCHES_AT_ONCE = 4
"""Transactions side by side, one a shard."""
OTHER_CONNECTIONS = 2
"""For the relays."""

Connect = Callable[[str, str, int], Awaitable[asyncpg.Pool]]
"""Makes a service's pool, given the address, the service and how many connections."""


async def work(
    mind: Mind, settings: Settings, figures: Figures, *, kafka: Kafka | None = None, connect: Connect = store.connect,
    watchdog: Watchdog | None = None,
) -> None:  # fmt: skip
    """Decides until cancelled. Waits for PostgreSQL and Kafka as long as it takes.

    Args:
        mind: Whose.
        settings: Where Kafka and PostgreSQL are, and how much of them is taken.
        figures: Told what there is to tell.
        kafka: The cluster, where it is another than the settings'.
        connect: Makes a pool of connections.
        watchdog: Ends a process that hangs.

    Raises:
        Torn: where the process must end.
    """
    pool = await connect(settings.database, mind.service, BATCHES_AT_ONCE + OTHER_CONNECTIONS)
    spare = await connect(settings.database, mind.service, 1)
    kafka = kafka or Kafka(settings.kafka)
    outlet, tail = Outlet(kafka), Tail(kafka, mind.service)
    try:
        there = await installation(pool, figures.wait)
        kafka.only(there.cluster)
        generation = there.generation
        reader = Reader(mind, there.shards, settings.submission_topics, generation)

        def relay(shard: int, epoch: int) -> Relay:
            return Relay(shard, epoch, mind.service, generation, reader=reader, pool=pool, outlet=outlet)

        terms = Terms(mind, reader, pool, spare, tail, relay, {}, shipped_body(), Turns())
        group = Group(
            kafka, mind.service, reader.topics, settings.session_timeout_ms,
            lambda shard, feed: Shard(shard, feed, settings.batch_records, terms), instance=settings.instance,
            watchdog=watchdog,
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
    sys.exit(loop.run(telemetry.serve(work(mind, settings, figures), web, settings.bind, settings.port)))
