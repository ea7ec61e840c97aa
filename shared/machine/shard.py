"""One shard of a deciding service: taken over, decided batch by batch, given up. The loop that everything else serves.

A batch is one transaction: lock the head, see what is new, ask the mind, write, commit. Nothing is remembered that was not committed, so
whatever fails, the same records are simply decided again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

import asyncpg
import structlog

from shared import clock
from shared.contract.upcasts import newest
from shared.machine import store, waiting
from shared.machine.answering import Known
from shared.machine.cache import Cache
from shared.machine.clock import Clock
from shared.machine.deciding import Batch
from shared.machine.head import Head
from shared.machine.held import AGAIN, Key, Settling
from shared.machine.inputs import appended_at, new_ones, place_of, timer_changes
from shared.machine.mind import Mind
from shared.machine.patience import PASSING
from shared.machine.relay import Relay
from shared.machine.rows import Live
from shared.machine.tail import Tail, must_have
from shared.machine.told import SHARD, Reader, Record, Told
from shared.machine.turns import Turns
from shared.machine.worker import WELL_AFTER_SECONDS, Feed, Worker, passes
from shared.policy.model import Policy

DEATHS = 3
"""After so many attempts without a committed batch inputs are tried one by one, beside no other shard's; after so many of one
input alone, it is given up."""
DECIDING_SECONDS = 0.5
"""After so long a batch is full, however few inputs it has: PostgreSQL waits for it, and so do the other shards. Those that are decided
side by side share it."""
ROOM_ROWS = 100_000
"""So many rows are written at most before room is made again; a piece is made a million rows ahead."""
ROOM_PAUSE_SECONDS = 10.0
"""Before room is made again where somebody was in the way."""


log = structlog.get_logger()


@dataclass(slots=True)
class Terms:
    """What the shards of a process share."""

    mind: Mind
    reader: Reader
    pool: asyncpg.Pool
    spare: asyncpg.Pool
    """For whoever takes a shard over from a frozen process."""
    tail: Tail
    relay: Callable[[int, int], Relay]
    """Makes a shard's relay, given the shard and its epoch."""
    policies: dict[str, Policy]
    """Those known, by digest."""
    default_policy: bytes
    """What an installation begins with: the body of a `PublishPolicy`."""
    turns: Turns
    open: int = 0
    """How many transactions are open: while one is decided the others say nothing to PostgreSQL, which ends those that are silent."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """While the block lasts a transaction more is open."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1


class TooSlow(Exception):
    """An input takes longer to decide than PostgreSQL waits for a transaction: it does not pass by itself."""


