"""Parked inputs and those that wait behind them, as the journal has them: read for a batch that decides them once more.

A batch is bounded in them, too: the rest is done by the next ones, which the timer `AGAIN` of each such stream calls for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shared import clock
from shared.contract.machine import RetryParked
from shared.machine.bytes import JournalRow
from shared.machine.deciding import Batch
from shared.machine.held import AGAIN, Held, Key, Settling, Up
from shared.machine.store import JOURNAL_COLUMNS, Connection, Due
from shared.machine.stored import journal_row
from shared.machine.told import Reader, Told
from shared.machine.worker import BATCH_BYTES

SETTLED_MAX = 8
"""Most parked inputs that are settled in a batch: each is read whole."""
STREAMS_MAX = 8
"""Most streams of which in one batch is decided what waited there."""
STREAM_BYTES = BATCH_BYTES // STREAMS_MAX
"""So many bytes of each stream."""

_INPUT = ", ".join(f'input."{column}"' for column in JOURNAL_COLUMNS)
AGAIN_OF = "FROM journal AS again WHERE again.shard = input.shard AND again.topic = '' AND again.refers > 0 AND again.refers = input.entry"
"""Of a journal's row `input`: the rows that decide that input once more, as `again`."""
IS_HELD = (
    "input.outcome IN ('parked', 'waiting') AND NOT (input.topic = '' AND input.refers > 0)"
    f" AND (SELECT true {AGAIN_OF} AND again.outcome <> 'parked' LIMIT 1) IS NULL"
)
"""Whether that input is parked, or waits, and was not settled since. (As a question for each row: a join of
the journal with itself is planned badly where PostgreSQL does not know it well.)"""
WAITS = f"(input.outcome = 'waiting' AND (SELECT true {AGAIN_OF} LIMIT 1) IS NULL)"
"""Of one that is: whether it still waits; else it is parked."""
LAST_REASON = f"(SELECT again.reason {AGAIN_OF} ORDER BY again.entry DESC LIMIT 1)"
"""And why it is so since it was decided once more; null where it was not."""


@dataclass(slots=True)
class Found:
    """What a batch may decide once more."""

    held: dict[int, Held] = field(default_factory=dict)
    """By journal entry."""
    originals: dict[int, JournalRow] = field(default_factory=dict)
    """As each was received."""
    told: list[Told] = field(default_factory=list)
    """Each as it would be decided: the batch must know their streams and messages."""


async def found(
    connection: Connection, reader: Reader, shard: int, told: Iterable[Told], due: Iterable[Due], *, most: int
) -> Found:  # fmt: skip
    """What is asked to be settled, and of streams that go on, the next of those that waited: `most` of all together."""
    asked = [one.command for one in told if isinstance(one.command, Settling)][:SETTLED_MAX]
    entries = [one.entry for one in asked]
    for one in due:
        if one.timer.timer == AGAIN:
            entries += await _next(connection, shard, one, max(1, most // STREAMS_MAX))
    if not entries:
        return Found()
    found = await _held(connection, shard, entries)
    for row in found.originals.values():
        bodies = {one.body.encode() for one in asked if isinstance(one, RetryParked) and one.entry == row.entry and one.body is not None}
        found.told += [reader.once_more(row, body) for body in (None, *bodies)]
    return found


def go_on(batch: Batch, reader: Reader, key: Key, *, fatal: bool, full_at: float) -> int:
    """Decides what waited on a stream, in order, until one is parked or the batch is full. How many they were."""
    waiting = sorted(entry for entry, held in batch.known.held.items() if held.waits and held.key == key)
    assert waiting, "who counts what waits finds it in the journal"
    for done, entry in enumerate(waiting):
        if not batch.goes_on(key) or (done and clock.passed() > full_at):
            return done
        batch.take_up(Up(batch.known.held[entry], reader.once_more(batch.known.originals[entry])), fatal=fatal and not done)
    return len(waiting)


def limit(due: Sequence[Due]) -> list[Due]:
    """The timers of a batch, with no more streams to go on with than it takes."""
    surplus = [one for one in due if one.timer.timer == AGAIN][STREAMS_MAX:]
    return [one for one in due if one not in surplus]


async def _held(connection: Connection, shard: int, entries: Sequence[int]) -> Found:
    """Those of these inputs that are parked or wait, in the order of their entries. Who holds each is what its newest row told."""
    rows = await connection.fetch(
        f"SELECT {_INPUT}, told.kind AS of_kind, told.stream AS of_stream, told.correlation, {WAITS} AS waits FROM journal AS input"  # noqa: S608
        " JOIN journal AS newest ON newest.shard = input.shard"
        f" AND newest.entry = coalesce((SELECT max(again.entry) {AGAIN_OF}), input.entry)"
        " JOIN ledger AS told ON told.shard = newest.shard AND told.position = newest.first_position"
        f" WHERE input.shard = $1 AND input.entry = ANY($2) AND {IS_HELD} ORDER BY input.entry",
        shard, entries,
    )  # fmt: skip
    found = Found()
    for row in rows:
        one = found.originals[row["entry"]] = journal_row(row)
        found.held[one.entry] = Held(one.entry, one.topic, one.type, (row["of_kind"], row["of_stream"]), row["correlation"], row["waits"])
    return found


async def _next(connection: Connection, shard: int, due: Due, most: int) -> list[int]:
    """The entries of the inputs that wait on a stream, the oldest first: so many, or as many as the bytes allow, one at least.

    They are decided in order, so as many as wait still are the newest.
    """
    kind, stream = due.key
    rows = await connection.fetch(
        "WITH still AS (SELECT entry, coalesce(length(body), 0) AS size FROM journal WHERE shard = $1 AND stream = $2 AND kind = $3"
        " AND outcome = 'waiting' ORDER BY entry DESC LIMIT $4),"
        " next AS (SELECT entry, sum(size) OVER (ORDER BY entry) - size AS before FROM still ORDER BY entry LIMIT $5)"
        " SELECT entry FROM next WHERE before <= $6 ORDER BY entry",
        shard, stream, kind, due.timer.generation, most, STREAM_BYTES,
    )  # fmt: skip
    return [row["entry"] for row in rows]
