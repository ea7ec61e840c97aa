"""The rows of one batch, in the making: journal and ledger, each carrying its chain on, and the head that they lead to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from shared.contract.said import Event
from shared.machine.bytes import JournalRow, LedgerRow, moment
from shared.machine.head import Head, Outcome
from shared.machine.told import MACHINE, Told


@dataclass(slots=True)
class Live:
    """A stream as the machine holds it."""

    kind: str
    stream: UUID
    state: Any
    version: int = 0
    """Of its last event."""
    parked: int = 0
    """The journal entry of the input that it waits for; 0 for none."""
    waiting: int = 0
    """How many inputs wait behind that one."""

    def copy(self) -> "Live":
        """One that can be carried on without touching this one."""
        return Live(self.kind, self.stream, self.state, self.version, self.parked, self.waiting)


class Said(NamedTuple):
    """A ledger row to be: what happened on which stream and, of a request, whom it asks."""

    live: Live
    type: str
    body: bytes
    target: UUID | None = None
    origin_id: str = ""
    correlation: UUID | None = None
    """Where it is about something else than its input."""


def said(live: Live, event: Event, correlation: UUID | None = None) -> Said:
    """An event as the row it will be."""
    return Said(live, event.type, event.to_bytes(), correlation=correlation)


class Rows:
    """What a batch writes. `head` is carried on with every row."""

    def __init__(self, head: Head, now: datetime) -> None:
        """`now` must not be before the head's."""
        self.head = head
        self.journal: list[JournalRow] = []
        self.ledger: list[LedgerRow] = []
        self.received_at = now
        """When this process had the inputs in hand, by its own clock."""
        self._runs: dict[str, JournalRow] = {}
        self.at(now)

    def at(self, now: datetime) -> None:
        """It is this late now."""
        assert now >= self.head.now, "time never runs backwards within a shard"
        self.head.now = now
        self._now_text = moment(now)

    def entry(self, told: Told) -> int:
        """The journal entry that this input will have."""
        self._end_run_before(told)
        return self.head.entry + 1

    def write(self, told: Told, outcome: Outcome, facts: Sequence[Said], *, reason: str = "", refers: int = 0) -> JournalRow:
        """One journal row, and under it its ledger rows."""
        self._end_run_before(told)
        head = self.head
        row = self._row(told, outcome)
        row.reason, row.refers, row.events = reason, row.refers or refers, len(facts)
        row.first_position = head.position + 1 if facts else 0
        self._enter(row)
        message_id = "" if told.own else told.message_id
        for fact in facts:
            live = fact.live
            live.version += 1
            head.position += 1
            written = LedgerRow(
                head.shard, head.position, live.stream, live.kind, live.version, fact.type, fact.body, row.entry, head.now, self._now_text,
                told.actor or MACHINE, message_id, fact.correlation or told.correlation or live.stream, fact.target, fact.origin_id,
                row.hash,
            )  # fmt: skip
            written.previous = head.hash
            head.hash = written.hash = written.chain(head.hash)
            self.ledger.append(written)
        return row

    def ignore(self, told: Told, *, new: bool = False) -> None:
        """Notes a record that is no concern of ours. A run of them takes one row together.

        Of another service's events the row names the last one that was `new`, by its id and hash: how far they were seen.
        """
        run = self._runs.get(told.topic)
        if run is None:
            run = self._runs[told.topic] = self._row(told, Outcome.IGNORED)
            run.type, run.kind, run.stream, run.key, run.headers, run.body = "", "", None, None, b"", None
        run.until = told.offset + 1
        if new and told.source is not None:
            run.message_id, run.body = told.message_id, told.source.hash

    def again(self, run: JournalRow) -> None:
        """A run that is known from the journal."""
        run.entry = self.head.entry + 1
        self._enter(run)

    def end(self) -> None:
        """No more inputs come."""
        for topic in list(self._runs):
            self._end_run(topic)

    def _end_run_before(self, told: Told) -> None:
        """What is decided once more comes from no topic: it follows what it was asked by, with nothing in between."""
        if not told.again:
            self._end_run(told.topic)

    def _end_run(self, topic: str) -> None:
        if (run := self._runs.pop(topic, None)) is not None:
            self.again(run)

    def _row(self, told: Told, outcome: Outcome) -> JournalRow:
        head = self.head
        row = JournalRow(
            head.shard, head.entry + 1, told.topic, told.partition, told.offset, told.offset + 1, told.message_id, told.type, told.kind,
            told.stream, told.key, told.headers, told.body, told.sent_ms, head.now, self._now_text, head.policy, head.rules, outcome,
            "", 0, 0, 0, self.received_at,
        )  # fmt: skip
        if told.again:  # it was told once: where, and what, stands there
            row.topic, row.partition, row.offset, row.until, row.key, row.headers, row.sent_ms = "", -1, -1, 0, None, b"", 0
            row.body, row.refers = told.body if told.corrected else None, told.again
        return row

    def _enter(self, row: JournalRow) -> None:
        row.hash = row.chain(self.head.journal_hash)
        self.head.entry, self.head.journal_hash = row.entry, row.hash
        self.journal.append(row)
        if row.topic:
            self.head.offsets[row.topic] = row.until