class Shard(Worker):
    """One shard."""

    def __init__(self, shard: int, feed: Feed, batch_records: int, terms: Terms) -> None:
        """See `Worker`."""
        super().__init__(shard, feed, batch_records)
        self.mind, self.reader, self.pool, self._terms = terms.mind, terms.reader, terms.pool, terms
        self._cache = Cache()
        self._name, self._had = uuid4().hex, False
        self._head = self._taken_over = Head(shard)
        self._clock = Clock()
        self._ahead: Mapping[str, int] = {}
        """How far the topics went from which there was something to read when the shard was taken over: what it died of may be there."""
        self._deciding_seconds = 0.0
        """Of the batch that is under way."""
        self._most = batch_records
        """Records of the next batch, at most: fewer after PostgreSQL ended one, on a machine that has too much to do."""
        self._attempted = False
        """Whether the attempt is counted."""
        self._waiting_max = batch_records
        """Most inputs that waited, of a batch."""
        self._unsettled: tuple[int, str] | None = None
        """The attempts, and what was being tried, as they were before the attempt that is under way."""
        self._room, self._room_at = Head(shard), 0.0
        self._relay: Relay | None = None

    async def _own(self) -> None:
        self._cache.forget()
        await self.feed.ranges(self.shard)  # whoever does not reach its Kafka takes no shard from one who may
        taking = store.Taking(self.shard, self._name, self._had, self.mind.rules, self._unsettled)
        self._head = self._taken_over = await store.take_over(self.pool, self._terms.spare, taking)
        self._had, self._unsettled, self._attempted = True, None, False
        ranges = await self.feed.ranges(self.shard)
        await self._must_have_what_was_told()
        await self._make_room(self._head)
        self._begin(ranges, self._head.offsets, self._head.incarnations, self.reader.events_of)
        self._ahead = {topic: there.end for topic, there in ranges.items() if there.end > self.watch.offsets[topic]}
        self._relay = self._terms.relay(self.shard, self._head.epoch)
        relaying = asyncio.create_task(self._relay.run(self._head.position))
        try:
            await self._decide_all(relaying)
        except Exception as error:
            if not passes(error):
                self._unsettled = None  # it counts as a death: what was being tried may be what is the matter
            raise
        finally:
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)

    async def _must_have_what_was_told(self) -> None:
        """Raises Stopped where Kafka has events that are not in the ledger: it is an older one."""
        last = await self._terms.tail.last(self.shard)
        async with self.pool.acquire() as connection:
            await must_have(connection, self.mind.service, self.shard, self._head.position, last)

    async def _decide_all(self, relaying: asyncio.Task[None]) -> None:
        alone = self.batch_records + store.DUE_MAX if self._taken_over.attempts >= DEATHS else 0
        records: Sequence[Record] = []  # first of all the first policy, and what came due meanwhile
        while True:
            self._waiting_max = 1 if alone else self.batch_records
            async with self._terms.turns.turn(alone=alone > 0):
                if alone or not self._attempted:
                    await self._mark_attempt(records, alone=alone > 0)
                taken = await self._decide(records, due_max=1 if alone else store.DUE_MAX)
            if taken:
                self._taken(taken)
            alone = alone - 1 if alone and self._head.attempts else 0
            records = await self._records(self._cache.next_due, [relaying], limit=1 if alone else self._most)
            if self.stopping:
                await self._settle()
                return

    async def _mark_attempt(self, records: Sequence[Record], *, alone: bool) -> None:
        """Counts an attempt before it is made, and says which input is tried, if alone: should the process die, the next one knows.

        One attempt is counted for each time that the shard is taken over; nothing is marked where there is nothing to try.
        """
        async with self.pool.acquire() as connection:
            due = await store.read_due(connection, self.shard, clock.now(), 1)
            if not due and not records:
                return
            trying, before = "", self._taken_over.trying
            if alone:
                trying = due[0].place if due else place_of(records[0])
                place, deaths = self._tried
                trying = f"{trying}#{deaths + 1 if place == trying else 1}"
            self._unsettled, self._attempted = (self._taken_over.attempts, before), True
            await store.mark_attempts(connection, self.shard, self._head.epoch, self._taken_over.attempts + 1, trying)

    async def _settle(self) -> None:
        """Whoever is told to stop has not died."""
        if self._unsettled is not None:
            async with self.pool.acquire() as connection:
                await store.mark_attempts(connection, self.shard, self._head.epoch, *self._unsettled)

    @property
    def _tried(self) -> tuple[str, int]:
        """What was tried alone when the shard was taken over, and how often."""
        place, _, deaths = self._taken_over.trying.rpartition("#")
        return place, int(deaths or 0)

    def _is_fatal(self, place: str) -> bool:
        """Whether the process died of this one, tried alone, often enough."""
        return self._tried[0] == place and self._tried[1] >= DEATHS

    # ---- one batch ---------------------------------------------------------------------------------------------------------

    async def _decide(self, records: Sequence[Record], due_max: int) -> int:
        """One batch. How many of the records were taken in: due timers go first and may fill it, and it is full after a while."""
        self._deciding_seconds = 0.0
        try:
            taken = await self._batch(records, due_max)
        except PASSING as error:
            self._most = max(1, len(records) // 2)
            if self._deciding_seconds < store.SILENCE_SECONDS:
                raise
            raise TooSlow(f"deciding took {self._deciding_seconds:.1f} s, and PostgreSQL waits for {store.SILENCE_SECONDS} s") from error
        if taken:
            self._most = min(self.batch_records, 2 * self._most)
        return taken

    async def _batch(self, records: Sequence[Record], due_max: int) -> int:
        """See `_decide`.

        Args:
            records: What was fetched.
            due_max: Most timers of the batch.

        Raises:
            Fenced: another process has the shard.
            Stopped: the shard can't go on.
            asyncpg.PostgresError, OSError: nothing was committed, or nobody knows.
        """
        began, received_at = clock.passed(), clock.now()
        told = [self.reader.record(record) for record in records]
        async with self.pool.acquire() as connection, connection.transaction(), self._terms.opened():
            head, database = await store.lock_head(connection, self.shard, self._head.epoch)
            if not self._cache.holds(head):
                self._cache.next_due = await store.read_next_due(connection, self.shard)
            now = self._clock.now(head.now, database, appended_at(records))
            self._renew(head)
            fresh = new_ones(head, told)
            due = await self._due(connection, now, due_max)
            if not fresh and not due and head.policy:
                return len(records)
            loaded, known = await self._known(connection, head, fresh, due)
            batch = Batch(self.mind, self.reader, head, now, known)
            batch.rows.received_at = received_at
            deciding = clock.passed()
            cleared, took = self._fill(
                batch, due, fresh if len(due) < due_max else [], full_at=deciding + DECIDING_SECONDS / self._terms.open
            )
            self._deciding_seconds = clock.passed() - deciding
            taken = len(told) if took == len(fresh) else next(n for n, one in enumerate(told) if one is fresh[took])
            if self._is_through(batch, taken):
                batch.head.attempts = 0
            changes = timer_changes(batch, known, cleared)
            await store.write(connection, batch, changes)
            next_due = await self._next_due(connection, changes, fired=bool(due))
        self._cache.committed(batch, loaded, next_due)
        self._committed(batch, clock.passed() - began)
        await self._make_room(batch.head)
        return taken

    def _renew(self, head: Head) -> None:
        """The offsets of an events topic that was made anew begin anew, too; its positions tell what was seen."""
        for topic, incarnation in self.watch.incarnations.items():
            if head.incarnations.get(topic, incarnation) != incarnation:
                head.offsets.pop(topic, None)
            head.incarnations[topic] = incarnation

    def _fill(
        self, batch: Batch, due: Sequence[store.Due], fresh: Sequence[Told], full_at: float
    ) -> tuple[list[tuple[Key, str]], int]:  # fmt: skip
        """Gives the batch its inputs until it is full, one at least: what came due, then the records.

        The timers that nobody wants any more, and how many of the records it has.
        """
        began_at = batch.head.entry
        batch.begin(self._terms.default_policy)
        unwanted, inputs, taken = [], 0, 0
        trying = bool(self._taken_over.trying)
        for one in due:
            if inputs and clock.passed() > full_at:
                break
            if not batch.wants(one.timer, one.key):
                unwanted.append((one.key, one.timer.timer))
            elif one.timer.timer == AGAIN:
                inputs += waiting.go_on(batch, self.reader, one.key, fatal=self._is_fatal(one.place), full_at=full_at)
            else:
                batch.take(self.reader.timer(one.timer, *one.key), fatal=self._is_fatal(one.place))
            inputs += 1
        settled = 0
        for told in fresh:
            if inputs and clock.passed() > full_at:
                break
            if isinstance(told.command, Settling):
                if settled == waiting.SETTLED_MAX or (inputs and told.command.entry > began_at):
                    break
                settled += 1
            batch.take(told, fatal=trying and self._is_fatal(place_of(told)))
            inputs, taken = inputs + 1, taken + 1
        batch.rows.end()
        return unwanted, taken

    def _is_through(self, batch: Batch, taken: int) -> bool:
        """Whether the shard has come as far as Kafka went when it was taken over, or for a while there has been nothing more to read.

        Not while what waited is being decided: what it died of may be there, too.
        """
        head = batch.head
        if any(live.waiting and not live.parked for live in batch.touched.values()):
            return False
        if all(head.offsets.get(topic, 0) >= end for topic, end in self._ahead.items()):
            return True
        return len(self._inbox) <= taken and clock.passed() - self._began > WELL_AFTER_SECONDS

    def _committed(self, batch: Batch, seconds: float) -> None:
        self._head = batch.head
        self._clock.committed(batch.head.now)
        if not batch.head.attempts:
            self._unsettled = None
        assert self._relay is not None, "who decides has a relay"
        self._relay.offer(batch.rows.ledger)
        watch = self.watch
        watch.position, watch.offsets = batch.head.position, batch.head.offsets
        watch.batches += 1
        watch.inputs += len(batch.rows.journal)
        watch.outcomes.update(row.outcome for row in batch.rows.journal)
        watch.events += len(batch.rows.ledger)
        watch.seconds += seconds

    async def _known(
        self, connection: store.Connection, head: Head, told: Iterable[Told], due: Iterable[store.Due]
    ) -> tuple[dict[Key, Live], Known]:
        """Reads what the batch needs and is not remembered: streams, messages, policies."""
        told, passed_on = list(told), [one for one in told if one.hop is not None]
        if passed_on:
            rows = await store.read_rows(connection, [(hop.shard, hop.position) for one in passed_on if (hop := one.hop)])
            for one in passed_on:
                if one.hop is not None and not self.reader.is_row(one, rows.get((one.hop.shard, one.hop.position))):
                    one.disown()
        held = await waiting.found(connection, self.reader, self.shard, told, due, most=self._waiting_max)
        told += held.told
        keys: list[Key] = [
            (SHARD, self.reader.shard_stream(self.shard)),
            *(one.key for one in due),
            *(one.key for one in held.held.values()),
        ]
        ids: set[str] = set()
        for one in told:
            if one.stream is not None and one.kind in self.mind.streams and (one.source is None or newest(one.type) in self.mind.hears):
                keys.append((one.kind, one.stream))
            if one.once:
                ids.add(one.once)
        missing = self._cache.missing(keys)
        loaded = await store.read_streams(connection, self.mind, self.shard, missing) if missing else {}
        messages = await store.read_messages(connection, self.shard, list(ids)) if ids else {}
        policies = self._terms.policies
        if head.policy and head.policy not in policies:
            policies.update(await store.read_policies(connection))
        streams = {key: live for key in keys if (live := loaded.get(key) or self._cache.streams.get(key)) is not None}
        return loaded, Known(policies, streams, messages, held.held, held.originals)

    # ---- time --------------------------------------------------------------------------------------------------------------

    async def _due(self, connection: store.Connection, now: datetime, limit: int) -> list[store.Due]:
        if self._cache.next_due is None or self._cache.next_due > now:
            return []
        due = await store.read_due(connection, self.shard, now, limit)
        if not due:  # what was due next is wanted no more
            self._cache.next_due = await store.read_next_due(connection, self.shard)
        return waiting.limit(due)

    async def _next_due(self, connection: store.Connection, changes: store.TimerChanges, *, fired: bool) -> datetime | None:
        """When the next timer is due, without asking where that can be helped."""
        if fired:
            return await store.read_next_due(connection, self.shard)
        set_now = [timer.due_at for timer in changes.set.values()]
        return min(filter(None, [self._cache.next_due, *set_now]), default=None)

    async def _make_room(self, head: Head) -> None:
        """Well before a piece is full, or a month over, the next one is made. Where somebody is in the way, a little later."""
        room = self._room
        if head.now.date() == room.now.date() and max(head.entry - room.entry, head.position - room.position) < ROOM_ROWS:
            return
        if clock.passed() < self._room_at:
            return
        try:
            async with self.pool.acquire() as connection:
                await store.make_room(connection, head)
        except asyncpg.LockNotAvailableError:
            log.warning("no_room_made", shard=self.shard, again_in_seconds=ROOM_PAUSE_SECONDS)
            self._room_at = clock.passed() + ROOM_PAUSE_SECONDS
        else:
            self._room = replace(head)

    @property
    def trouble(self) -> tuple[str, str] | None:
        """The shard's, or its relay's."""
        return super().trouble or (self._relay.trouble if self._relay else None)

    @property
    def relayed(self) -> int:
        """Up to which position every event was acknowledged by Kafka."""
        return self._relay.place if self._relay else 0
