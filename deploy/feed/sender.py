"""Sending to Kafka so that nothing is lost while the broker is away: what was not acknowledged is sent again, in order, by a new producer.

A record may reach Kafka twice so (to the broker a new producer is a stranger); its message id is the same, and the services
answer it once.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.kafka import stop_producer

DELIVERY_MS = 60_000
"""How long a producer tries to get a record through before it gives up and another one takes its place, in milliseconds."""
LINGER_MS = 5
"""How long a record waits for others to be sent with, at most."""
BATCH_BYTES = 131_072
"""Records sent together, at most."""
RECORD_BYTES_MAX = 1_000_000
"""The broker's own limit on a batch, less its overhead."""
UNACKNOWLEDGED_MAX = 20_000
"""Records on their way, at most: then no more are taken."""
RETRY_SECONDS = 1.0
"""Before what was not acknowledged is sent again."""
CLOSE_SECONDS = 5.0
"""How long a producer may take to end."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to send. Where no partition is named, it follows from the key; without a key, it is any."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    partition: int | None = None


class TooLarge(ValueError):
    """A record is larger than Kafka takes."""


class Sender:
    """An idempotent producer (acks=all) that mends itself. Used as an async context; leaving it does not wait: call `flushed` for that."""

    def __init__(self, kafka: str) -> None:
        """A sender to the bootstrap servers `kafka`."""
        self.kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._unacknowledged: dict[int, Outgoing] = {}
        self._sent = 0
        self._failed = asyncio.Event()
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._mending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts it. Raises KafkaConnectionError where nobody answers."""
        self._producer = await self._started()
        self._mending = asyncio.create_task(self._mend_when_needed())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops it, within seconds even where the broker is away."""
        if self._mending:
            self._mending.cancel()
            with suppress(asyncio.CancelledError):
                await self._mending
        await self._close()

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises LookupError where there is no such topic."""
        assert self._producer is not None, "partitions are asked of a started sender"
        found = await self._producer.partitions_for(topic)
        if not found:
            raise LookupError(f"Kafka has no topic {topic}")
        return len(found)

    @property
    def unacknowledged(self) -> Collection[Outgoing]:
        """What was handed over and is not acknowledged: nobody knows whether Kafka has it."""
        return self._unacknowledged.values()

    async def send(self, record: Outgoing) -> None:
        """Hands a record over; it is acknowledged later (`flushed`). Waits where too many are not acknowledged yet. Raises TooLarge."""
        if len(record.value) > RECORD_BYTES_MAX:
            raise TooLarge(f"{len(record.value)} bytes; Kafka takes {RECORD_BYTES_MAX}")
        while len(self._unacknowledged) >= UNACKNOWLEDGED_MAX:
            self._changed.clear()
            await self._changed.wait()
        async with self._turn:
            number = self._sent
            self._sent += 1
            self._unacknowledged[number] = record
            await self._hand_over(number, record)

    async def flushed(self) -> None:
        """Waits until all that was sent is acknowledged."""
        while self._unacknowledged:
            self._changed.clear()
            await self._changed.wait()

    async def _hand_over(self, number: int, record: Outgoing) -> None:
        if self._failed.is_set() or self._producer is None:
            return
        try:
            future = await self._producer.send(record.topic, record.value, record.key, partition=record.partition, headers=record.headers)
        except KafkaError as error:
            log.warning("kafka_did_not_take_it", error=repr(error))
            self._failed.set()
            return
        future.add_done_callback(self._acknowledged(number, self._producer))

    def _acknowledged(self, number: int, by: AIOKafkaProducer) -> Callable[[asyncio.Future[object]], None]:
        def done(future: asyncio.Future[object]) -> None:
            if future.cancelled() or future.exception() is not None:
                if by is self._producer:
                    self._failed.set()
                return
            self._unacknowledged.pop(number, None)
            self._changed.set()

        return done

    async def _mend_when_needed(self) -> None:
        while True:
            await self._failed.wait()
            async with self._turn:
                log.warning("sending_again", records=len(self._unacknowledged))
                await self._close()
                self._producer = await self._started_at_last()
                self._failed.clear()
                for number, record in sorted(self._unacknowledged.items()):
                    await self._hand_over(number, record)
            await asyncio.sleep(RETRY_SECONDS)

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka, acks="all", enable_idempotence=True, linger_ms=LINGER_MS, max_batch_size=BATCH_BYTES,
            request_timeout_ms=DELIVERY_MS, max_request_size=RECORD_BYTES_MAX + BATCH_BYTES,
        )  # fmt: skip
        try:
            await producer.start()
        except BaseException:
            await stop_producer(producer, CLOSE_SECONDS)
            raise
        return producer

    async def _started_at_last(self) -> AIOKafkaProducer:
        while True:
            try:
                return await self._started()
            except (KafkaError, OSError) as error:
                log.warning("kafka_is_away", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _close(self) -> None:
        if self._producer is None:
            return
        producer, self._producer = self._producer, None
        await stop_producer(producer, CLOSE_SECONDS)
