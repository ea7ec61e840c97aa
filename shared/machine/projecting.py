"""A read side as a process's share of the shards: events applied exactly once, in order, their chain checked, in one transaction a batch.

The place of each (service, shard), its position and hash, is written with what is made of the events. Whoever finds a position taken
skips it, so that two who believe they own a shard can't apply an event twice.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncpg
import structlog

from shared.contract.envelope import SERVICES, events_topic, text_headers
from shared.machine.bytes import GENESIS, LedgerRow
from shared.machine.chain import taken_in
from shared.machine.head import Seen
from shared.machine.records import NotAnEvent, read_event
from shared.machine.store import Connection
from shared.machine.told import Record
from shared.machine.worker import Feed, Worker

TOPICS: Mapping[str, str] = {events_topic(service): service for service in SERVICES}
"""The topics of events, and whose they are."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of a service, as it was taken in."""

    service: str
    row: LedgerRow


class Projection(Protocol):
    """What is made of the events: one question that it answers."""

    async def project(self, connection: Connection, heard: Sequence[Heard]) -> None:
        """Applies events, in the order of each service's ledger, in the caller's transaction."""


class Projector(Worker):
    """One shard of a read side."""

    def __init__(self, shard: int, feed: Feed, batch_records: int, pool: asyncpg.Pool, projections: Sequence[Projection]) -> None:
        """`pool`: its search path has the table `places`."""
        super().__init__(shard, feed, batch_records)
        self._pool, self._projections = pool, projections

    async def _own(self) -> None:
        async with self._pool.acquire() as connection:
            await connection.execute(
                "INSERT INTO places (service, shard) SELECT service, $2 FROM unnest($1::text[]) AS service ON CONFLICT DO NOTHING",
                list(SERVICES), self.shard,
            )  # fmt: skip
            rows = await connection.fetch("SELECT service, next_offset, incarnation FROM places WHERE shard = $1", self.shard)
        known = {events_topic(row["service"]): row for row in rows if row["incarnation"]}
        offsets = {topic: row["next_offset"] for topic, row in known.items()}
        incarnations = {topic: row["incarnation"] for topic, row in known.items()}
        self._begin(await self.feed.ranges(self.shard), offsets, incarnations, TOPICS)
        while not self.stopping:
            records = await self._records()
            if records:
                await self._apply(records)
                self._taken(len(records))

    async def _apply(self, records: Sequence[Record]) -> None:
        began = time.perf_counter()
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "SELECT service, position, hash FROM places WHERE shard = $1 ORDER BY service FOR UPDATE", self.shard
            )
            seen = {row["service"]: Seen(row["position"], row["hash"]) for row in rows}
            heard = self._heard(records, seen)
            for projection in self._projections:
                await projection.project(connection, heard)
            offsets = dict(self.watch.offsets) | {record.topic: record.offset + 1 for record in records}
            places = [
                (service, seen[service].position, seen[service].hash, offsets[topic], self.watch.incarnations[topic])
                for topic, service in TOPICS.items()
            ]
            await connection.executemany(
                "UPDATE places SET position = $3, hash = $4, next_offset = $5, incarnation = $6, at = clock_timestamp()"
                " WHERE shard = $1 AND service = $2",
                [(self.shard, *place) for place in places],
            )  # fmt: skip
        watch = self.watch
        watch.offsets, watch.position = offsets, sum(one.position for one in seen.values())
        watch.batches, watch.inputs, watch.events = watch.batches + 1, watch.inputs + len(records), watch.events + len(heard)
        watch.seconds += time.perf_counter() - began

    def _heard(self, records: Sequence[Record], seen: dict[str, Seen]) -> list[Heard]:
        """What of the records is new. `seen` is carried on."""
        heard = []
        for record in records:
            service, where = TOPICS[record.topic], f"{record.topic}/{record.partition}/{record.offset}"
            try:
                row, previous = read_event(text_headers(record.headers), record.value, record.partition)
            except NotAnEvent as why:
                log.warning("no_event", where=where, why=str(why))
                continue
            row.previous = previous
            place = taken_in(row, seen.get(service, Seen(0, GENESIS)), service, where)
            if place is not None:
                seen[service] = place
                heard.append(Heard(service, row))
        return heard
