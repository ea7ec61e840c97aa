"""What Kafka has last of a ledger. A ledger that does not have it is an older one, restored from a backup: it must tell nothing.

Whoever decided from there would tell a second story under the same positions, and those who took the first one in would call it old news.
"""

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contract.envelope import events_topic, text_headers
from shared.kafka import Kafka
from shared.machine.bytes import LedgerRow
from shared.machine.head import Stopped
from shared.machine.records import NotAnEvent, read_event
from shared.machine.store import Connection
from shared.machine.told import Record

LOOKED_BACK = 100
"""So many records at the end of a partition are looked through: others than we may have written there, by mistake."""
PATIENCE_SECONDS = 10.0
"""How long Kafka may take to say what it has last."""
WAIT_MS = 100
"""How long Kafka waits for something to hand over."""


class Tail:
    """The ends of one service's events topic. One for all shards of a process; asked when a shard is taken over."""

    def __init__(self, kafka: Kafka, service: str) -> None:
        """`kafka`: where it is; `service`: whose topic."""
        self._kafka, self._service = kafka, service
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()

    async def last(self, shard: int) -> LedgerRow | None:
        """The last event of a shard that Kafka has; None where there is none. Raises KafkaError, OSError (TimeoutError)."""
        async with self._turn:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await self._last(TopicPartition(events_topic(self._service), shard))
            except (KafkaError, OSError):
                await self._close()
                raise

    async def _last(self, place: TopicPartition) -> LedgerRow | None:
        consumer = await self._started()
        consumer.assign([place])
        beginning, end = (await consumer.beginning_offsets([place]))[place], (await consumer.end_offsets([place]))[place]
        records: list[Record] = []
        consumer.seek(place, max(beginning, end - LOOKED_BACK))
        while await consumer.position(place) < end:  # the last offset need not be a record's: a transaction's end has one
            records.extend((await consumer.getmany(place, timeout_ms=WAIT_MS)).get(place, ()))
        for record in reversed(records):
            with suppress(NotAnEvent):
                return read_event(text_headers(record.headers), record.value, place.partition)[0]
        return None

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = self._kafka.consumer(fetch_max_wait_ms=WAIT_MS)
            try:
                await consumer.start()
            except BaseException:
                await self._kafka.stop_consumer(consumer, PATIENCE_SECONDS)
                raise
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Nothing more is asked."""
        async with self._turn:
            await self._close()

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await self._kafka.stop_consumer(consumer, PATIENCE_SECONDS)


async def must_have(connection: Connection, service: str, shard: int, position: int, last: LedgerRow | None) -> None:
    """Raises Stopped where a shard's ledger, which ends at `position`, has not the last event that Kafka has of it."""
    if last is None:
        return
    of = f"Kafka has {service}'s shard {shard} up to position {last.position}"
    if last.position > position:
        raise Stopped("older ledger", f"{of}, but the ledger ends at {position}: {_OLDER}")
    if await connection.fetchval("SELECT hash FROM ledger WHERE shard = $1 AND position = $2", shard, last.position) != last.hash:
        raise Stopped("older ledger", f"{of}, and the ledger has another event there: {_OLDER}")


_OLDER = (
    "the database is older than its Kafka, as after a backup was restored. Nothing is decided from it, or what others were told would not "
    "be true any more: put the newer database back."
)
