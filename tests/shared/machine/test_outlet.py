"""A producer that is given up before it has begun."""

import asyncio
from contextlib import suppress

from shared.kafka import Kafka
from shared.machine.relay import Outlet
from tests.shared.machine.live import until


class NeverBegins(Kafka):
    """Reaches Kafka, and then waits for its answer."""

    def producer(self, **options):
        self.made = super().producer(**options)
        self.waits = asyncio.Event()

        async def start():
            self.waits.set()
            await asyncio.Event().wait()

        self.made._sender.start = start
        return self.made


async def test_who_stops_waiting_for_a_producer_leaves_none_behind(servers):
    """A shard may be lost while its relay waits for Kafka: connections and tasks would stay for as long as the process runs."""
    kafka = NeverBegins(servers.kafka)
    waiting = asyncio.ensure_future(Outlet(kafka).producer())
    await until(lambda: hasattr(kafka, "waits"))
    await kafka.waits.wait()
    assert is_open(kafka.made)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert not is_open(kafka.made)


def is_open(producer):
    client = producer.client
    return any(one.connected() for one in client._conns.values()) or (client._sync_task is not None and not client._sync_task.done())
