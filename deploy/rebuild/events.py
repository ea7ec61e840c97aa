"""One shard's part of an events topic, held against its ledger and filled from it: same ids, same headers, same bytes, same order."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contract.envelope import commands_topic, events_topic, key_of, shard_of, text_headers
from shared.kafka import stop_producer
from shared.machine import store
from shared.machine.bytes import LedgerRow
from shared.machine.head import Head, Seen
from shared.machine.records import Headers, NotAnEvent, event_headers, event_key, read_event, request_headers
from shared.machine.relay import BATCH_BYTES, CLOSE_SECONDS, MESSAGE_BYTES_MAX

PAGE_ROWS = 1_000
"""Ledger rows read at a time."""
POLL_MS = 500
"""How long Kafka waits for something to hand over."""
FETCH_BYTES = 4 * 1024 * 1024
"""Of one partition, fetched at a time."""

Outgoing = tuple[bytes, LedgerRow, Headers]
"""A record's key, the row that it is, its headers."""


class HoldsOther(RuntimeError):
    """A topic holds something else than its ledger: the message says what, where, and what to do."""


@asynccontextmanager
async def producing(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer for as long as the block lasts. Raises KafkaError where no Kafka answers."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES, max_request_size=MESSAGE_BYTES_MAX
    )
    await producer.start()
    try:
        yield producer
    finally:
        await stop_producer(producer, CLOSE_SECONDS)


async def held(kafka: str, connection: asyncpg.Connection, service: str, shard: int) -> int:
    """Up to which position the topic has the ledger, from the first event on; 0 where it is empty.

    An event that is there twice is no harm: a relay may send one again, and whoever reads knows its position.

    Args:
        kafka: Bootstrap servers.
        connection: In the service's schema.
        service: Whose ledger.
        shard: Which one.

    Raises:
        HoldsOther: where it has anything else, or not from the first event on.
    """
    place = TopicPartition(events_topic(service), shard)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="none", fetch_max_wait_ms=POLL_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign([place])
        at, end = (await consumer.beginning_offsets([place]))[place], (await consumer.end_offsets([place]))[place]
        consumer.seek(place, at)
        position = 0
        while await consumer.position(place) < end:  # the last offset need not be a record's: a transaction's end has one
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                position = await _compared(connection, service, records, position)
        return position
    finally:
        await consumer.stop()


async def _compared(connection: asyncpg.Connection, service: str, records: Sequence[object], position: int) -> int:
    """How far the ledger is there with these records, too."""
    rows = [_row(service, record) for record in records]
    found = await connection.fetch(
        "SELECT position, hash FROM ledger WHERE shard = $1 AND position = ANY($2)", rows[0].shard, [row.position for row in rows]
    )
    hashes = {one["position"]: one["hash"] for one in found}
    for row in rows:
        where = f"{events_topic(service)}, partition {row.shard}"
        if hashes.get(row.position) != row.hash or row.chain(row.previous) != row.hash:
            raise HoldsOther(f"{where}, has another event at {row.position} than {service}'s ledger: {_OTHER}")
        if row.position > position + 1:
            raise HoldsOther(f"{where}, has position {row.position}, but not position {position + 1}, which comes before: {_HOLED}")
        position = max(position, row.position)
    return position


def _row(service: str, record: object) -> LedgerRow:
    topic, partition, offset = record.topic, record.partition, record.offset  # type: ignore[attr-defined]
    try:
        row, row_previous = read_event(text_headers(record.headers), record.value, partition)  # type: ignore[attr-defined]
    except NotAnEvent as why:
        raise HoldsOther(f"{topic}/{partition}/{offset} is no event of {service}'s ({why}): {_HOLED}") from why
    row.previous = row_previous
    return row


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes one service's shards."""

    producer: AIOKafkaProducer
    connection: asyncpg.Connection
    """In the service's schema."""
    service: str
    generation: str
    """The installation's."""

    async def fill(self, head: Head, after: int) -> AsyncIterator[int]:
        """Writes what the topic has not, and says after each page how many events that was.

        Args:
            head: The shard's: nobody decides meanwhile.
            after: Up to here the topic has it.

        Raises:
            ChangedRow: where the ledger is not what was written.
        """
        while after < head.position:
            rows = await store.read_ledger(self.connection, head.shard, after, PAGE_ROWS)
            for expected, row in enumerate(rows, after + 1):
                if row.position != expected or row.chain(row.previous) != row.hash:
                    raise ChangedRow(f"{self.service}'s ledger, shard {head.shard}, is not what was written at {expected}: {_CHANGED}")
            if not rows:
                raise ChangedRow(f"{self.service}'s ledger, shard {head.shard}, ends at {after}, not at {head.position}: {_CHANGED}")
            after = rows[-1].position
            records = [(event_key(row), row, event_headers(row, row.previous, self.generation, self.service)) for row in rows]
            await _send(self.producer, events_topic(self.service), head.shard, records)
            yield len(rows)

    async def ask_again(self, heads: Mapping[int, Head], shard: int) -> int:
        """Sends the requests of a shard again that the shards whom they ask have not taken in. How many.

        Each shard knows by a watermark which of another's requests it has taken in: what it has it would only drop.
        """
        seen = {number: head.seen.get(f"{commands_topic(self.service)}/{shard}", Seen()).position for number, head in heads.items()}
        count, after = 0, min(seen.values())
        while True:
            places = [
                (shard, row["position"])
                for row in await self.connection.fetch(
                    "SELECT position FROM ledger WHERE shard = $1 AND position > $2 AND target IS NOT NULL ORDER BY position LIMIT $3",
                    shard, after, PAGE_ROWS,
                )
            ]  # fmt: skip
            if not places:
                return count
            rows = await store.read_rows(self.connection, places)
            going: dict[int, list[Outgoing]] = {}
            for place in places:
                row, after = rows[place], place[1]
                assert row.target is not None, "it was asked for"
                target = shard_of(row.target, len(heads))
                if row.position > seen[target]:
                    headers = request_headers(row, self.generation, self.service)
                    going.setdefault(target, []).append((key_of(row.target), row, headers))
            for target, records in going.items():
                await _send(self.producer, commands_topic(self.service), target, records)
                count += len(records)


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Outgoing]) -> None:
    """In order, one batch under way at a time."""
    batch: BatchBuilder = producer.create_batch()
    for key, row, headers in records:
        sent_ms = int(row.now.timestamp() * 1000)
        if batch.append(key=key, value=row.body, timestamp=sent_ms, headers=headers) is None:
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=row.body, timestamp=sent_ms, headers=headers)
    await (await producer.send_batch(batch, topic, partition=partition))


class ChangedRow(RuntimeError):
    """A ledger is not what was written."""


_OTHER = (
    "it is another installation's, or the database is older than its Kafka (`makegood doctor` tells). Nothing was written. A topic whose "
    "events nobody wants is deleted first (kafka-topics --delete), and made again by this"
)
_HOLED = "nothing was written. Delete this topic (kafka-topics --delete), and run this again: all of it is made again from the ledger"
_CHANGED = "`makegood verify` tells of all that was changed. Nothing more is written"
