"""One shard in one process: taken over, decided batch by batch, given up. The loop that everything else serves.

A batch is one transaction: lock the head, see what is new, ask the mind, write, commit. Nothing is remembered that was not committed, so
whatever fails, the same records are simply decided again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from shared.contract.upcasts import newest
from shared.machine import store
from shared.machine.cache import Cache
from shared.machine.deciding import Batch, Key, Known
from shared.machine.head import Fenced, Head, Stopped
from shared.machine.mind import Mind, Timer
from shared.machine.patience import PASSING
from shared.machine.relay import Relay
from shared.machine.rows import Live
from shared.machine.told import SHARD, Reader, Record, Told
from shared.policy.model import Policy

CLOCKS_DIFFER_MAX = timedelta(minutes=5)
"""So far may the database's clock and the process's be apart."""
JUMP_MAX = timedelta(hours=1)
"""So far may the database's clock jump beyond the time that has passed."""
PAUSE_FIRST_SECONDS, PAUSE_MAX_SECONDS = 0.2, 10.0
DEATHS = 3
"""After so many take-overs without a committed batch, records are tried one by one."""
DUE_POLL_SECONDS = 0.02
ROOM_ROWS = 100_000
"""So many rows are written at most before room is made again; a piece is made a million rows ahead."""
OURS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.SyntaxOrAccessError)
"""What PostgreSQL answers to a mistake of ours: it does not pass by itself."""
INBOX_BATCHES = 4
"""Batches' worth of records that wait in memory before fetching pauses."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Range:
    """Which offsets of a topic's partition there are."""

    incarnation: str
    """The topic's id."""
    beginning: int
    end: int


class Feed(Protocol):
    """Where a shard's records come from."""

    async def ranges(self, shard: int) -> Mapping[str, Range]:
        """What there is of each topic."""

    def rewind(self, shard: int, offsets: Mapping[str, int]) -> None:
        """Fetch from here on."""

    def pause(self, shard: int) -> None:
        """Fetch nothing for a while."""

    def resume(self, shard: int) -> None:
        """Fetch again."""


@dataclass(slots=True)
class Watch:
    """What others may know of a shard: for /readyz, /metrics and doctor."""

    trouble: tuple[str, str] | None = None
    """The cause in a word, and what to do; None while all is well."""
    owned: bool = False
    position: int = 0
    offsets: Mapping[str, int] = field(default_factory=dict)
    """The next offset of each topic."""
    incarnations: Mapping[str, str] = field(default_factory=dict)
    """The topics' ids, as of the take-over."""
    batches: int = 0
    inputs: int = 0
    events: int = 0
    seconds: float = 0.0


