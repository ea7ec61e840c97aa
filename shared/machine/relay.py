"""The relay: from the ledger to Kafka, in the ledger's order, at least once.

Each shard has a place: the position up to which every row was acknowledged on every topic it goes to. It lies in PostgreSQL. After any
failure the producer is closed, a new one is made, and all after the place is sent again; consumers know positions and skip what they had.
One batch a partition is under way, so a later row can't arrive where an earlier one did not.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from shared import clock
from shared.contract.envelope import commands_topic, events_topic, key_of
from shared.errors import place_of
from shared.kafka import Kafka
from shared.machine import store
from shared.machine.bytes import LedgerRow
from shared.machine.patience import PASSING, is_told_to_end, patiently
from shared.machine.records import Headers, event_headers, event_key, request_headers
from shared.machine.told import Reader

BATCH_ROWS = 500
"""Ledger rows sent at a time, at most."""
BATCH_BYTES = 512 * 1024
"""Of a Kafka batch; a single larger record still goes, alone."""
MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""What topics take: an event may be somewhat larger than the input it came from, which Kafka's own limit of 1 MiB bounds."""
HELD_ROWS = 4 * BATCH_ROWS
"""Rows kept in memory for sending; those beyond are read from the ledger when their turn comes."""
HELD_BYTES = 4 * 1024 * 1024
"""Of their bodies."""
NOTED_EVERY_SECONDS = 0.25
"""How often the place is noted, at most."""
ACKNOWLEDGED_SECONDS = 30.0
"""How long Kafka may take to acknowledge a batch before it is sent again."""
RETRY_SECONDS = 0.5
"""Before what was not acknowledged is sent again."""
STUCK_SECONDS = 10.0
"""After so long without acknowledgement /readyz says so."""
START_SECONDS = 60.0
"""How long a producer may take to begin: it asks the broker for its number."""
CLOSE_SECONDS = 5.0
"""How long a producer may take to end."""

Outgoing = tuple[bytes, bytes, int, Headers]
"""A record's key, value, time in milliseconds, headers."""
log = structlog.get_logger()


class Outlet:
    """A process's producer. It is replaced as a whole after any failure: what was under way on the old one is unknown."""

    def __init__(self, kafka: Kafka) -> None:
        """`kafka`: where to."""
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()

    async def producer(self, broken: AIOKafkaProducer | None = None) -> AIOKafkaProducer:
        """The producer in use, or a new one in the place of a broken one. Waits for Kafka as long as it takes."""
        async with self._turn:
            if self._producer is not None and self._producer is broken:
                await self._close()
            while self._producer is None:
                producer = self._kafka.producer(
                    max_request_size=MESSAGE_BYTES_MAX, max_batch_size=BATCH_BYTES, request_timeout_ms=int(ACKNOWLEDGED_SECONDS * 1000)
                )
                try:
                    async with asyncio.timeout(START_SECONDS):
                        await producer.start()
                    self._producer = producer
                except (KafkaError, OSError) as error:
                    log.warning("kafka_is_away", error=repr(error))
                    await self._kafka.stop_producer(producer, CLOSE_SECONDS)
                    await asyncio.sleep(RETRY_SECONDS)
                except asyncio.CancelledError:  # whoever waited does so no more; it would go on by itself
                    await self._kafka.stop_producer(producer, CLOSE_SECONDS)
                    raise
            return self._producer

    async def close(self) -> None:
        """No more is sent."""
        async with self._turn:
            await self._close()

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._kafka.stop_producer(producer, CLOSE_SECONDS)


