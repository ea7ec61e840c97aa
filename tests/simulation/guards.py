"""The guards of the machine, each of which can be taken away here and nowhere else. The simulation must notice the absence of every one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from shared import clock
from shared.kafka import Kafka
from shared.machine import answering, deciding, projecting, shard, store
from shared.machine.cache import Cache
from shared.machine.clock import Clock
from shared.machine.deciding import Batch
from shared.machine.head import Seen
from shared.machine.relay import Relay
from shared.machine.shard import Shard
from shared.machine.stored import head_of
from shared.machine.told import Reader, Told
from shared.machine.worker import Worker
from shared.simulation.statements import STATEMENTS
from shared.simulation.tables import Statement

UNLOCKED = f"SELECT {store.HEAD_COLUMNS}, clock_timestamp() AS clock FROM head WHERE shard = $1"
STATEMENTS[UNLOCKED] = Statement(STATEMENTS[f"{UNLOCKED} FOR UPDATE"].effect)
LOCKED = f"{UNLOCKED} FOR UPDATE"

GUARDS: dict[str, Callable[[], Any]] = {}
SHOWS: dict[str, frozenset[int]] = {}
"""What must be found not to hold where a guard is gone: the numbers of faults.md's list. Anything else would be found by chance."""


def _guard(*shows: int) -> Callable[[Callable[[], Iterator[None]]], Any]:
    def guard(take_away: Callable[[], Iterator[None]]) -> Any:
        GUARDS[take_away.__name__], SHOWS[take_away.__name__] = contextmanager(take_away), frozenset(shows)
        return take_away

    return guard


@_guard(1, 2, 6)
def head_lock() -> Iterator[None]:
    """The head's lock."""

    async def lock_head(connection, shard, epoch):
        row = await connection.fetchrow(UNLOCKED, shard)
        head = head_of(row, shard)
        if head.epoch != epoch:
            raise store.Fenced
        return head, row["clock"]

    with patch.object(store, "lock_head", lock_head):
        yield


@_guard(6)
def epoch() -> Iterator[None]:
    """Whose epoch it is."""

    async def lock_head(connection, shard, _):
        row = await connection.fetchrow(LOCKED, shard)
        return head_of(row, shard), row["clock"]

    with patch.object(store, "lock_head", lock_head):
        yield


@_guard(1)
def offsets() -> Iterator[None]:
    """What was taken in before is passed over."""

    with patch.object(shard, "new_ones", lambda _, told: list(told)):
        yield


@_guard(1, 11)
def begins_where_the_head_says() -> Iterator[None]:
    """What was fetched counts as done only when the head says so (elsewhere: the ack policy)."""
    fetched: dict[tuple[str, int], int] = {}
    offer, begin = Worker.offer, Worker._begin

    def offered(self, records):
        for record in records:
            fetched[record.topic, self.shard] = record.offset + 1
        offer(self, records)

    def begins(self, ranges, offsets, *more):
        ahead = {topic: max(offset, fetched.get((topic, self.shard), 0)) for topic, offset in offsets.items()}
        begin(self, ranges, ahead, *more)

    with patch.object(Worker, "offer", offered), patch.object(Worker, "_begin", begins):
        yield


@_guard(9)
def message_ids() -> Iterator[None]:
    """A message counts once."""
    with patch.object(Batch, "_answered", lambda *_: False):
        yield


@_guard(4, 11)
def relay_order() -> Iterator[None]:
    """What was not acknowledged is sent again before anything else."""

    async def send(self, rows):
        producer = await self._outlet.producer()
        try:
            await self._send_by(producer, rows)
        except Exception:
            await self._outlet.producer(broken=producer)
        self.place = rows[-1].position
        self._unnoted.append((self.place, clock.now()))

    with patch.object(Relay, "_send", send):
        yield


@_guard(4, 11)
def relay_place() -> Iterator[None]:
    """The relay goes on from the place that is noted, not from the ledger's end."""

    async def read_relayed(connection, shard):
        return (await store.read_head(connection, shard)).position

    with patch.object(store, "read_relayed", read_relayed):
        yield


@_guard(4)
def own_cluster() -> Iterator[None]:
    """Only our own cluster is talked to."""
    with patch.object(Kafka, "is_ours", lambda *_: True):
        yield


@_guard(4, 10)
def hash_chain() -> Iterator[None]:
    """An event is taken in only if it follows from the one before."""

    def taken_in(row, seen, *_):
        return None if row.position <= seen.position else Seen(row.position, row.hash)

    with patch.object(deciding, "taken_in", taken_in), patch.object(projecting, "taken_in", taken_in):
        yield


@_guard(4)
def positions_seen() -> Iterator[None]:
    """What another shard asked is taken in once."""
    seen = Batch._seen

    def unseen(self, told):
        return Seen() if told.hop else seen(self, told)

    with patch.object(Batch, "_seen", unseen):
        yield


@_guard(1)
def rows_of_ours() -> Iterator[None]:
    """Who says that it is a row of ours is looked up."""
    with patch.object(Reader, "is_row", lambda *_: True):
        yield


@_guard(7)
def timer_generation() -> Iterator[None]:
    """A timer fires only while its stream wants it."""
    with patch.object(Batch, "wants", lambda *_: True):
        yield


@_guard(2, 3, 5)
def cache_validity() -> Iterator[None]:
    """What is remembered is used only while the head is the one that was written."""

    def holds(self, head):
        self._seen = head.epoch, head.entry, head.journal_hash
        return bool(self.streams)

    with patch.object(Cache, "holds", holds), patch.object(Cache, "forget", lambda _: None):
        yield


@_guard(7)
def bad_clocks() -> Iterator[None]:
    """No clock is believed alone."""
    with patch.object(Clock, "now", lambda _, head, database, __: max(head, database)):
        yield


@_guard(11)
def attempts() -> Iterator[None]:
    """What a process died of is given up in the end."""
    with patch.object(Shard, "_is_fatal", lambda *_: False):
        yield


@_guard(1)
def internal_commands() -> Iterator[None]:
    """What only our own services say is taken from them only."""
    with patch.object(Told, "outside", False):
        yield


@_guard(1)
def waits_behind_what_is_parked() -> Iterator[None]:
    """Later inputs of a stream whose input is parked wait."""
    of = Batch._decide

    def decide(self, told, live):
        parked, live.parked = live.parked, 0
        of(self, told, live)
        live.parked = live.parked or parked

    with patch.object(Batch, "_decide", decide):
        yield


@_guard(9)
def same_body() -> Iterator[None]:
    """A message that says something else under an id that was used is in conflict, not repeated."""
    with patch.object(answering, "digest_of", lambda _: b"the same"):
        yield