class Shard:
    """One shard."""

    def __init__(
        self, shard: int, mind: Mind, reader: Reader, pool: asyncpg.Pool, feed: Feed, *, policies: dict[str, Policy], default_policy: bytes,
        batch_records: int, relay: Callable[[int, int], Relay],
    ) -> None:  # fmt: skip
        """`policies`: those known, by digest, shared by the process's shards. `relay`: makes the shard's relay, given shard and epoch."""
        self.shard, self.mind, self.reader, self.pool, self.feed = shard, mind, reader, pool, feed
        self.watch = Watch()
        self._policies, self._default_policy = policies, default_policy
        self._batch_records, self._make_relay = batch_records, relay
        self._inbox: deque[Record] = deque()
        self._paused = False
        self._wake = asyncio.Event()
        self._stopping = False
        self._again = False
        self._went_well = False
        self._head = Head(shard)
        self._cache = Cache()
        self._relay: Relay | None = None
        self._last: tuple[datetime, float] | None = None
        self._room = Head(shard)
        """Where the shard stood when room was last made."""

    def offer(self, records: Sequence[Record]) -> None:
        """Records were fetched."""
        self._inbox.extend(records)
        if not self._paused and len(self._inbox) >= INBOX_BATCHES * self._batch_records:
            self._paused = True
            self.feed.pause(self.shard)
        self._wake.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping

    @property
    def relayed(self) -> int:
        """Up to which position every event was acknowledged by Kafka."""
        return self._relay.place if self._relay else 0

    def look_again(self) -> None:
        """What Kafka has is not what it had: take the shard over anew, and look where to begin."""
        self._again = True
        self._wake.set()

    def stop(self) -> None:
        """Ends `run` after the batch that is under way."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Decides for ever, whatever happens, until told to stop or until somebody else has the shard."""
        pause = PAUSE_FIRST_SECONDS
        while not self._stopping:
            try:
                await self._own()
            except Fenced:
                log.warning("fenced", shard=self.shard, epoch=self._head.epoch)
                return
            except Exception as error:  # noqa: BLE001 - a shard's fault is its own: the others go on
                self._troubled(error)
                pause = PAUSE_FIRST_SECONDS if self._went_well else min(pause * 2, PAUSE_MAX_SECONDS)
            if not self._stopping:
                await asyncio.sleep(pause)

    def _troubled(self, error: Exception) -> None:
        """Says what is the matter. The shard is taken over anew after a pause: what was under way is forgotten, and decided again."""
        match error:
            case Stopped(cause=cause):
                self.watch.trouble = cause, str(error)
                log.error("shard_stopped", shard=self.shard, cause=cause, what=str(error))
            case KafkaError():
                self.watch.trouble = "kafka", f"Kafka does not answer: {error!r}"
                log.warning("shard_waits", shard=self.shard, error=repr(error))
            case _ if isinstance(error, PASSING) and not isinstance(error, OURS):
                self.watch.trouble = "database", f"PostgreSQL does not answer: {type(error).__name__}"
                log.warning("shard_waits", shard=self.shard, error=repr(error))
            case _:
                self.watch.trouble = "failed", f"{type(error).__name__}: see the log"
                log.error("shard_failed", shard=self.shard, exc_info=error)

    async def _own(self) -> None:
        """From taking the shard over until giving it up or losing it."""
        self._cache.forget()
        self.feed.pause(self.shard)
        self._inbox.clear()
        self._again = False
        self._went_well = False
        self._head = self._room = await store.take_over(self.pool, self.shard)
        self._rewind(await self.feed.ranges(self.shard))
        self._relay = self._make_relay(self.shard, self._head.epoch)
        relaying = asyncio.create_task(self._relay.run(self._head.position))
        try:
            self.watch.owned = True
            await self._decide_all(relaying)
            await self._let_go()
        finally:
            self.watch.owned = False
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)

    async def _let_go(self) -> None:
        async with self.pool.acquire() as connection:
            await store.let_go(connection, self.shard, self._head.epoch)

    # ---- where to begin ----------------------------------------------------------------------------------------------------

    def _rewind(self, ranges: Mapping[str, Range]) -> None:
        """Begins where the head says. Raises Stopped where Kafka no longer has, or never had, what the head expects."""
        offsets: dict[str, int] = {}
        for topic in self.reader.topics:
            there = ranges[topic]
            known, expected = self._head.incarnations.get(topic), self._head.offsets.get(topic)
            is_new = known is not None and known != there.incarnation
            if expected is None or (is_new and topic in self.reader.events_of):
                offsets[topic] = there.beginning  # of events, positions tell what was seen
                continue
            if is_new or there.end < expected:
                raise Stopped(
                    "topic changed", f"{topic} is not the topic that shard {self.shard} read up to offset {expected}: it was made anew, or "
                    "another cluster answers. Nothing is read from it. `makegood doctor` says what to do.",
                )  # fmt: skip
            if there.beginning > expected:
                raise Stopped(
                    "lost range", f"Kafka no longer has {topic}/{self.shard} from offset {expected} to {there.beginning - 1}: it was kept "
                    "for too short a time while this shard was not read. `makegood doctor` says what to do.",
                )  # fmt: skip
            offsets[topic] = expected
        self.watch.incarnations = {topic: ranges[topic].incarnation for topic in self.reader.topics}
        self.watch.offsets = offsets
        self.feed.rewind(self.shard, offsets)
        self._paused = False

    # ---- batch by batch ----------------------------------------------------------------------------------------------------

    async def _decide_all(self, relaying: asyncio.Task[None]) -> None:
        tried_alone = self._batch_records if self._head.attempts > DEATHS else 0
        await self._decide([])  # the first policy, and what came due meanwhile
        self.watch.trouble, self._went_well = None, True
        while not self._stopping:
            await self._woken(relaying)
            if self._stopping:
                return
            if self._again:
                raise Stopped("kafka", "what Kafka has is not what it had; looking again")
            count = 1 if tried_alone else min(self._batch_records, len(self._inbox))
            records = [self._inbox[number] for number in range(min(count, len(self._inbox)))]
            if tried_alone and records:
                tried_alone -= 1
                await self._mark(records[0])
            if await self._decide(records):
                for _ in records:
                    self._inbox.popleft()
            if self._paused and len(self._inbox) < self._batch_records:
                self._paused = False
                self.feed.resume(self.shard)

    async def _woken(self, relaying: asyncio.Task[None]) -> None:
        """Until there are records, or a timer is due. The relay must not end meanwhile."""
        while not self._inbox and not self._stopping and not self._again:
            if relaying.done():
                relaying.result()
            self._wake.clear()
            wait = 1.0
            if self._cache.next_due is not None:
                wait = min(wait, max(DUE_POLL_SECONDS, (self._cache.next_due - datetime.now(UTC)).total_seconds()))
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                if self._cache.next_due is not None and self._cache.next_due <= datetime.now(UTC):
                    return

    async def _mark(self, record: Record) -> None:
        async with self.pool.acquire() as connection:
            await store.mark_attempt(connection, self.shard, self._head.epoch, _place(record))

    async def _decide(self, records: Sequence[Record]) -> bool:
        """One batch. Whether the records were taken in: due timers go first and may fill it.

        Raises:
            Fenced: another process has the shard.
            Stopped: the shard can't go on.
            asyncpg.PostgresError, OSError: nothing was committed, or nobody knows; what is remembered is forgotten.
        """
        began = time.perf_counter()
        told = [self.reader.record(record) for record in records]
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                head, clock = await store.lock_head(connection, self.shard, self._head.epoch)
                if not self._cache.holds(head):
                    self._cache.next_due = await store.read_next_due(connection, self.shard)
                now = self._now(head, clock)
                fresh = [one for one in told if one.offset >= head.offsets.get(one.topic, 0)]
                due = await self._due(connection, now)
                if not fresh and not due and head.policy:
                    return True
                loaded, known = await self._known(connection, head, fresh, due)
                batch = Batch(self.mind, self.reader, head, now, known)
                head.incarnations.update(self.watch.incarnations)
                trying, head.trying = head.trying, ""
                batch.begin(self._default_policy)
                cleared = [(one.key, one.timer.timer) for one in due if not self._fire(batch, one)]
                full = len(due) == store.DUE_MAX
                for one in () if full else fresh:
                    if trying and trying == _place(one):
                        batch.park(one, "process_died", "the process died when it tried this one")
                    else:
                        batch.take(one)
                batch.rows.end()
                changes = _timer_changes(batch, known, cleared)
                await store.write(connection, batch, changes)
                next_due = await self._next_due(connection, changes, is_due=bool(due))
        except BaseException:
            self._cache.forget()
            raise
        self._cache.committed(batch, loaded, next_due)
        self._head = batch.head
        self._last = batch.head.now, time.monotonic()
        assert self._relay is not None, "who decides has a relay"
        self._relay.offer(batch.rows.ledger)
        await self._make_room(batch.head)
        self._count(batch, time.perf_counter() - began)
        return not full

    def _fire(self, batch: Batch, due: store.Due) -> bool:
        """Whether the stream wants the timer; then it is told."""
        if not batch.wants(due.timer, due.key):
            return False
        batch.take(self.reader.timer(due.timer, *due.key))
        return True

    async def _known(
        self, connection: store.Connection, head: Head, told: Iterable[Told], due: Iterable[store.Due]
    ) -> tuple[dict[Key, Live], Known]:
        """Reads what the batch needs and is not remembered: streams, messages, policies."""
        keys: list[Key] = [(SHARD, self.reader.shard_stream(self.shard)), *(one.key for one in due)]
        ids: set[str] = set()
        for one in told:
            if one.stream is not None and one.kind in self.mind.streams and (one.source is None or newest(one.type) in self.mind.hears):
                keys.append((one.kind, one.stream))
            if one.once:
                ids.add(one.once)
        missing = self._cache.missing(keys)
        loaded = await store.read_streams(connection, self.mind, self.shard, missing) if missing else {}
        messages = await store.read_messages(connection, self.shard, list(ids)) if ids else {}
        if head.policy and head.policy not in self._policies:
            self._policies.update(await store.read_policies(connection))
        streams = {key: live for key in keys if (live := loaded.get(key) or self._cache.streams.get(key)) is not None}
        return loaded, Known(self._policies, streams, messages)

    async def _next_due(self, connection: store.Connection, changes: store.TimerChanges, *, is_due: bool) -> datetime | None:
        """When the next timer is due, without asking where that can be helped."""
        if is_due:
            return await store.read_next_due(connection, self.shard)
        set_now = [timer.due_at for timer in changes.set.values()]
        return min(filter(None, [self._cache.next_due, *set_now]), default=None)

    async def _due(self, connection: store.Connection, now: datetime) -> list[store.Due]:
        if self._cache.next_due is None or self._cache.next_due > now:
            return []
        due = await store.read_due(connection, self.shard, now)
        if not due:  # what was due next is wanted no more
            self._cache.next_due = await store.read_next_due(connection, self.shard)
        return due

    def _now(self, head: Head, clock: datetime) -> datetime:
        """The batch's time. One bad clock must not poison a shard for ever, so one that disagrees is not believed."""
        if abs(clock - datetime.now(UTC)) > CLOCKS_DIFFER_MAX:
            raise Stopped("clock", f"PostgreSQL's clock says {clock:%Y-%m-%d %H:%M:%S} UTC, this machine's is 5 minutes off: set both")
        if self._last is not None:
            now, monotonic = self._last
            if clock - now > timedelta(seconds=time.monotonic() - monotonic) + JUMP_MAX:
                raise Stopped("clock", f"PostgreSQL's clock jumped to {clock:%Y-%m-%d %H:%M:%S} UTC: set it right")
        return max(head.now, clock)

    async def _make_room(self, head: Head) -> None:
        """Well before a piece is full, or a month over, the next one is made."""
        room = self._room
        if head.now.date() == room.now.date() and max(head.entry - room.entry, head.position - room.position) < ROOM_ROWS:
            return
        async with self.pool.acquire() as connection:
            await store.make_room(connection, head)
        self._room = head

    def _count(self, batch: Batch, seconds: float) -> None:
        self.watch.position, self.watch.offsets = batch.head.position, batch.head.offsets
        self.watch.batches += 1
        self.watch.inputs += len(batch.rows.journal)
        self.watch.events += len(batch.rows.ledger)
        self.watch.seconds += seconds


def _timer_changes(batch: Batch, known: Known, cleared: list[tuple[Key, str]]) -> store.TimerChanges:
    """What the batch's streams want now, compared with what they wanted before."""
    changes = store.TimerChanges({}, cleared)
    for key, live in batch.touched.items():
        before_live = known.streams.get(key)
        if before_live is not None and before_live.state is live.state and before_live.parked == live.parked:
            continue
        before: Mapping[str, Timer] = batch.timers(before_live) if before_live else {}
        after = batch.timers(live)
        changes.cleared.extend((key, name) for name in before.keys() - after.keys())
        changes.set.update({(key, name): timer for name, timer in after.items() if before.get(name) != timer})
    return changes


def _place(record: Record | Told) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
