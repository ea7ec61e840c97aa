"""Whoever works on one shard's records in one process: an inbox that can't overflow, a place to begin, and troubles that pass.

Whatever fails, the same is done: all is forgotten, the shard is begun anew after a pause, from where the database says it stands.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from shared import clock
from shared.errors import kind_of
from shared.machine.head import Fenced, Stopped
from shared.machine.patience import PASSING
from shared.machine.progress import Lag, Progress
from shared.machine.told import Record

PAUSE_FIRST_SECONDS, PAUSE_MAX_SECONDS = 0.2, 10.0
"""Before a shard that could not go on is begun anew: each time twice as long, up to a longest."""
PAUSE_AWAY_SECONDS = 0.2
"""The longest pause where a server is away: it is asked often whether it is back, since that costs it little."""
INBOX_BATCHES = 4
"""Batches' worth of records that wait in memory before fetching pauses."""
BATCH_BYTES = 2 * 1024 * 1024
"""Most bytes of a batch's records; a single larger one still goes, alone."""
WELL_AFTER_SECONDS = 3.0
"""After so long without trouble and without anything to do, a worker is well again."""
IDLE_SECONDS = 1.0
"""How long a worker without records waits before it looks about."""
DUE_POLL_SECONDS = 0.02
"""The shortest that it waits for a timer."""
OURS = (ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.SyntaxOrAccessError)
"""What PostgreSQL, or the library before it, answers to a mistake of ours: it does not pass by itself."""

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
    """What others may know of a worker: for /readyz, /metrics and doctor."""

    trouble: tuple[str, str] | None = None
    """The cause in a word, and what to do; None while all is well."""
    owned: bool = False
    position: int = 0
    offsets: Mapping[str, int] = field(default_factory=dict)
    """The next offset of each topic."""
    incarnations: Mapping[str, str] = field(default_factory=dict)
    """The topics' ids, as of the beginning."""
    batches: int = 0
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """What became of the inputs: how many of each outcome."""
    events: int = 0
    seconds: float = 0.0