class Relay:
    """One shard's relay."""

    def __init__(
        self, shard: int, epoch: int, service: str, generation: str, *, reader: Reader, pool: asyncpg.Pool, outlet: Outlet,
        sent: Callable[[int], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`sent` is told how many rows were acknowledged."""
        self.shard, self.epoch, self.service, self.generation = shard, epoch, service, generation
        self._reader, self._pool, self._outlet, self._sent = reader, pool, outlet, sent
        self.place = 0
        """Up to here every row was acknowledged."""
        self.end = 0
        """Up to here the ledger is known to go."""
        self.trouble: tuple[str, str] | None = None
        """Why nothing has been acknowledged for a while, as a worker's trouble is told; None while all is well."""
        self._held: deque[LedgerRow] = deque()
        self._held_bytes = 0
        self._more = asyncio.Event()
        self._unnoted: list[tuple[int, datetime]] = []

    def offer(self, rows: Sequence[LedgerRow]) -> None:
        """These rows were committed. They are kept in memory if they are the next ones and not too many wait already."""
        if not rows:
            return
        next_held = self._held[-1].position + 1 if self._held else self.place + 1
        size = sum(len(row.body) for row in rows)
        if rows[0].position == next_held and len(self._held) < HELD_ROWS and self._held_bytes + size <= HELD_BYTES:
            self._held.extend(rows)
            self._held_bytes += size
        self.end = max(self.end, rows[-1].position)
        self._more.set()

    async def run(self, end: int) -> None:
        """Sends for ever. `end`: where the ledger ended when the shard was taken over."""
        self.end = max(self.end, end)
        self.place = await self._read_place()
        noting = asyncio.create_task(self._note_now_and_then())
        try:
            while True:
                while self.place >= self.end:
                    self._more.clear()
                    await self._more.wait()
                await self._send(await self._next())
        finally:
            noting.cancel()
            with suppress(*PASSING):
                await self._note()

    @patiently
    async def _next(self) -> Sequence[LedgerRow]:
        while self._held and self._held[0].position <= self.place:
            self._held_bytes -= len(self._held.popleft().body)
        if self._held and self._held[0].position == self.place + 1:
            return [self._held[number] for number in range(min(BATCH_ROWS, len(self._held)))]
        self._held.clear()
        self._held_bytes = 0
        async with self._pool.acquire() as connection:
            return await store.read_ledger(connection, self.shard, self.place, BATCH_ROWS)

    async def _send(self, rows: Sequence[LedgerRow]) -> None:
        """Sends rows until every one of them is acknowledged, by as many producers as it takes."""
        producer, began = await self._outlet.producer(), clock.passed()
        while True:
            try:
                await self._send_by(producer, rows)
                break
            except (KafkaError, OSError, TimeoutError) as error:
                if is_told_to_end():
                    raise
                log.warning("sending_again", shard=self.shard, after=self.place, error=repr(error))
                if clock.passed() - began > STUCK_SECONDS:
                    self.trouble = "relay", f"Kafka does not take what follows position {self.place}, which is sent again: {error!r}"
                await asyncio.sleep(RETRY_SECONDS)
                producer = await self._outlet.producer(broken=producer)
        self.place, self.trouble = rows[-1].position, None
        self._unnoted.append((self.place, clock.now()))
        self._sent(len(rows))

    async def _send_by(self, producer: AIOKafkaProducer, rows: Sequence[LedgerRow]) -> None:
        """Every row goes to the events topic; a request goes to whom it asks, too. A partition has one batch under way at a time."""
        events: list[Outgoing] = []
        going: dict[tuple[str, int], list[Outgoing]] = {(events_topic(self.service), self.shard): events}
        now, sent_ms = None, 0
        for row in rows:
            if row.now is not now:
                now, sent_ms = row.now, int(row.now.timestamp() * 1000)
            events.append((event_key(row), row.body, sent_ms, event_headers(row, row.previous, self.generation, self.service)))
            if row.target is not None:
                place = commands_topic(self.service), self._reader.shard_of(row.target)
                headers = request_headers(row, self.generation, self.service)
                going.setdefault(place, []).append((key_of(row.target), row.body, sent_ms, headers))
        done = await asyncio.gather(*(_send_to(producer, *place, records) for place, records in going.items()), return_exceptions=True)
        for failed in filter(None, done):
            raise failed

    # ---- the place ---------------------------------------------------------------------------------------------------------

    @patiently
    async def _read_place(self) -> int:
        async with self._pool.acquire() as connection:
            return await store.read_relayed(connection, self.shard)

    async def _note_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(NOTED_EVERY_SECONDS)
            try:
                await self._note()
            except Exception as error:
                if is_told_to_end():
                    raise
                log.warning("place_not_noted", shard=self.shard, error=place_of(error))

    async def _note(self) -> None:
        if not self._unnoted:
            return
        places = list(self._unnoted)
        async with self._pool.acquire() as connection:
            await store.note_relayed(connection, self.shard, self.epoch, places)
        del self._unnoted[: len(places)]


async def _send_to(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Outgoing]) -> None:
    batch: BatchBuilder = producer.create_batch()
    for key, body, sent_ms, headers in records:
        if batch.append(key=key, value=body, timestamp=sent_ms, headers=headers) is None:
            await _acknowledged(producer, batch, topic, partition)
            batch = producer.create_batch()
            batch.append(key=key, value=body, timestamp=sent_ms, headers=headers)
    await _acknowledged(producer, batch, topic, partition)


async def _acknowledged(producer: AIOKafkaProducer, batch: BatchBuilder, topic: str, partition: int) -> None:
    async with asyncio.timeout(ACKNOWLEDGED_SECONDS):
        await (await producer.send_batch(batch, topic, partition=partition))
