"""A simulated Kafka: one broker in the world, and what `shared.kafka.Kafka` is to a process.

A client's request takes a while to come, has its effect in the world whatever becomes of the client, and its answer takes a while to come
back. So a killed client's request may still be done, and a frozen one finds its answer when it thaws.

Not simulated, since the machine has no use for it: several brokers, transactions, compression, compaction, topics chosen by pattern or
after the start, members that are put out for asking too seldom, positions that the library looks for by itself.
"""

from collections.abc import Iterable
from typing import Any

from aiokafka.errors import KafkaError

from shared.kafka import Kafka, stop_or_end
from shared.simulation.broker import Broker
from shared.simulation.consumer import Consumer
from shared.simulation.producer import Producer


class Cluster(Broker):
    """The broker, and the way to it."""

    def client(self, process_name: str = "") -> "SimKafka":
        """This cluster, as a process has it."""
        return SimKafka(self, process_name)


class SimKafka(Kafka):
    """The cluster, as one process reaches it."""

    def __init__(self, cluster: Cluster, process_name: str) -> None:
        """`process_name`: whose."""
        super().__init__("simulated")
        self.name = process_name
        self._cluster = cluster
        self._lenient = False

    def consumer(self, **settings: Any) -> Consumer:
        """See `Kafka`."""
        return Consumer(self._cluster, self, lambda: self._lenient, **settings)

    def producer(self, **settings: Any) -> Producer:
        """See `Kafka`."""
        return Producer(self._cluster, self, **settings)

    async def topic_ids(self, consumer: Any, topics: Iterable[str]) -> dict[str, str]:
        """See `Kafka`."""
        topics = list(topics)
        if not consumer.is_started:
            raise KafkaError("no broker is known")
        there = await consumer.line.ask(self._cluster.metadata, topics)
        for topic in topics:
            if topic not in there:
                raise KafkaError(f"Kafka has no topic {topic}")
        return {topic: there[topic][1] for topic in topics}

    def leaves(self, consumer: Any) -> None:
        """See `Kafka`."""
        consumer.leaves()

    async def stop_producer(self, producer: Any, patience_seconds: float) -> None:
        """See `Kafka`."""
        await stop_or_end(producer.stop(), patience_seconds, producer.give_up)

    async def stop_consumer(self, consumer: Any, patience_seconds: float) -> None:
        """See `Kafka`."""
        await stop_or_end(consumer.stop(), patience_seconds, consumer.give_up)

    def read_leniently(self) -> None:
        """See `Kafka`."""
        self._lenient = True
