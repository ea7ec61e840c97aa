"""A batch's inputs: which of the records are new, where each lies and how late it came; and which timers it leaves changed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from shared.machine import store
from shared.machine.answering import Known
from shared.machine.deciding import Batch
from shared.machine.head import Head
from shared.machine.held import Key
from shared.machine.mind import Timer
from shared.machine.told import APPENDED, Record, Told


def new_ones(head: Head, told: Iterable[Told]) -> list[Told]:
    """Those that were not taken in before: each offset once, also of what was delivered twice."""
    next_offsets, fresh = dict(head.offsets), []
    for one in told:
        if one.offset >= next_offsets.get(one.topic, 0):
            next_offsets[one.topic] = one.offset + 1
            fresh.append(one)
    return fresh


def timer_changes(batch: Batch, known: Known, unwanted: list[tuple[Key, str]]) -> store.TimerChanges:
    """What the batch's streams want now, compared with what they wanted before."""
    changes = store.TimerChanges({}, unwanted)
    for key, live in batch.touched.items():
        before = known.streams.get(key)
        if before is not None and before.state is live.state and (before.parked, before.waiting) == (live.parked, live.waiting):
            continue
        wanted: Mapping[str, Timer] = batch.timers(before) if before else {}
        wants = batch.timers(live)
        if wants == wanted:
            continue
        changes.cleared.extend((key, name) for name in wanted.keys() - wants.keys())
        changes.set.update({(key, name): timer for name, timer in wants.items() if wanted.get(name) != timer})
    return changes


def appended_at(records: Sequence[Record]) -> datetime | None:
    """When Kafka took the newest of them; None where the senders set their times."""
    newest = max((record.timestamp for record in records if record.timestamp_type == APPENDED), default=None)
    return None if newest is None else datetime.fromtimestamp(newest / 1000, UTC)


def place_of(record: Record | Told) -> str:
    """Where a record lies: what an attempt at it is marked with."""
    return f"{record.topic}/{record.partition}/{record.offset}"