class Worker(ABC):
    """One shard's."""

    def __init__(self, shard: int, feed: Feed, batch_records: int) -> None:
        """`batch_records`: most records of a batch."""
        self.shard, self.feed, self.batch_records = shard, feed, batch_records
        self.watch, self.progress = Watch(), Progress()
        self.stopping = False
        """Whether it was told to stop."""
        self._inbox: deque[Record] = deque()
        self._inbox_bytes = 0
        self._began = 0.0
        self._paused = self._again = self._went_well = False
        self._wake = asyncio.Event()

    # ---- from outside ------------------------------------------------------------------------------------------------------

    def offer(self, records: Sequence[Record]) -> None:
        """Records were fetched."""
        self._inbox.extend(records)
        self._inbox_bytes += sum(map(_bytes, records))
        full = len(self._inbox) >= INBOX_BATCHES * self.batch_records or self._inbox_bytes >= INBOX_BATCHES * BATCH_BYTES
        if full and not self._paused:
            self._paused = True
            self.feed.pause(self.shard)
        self._wake.set()

    def look_again(self) -> None:
        """What Kafka has is not what it had: begin anew, and look where."""
        self._again = True
        self._wake.set()

    def stop(self) -> None:
        """Ends `run` after the batch that is under way."""
        self.stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Works for ever, whatever happens, until told to stop or until somebody else has the shard."""
        pause = PAUSE_FIRST_SECONDS
        while not self.stopping:
            self.progress.working_since = clock.passed()
            self.feed.pause(self.shard)
            self._inbox.clear()
            self._inbox_bytes = 0
            self._paused = self._again = self._went_well = False
            try:
                await self._own()
            except Fenced:
                log.warning("fenced", shard=self.shard)
                return
            except Exception as error:  # noqa: BLE001 - a shard's fault is its own: the others go on
                self._troubled(error)
                longest = PAUSE_AWAY_SECONDS if is_away(error) else PAUSE_MAX_SECONDS
                pause = PAUSE_FIRST_SECONDS if self._went_well else min(pause * 2, longest)
            finally:
                self.watch.owned = False
            if not self.stopping:
                await asyncio.sleep(pause)

    def heard_ends(self, ends: Mapping[str, int], asked_at: float, fetched: Mapping[str, int]) -> None:
        """Kafka said where the topics end.

        Args:
            ends: The offset after the last of each.
            asked_at: When it was asked, in seconds since 1970.
            fetched: Up to where what there was of each was handed to us.
        """
        in_hand = {record.topic for record in self._inbox}
        through = {topic: offset if topic in in_hand else max(offset, fetched[topic]) for topic, offset in self.watch.offsets.items()}
        self.progress.heard(ends, asked_at, through)

    def lags(self, known: Mapping[str, int]) -> Mapping[str, Lag]:
        """What waits of each topic. `known`: where the topics end at least."""
        return self.progress.lags(self.watch.offsets, self._inbox, known)

    @property
    def trouble(self) -> tuple[str, str] | None:
        """The cause in a word, and what to do; None while all is well."""
        return self.watch.trouble or self.progress.stalled(self.watch.offsets, len(self._inbox))

    @property
    def hung(self) -> bool:
        """Whether it waits for records that Kafka has and does not give."""
        return self.watch.owned and self.progress.hung(self.watch.offsets, len(self._inbox))

    @property
    def relayed(self) -> int:
        """Up to which position every event was acknowledged by Kafka; 0 where nothing is relayed."""
        return 0

    # ---- what a worker is made of ------------------------------------------------------------------------------------------

    @abstractmethod
    async def _own(self) -> None:
        """From beginning the shard until told to stop, or until it can't go on, which is raised."""

    def _begin(self, ranges: Mapping[str, Range], offsets: Mapping[str, int], known: Mapping[str, str], positioned: Container[str]) -> None:
        """Fetches from where the shard stands.

        Args:
            ranges: What Kafka has.
            offsets: The next offset of each topic, where there was one.
            known: The topics' ids that those offsets belong to.
            positioned: The topics whose records carry a position of their own: made anew, they are read from their beginning.

        Raises:
            Stopped: where Kafka no longer has, or never had, what is expected.
        """
        begin: dict[str, int] = {}
        for topic, there in ranges.items():
            expected = offsets.get(topic)
            is_new = known.get(topic, there.incarnation) != there.incarnation
            if expected is None or (is_new and topic in positioned):
                begin[topic] = there.beginning
            elif is_new or there.end < expected:
                raise Stopped("topic changed", _TOPIC_CHANGED.format(topic=topic, shard=self.shard, expected=expected))
            elif there.beginning > expected:
                raise Stopped("lost range", _LOST_RANGE.format(topic=topic, shard=self.shard, expected=expected, last=there.beginning - 1))
            else:
                begin[topic] = expected
        self.watch.offsets = begin
        self.watch.incarnations = {topic: there.incarnation for topic, there in ranges.items()}
        self.progress.begin(begin)
        self.feed.rewind(self.shard, begin)
        self._began = clock.passed()
        self.watch.owned = True

    def _well(self) -> None:
        """A batch was committed, or nothing was the matter for a while: what was the matter has passed."""
        self.watch.trouble, self._went_well = None, True

    async def _records(self, due_at: datetime | None = None, beside: Iterable["asyncio.Task[None]"] = (), limit: int = 0) -> list[Record]:
        """The next records, or none where a timer is due first or the worker was told to stop. They stay in the inbox until `_taken`.

        `beside`: tasks that must not end meanwhile; what one raised is raised here.
        """
        beside = list(beside)
        self._look_beside(beside)
        self.progress.working_since = None
        while not self._inbox and not self.stopping and not self._again:
            self._wake.clear()
            until_due = IDLE_SECONDS if due_at is None else (due_at - clock.now()).total_seconds()
            try:
                await asyncio.wait_for(self._wake.wait(), min(IDLE_SECONDS, max(DUE_POLL_SECONDS, until_due)))
            except TimeoutError:
                self._look_beside(beside)
                if due_at is not None and due_at <= clock.now():
                    break
        if self._again:
            raise Stopped("kafka", "what Kafka has is not what it had; looking again")
        self.progress.working_since = clock.passed()
        found: list[Record] = []
        size = 0
        for record in self._inbox:
            size += _bytes(record)
            if found and size > BATCH_BYTES:
                break
            found.append(record)
            if len(found) == (limit or self.batch_records):
                break
        return found

    def _look_beside(self, tasks: Iterable["asyncio.Task[None]"]) -> None:
        for task in tasks:
            if task.done():
                task.result()
        if clock.passed() - self._began > WELL_AFTER_SECONDS:
            self._well()

    def _taken(self, records: int) -> None:
        """So many were taken in."""
        taken = [self._inbox.popleft() for _ in range(records)]
        self._inbox_bytes -= sum(map(_bytes, taken))
        self.progress.taken(taken)
        self._well()
        if self._paused and len(self._inbox) < self.batch_records and self._inbox_bytes < BATCH_BYTES:
            self._paused = False
            self.feed.resume(self.shard)

    def _troubled(self, error: Exception) -> None:
        match error:
            case Stopped(cause=cause):
                self.watch.trouble = cause, str(error)
                log.error("shard_stopped", shard=self.shard, cause=cause, what=str(error))
            case KafkaError():
                self.watch.trouble = "kafka", f"Kafka does not answer: {error!r}"
                log.warning("shard_waits", shard=self.shard, error=repr(error))
            case asyncpg.DiskFullError():
                self.watch.trouble = "disk full", _NO_ROOM
                log.warning("shard_waits", shard=self.shard, error=kind_of(error))
            case _ if passes(error):
                self.watch.trouble = "database", f"PostgreSQL does not answer: {type(error).__name__}"
                log.warning("shard_waits", shard=self.shard, error=kind_of(error))
            case _:
                self.watch.trouble = "failed", f"{type(error).__name__}: see the log"
                log.error("shard_failed", shard=self.shard, exc_info=error)


def passes(error: BaseException) -> bool:
    """Whether it is the servers' or the clocks' trouble, which passes by itself, and not that of what was being decided."""
    return isinstance(error, (Stopped, KafkaError, *PASSING)) and not isinstance(error, OURS)


def is_away(error: BaseException) -> bool:
    """Whether a server could not be reached, or ended the connection."""
    gone = (asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
    return isinstance(error, (KafkaError, OSError, asyncpg.InterfaceError, *gone))


def _bytes(record: Record) -> int:
    return len(record.value or b"")


_NO_ROOM = "PostgreSQL has no room left on its disk. Nothing that was acknowledged is lost; make room, and it goes on by itself."
_TOPIC_CHANGED = (
    "{topic} is not the topic that shard {shard} read up to offset {expected}: it was made anew, or another cluster answers. "
    "Nothing is read from it. `makegood doctor` says what to do."
)
_LOST_RANGE = (
    "Kafka no longer has {topic}/{shard} from offset {expected} to {last}: it was kept for too short a time while this shard was not read. "
    "`makegood doctor` says what to do."
)
