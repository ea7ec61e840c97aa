"""Hearing what the services say: event topics followed from the ends they had, or from given places, through any absence of the broker."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.kafka import stop_consumer

POLL_MS = 200
"""How long it listens before it looks about."""
RECORDS_MAX = 5_000
"""Events taken at a time, at most."""
RETRY_SECONDS = 1.0
"""Between two attempts to reach Kafka."""
CLOSE_SECONDS = 5.0
"""How long a consumer may take to end."""

log = structlog.get_logger()


class Listener:
    """Follows some topics without a consumer group. Used as an async context: on entering, the ends are taken, before anything is sent."""

    def __init__(
        self, kafka: str, partitions: Iterable[tuple[str, int]] = (), *, begin: Mapping[TopicPartition, int] | None = None
    ) -> None:
        """Follows `partitions` (topic, how many it has) at the bootstrap servers `kafka`, or from these offsets on (`begin`)."""
        self.kafka = kafka
        self._places = {TopicPartition(topic, number): 0 for topic, count in partitions for number in range(count)} | dict(begin or {})
        self._from_the_ends = begin is None
        self._consumer: AIOKafkaConsumer | None = None

    @property
    def places(self) -> Mapping[TopicPartition, int]:
        """The offset that is heard next, by partition."""
        return self._places

    async def __aenter__(self) -> Self:
        """Takes the ends. Raises KafkaConnectionError where nobody answers."""
        if not self._from_the_ends:
            return self
        consumer = await self._assigned()
        self._places = dict(await consumer.end_offsets(list(self._places)))
        self._sought(consumer)
        self._consumer = consumer
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops following."""
        await self._close()

    async def heard(self) -> Sequence[ConsumerRecord]:
        """What was said since, in the order of each partition; empty where nothing was for a moment."""
        try:
            if self._consumer is None:
                self._consumer = await self._assigned()
                self._sought(self._consumer)
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
        except (KafkaError, OSError) as error:
            log.warning("kafka_is_away", error=repr(error))
            await self._close()
            await asyncio.sleep(RETRY_SECONDS)
            return []
        found = []
        for partition, records in batches.items():
            fresh = [record for record in records if record.offset >= self._places[partition]]
            if fresh:
                self._places[partition] = fresh[-1].offset + 1
                found.extend(fresh)
        return found

    async def _assigned(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            await consumer.start()
        except BaseException:
            await stop_consumer(consumer, CLOSE_SECONDS)
            raise
        consumer.assign(list(self._places))
        return consumer

    def _sought(self, consumer: AIOKafkaConsumer) -> None:
        for partition, offset in self._places.items():
            consumer.seek(partition, offset)

    async def _close(self) -> None:
        if self._consumer is None:
            return
        consumer, self._consumer = self._consumer, None
        await stop_consumer(consumer, CLOSE_SECONDS)
