"""What becomes of an input, written: it is answered, refused, waits, is parked. A batch's streams, its messages, and what it writes.

Whoever decides (deciding.py) says which; here it becomes rows, and the note that the message counts once.
"""

import json
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.contract.in_words import named
from shared.contract.machine import CommandRefused, InputParked, InputTakenUp, InputWaiting, MessageRepeated
from shared.contract.refusals import Refusal, Rule
from shared.machine.bytes import JournalRow, digest_of
from shared.machine.head import Head, Outcome
from shared.machine.held import STOPS, Held, Key, Up, timers_of
from shared.machine.mind import Mind, Timer
from shared.machine.rows import Live, Rows, Said, said
from shared.machine.told import MACHINE, SHARD, Reader, Told
from shared.policy.model import Policy

WAITING_MAX = 1_000
"""Most inputs that wait behind a parked one."""
MESSAGES_REMEMBERED = timedelta(days=120)
"""For so long a message that comes again is known: longer than any topic keeps it. By the inputs' own times, so that a replay forgets as
the service did; the tables that remember are dropped later than that."""
DECIDED = frozenset({Outcome.ACCEPTED, Outcome.REFUSED})
TICK = timedelta(microseconds=1)
TYPE_MAX = 100
"""Of the type of what could not be read, in characters, where it is said."""


class Answered(NamedTuple):
    """What became of a message."""

    body: bytes
    """The digest of its body."""
    entry: int
    first_position: int
    events: int
    met_at: datetime
    """The `now` of that entry."""


@dataclass(slots=True)
class Known:
    """What a batch may need to know of the past: filled before it begins."""

    policies: MutableMapping[str, Policy]
    """By digest."""
    streams: Mapping[Key, Live] = field(default_factory=dict)
    messages: Mapping[str, Answered] = field(default_factory=dict)
    """Those answered before, each as it was last; also such as count no more."""
    held: MutableMapping[int, Held] = field(default_factory=dict)
    """Those parked or waiting inputs that the batch may settle, by journal entry."""
    originals: Mapping[int, JournalRow] = field(default_factory=dict)
    """Their journal rows."""


class Answering:
    """What a batch writes: `rows`, `touched`, `met`."""

    def __init__(self, mind: Mind, reader: Reader, head: Head, now: datetime, known: Known) -> None:
        """`head` is carried on: give a copy. `now` must not be before the head's."""
        self.mind, self.reader, self.known = mind, reader, known
        self.rows = Rows(head, now)
        self.touched: dict[Key, Live] = {}
        self.met: dict[str, Answered] = {}
        """The messages that were answered for the first time in `MESSAGES_REMEMBERED`."""
        self.adopted: dict[str, bytes] = {}
        """The policies that were adopted, by digest."""
        self.up: Up | None = None
        """The parked input that is to be decided next, since somebody asked for it."""
        self._was: Held | None = None
        """Of the input that is being decided once more: what it was."""
        self._stopped = False
        """And whether its stream waited for it, or it waited itself."""

    @property
    def head(self) -> Head:
        """Where the shard stands after what was taken so far."""
        return self.rows.head

    # ---- answers -----------------------------------------------------------------------------------------------------------

    def _answered(self, told: Told, live: Live) -> bool:
        """Whether the message was answered before; if so, it is answered again, on this stream."""
        before = self._remembered(told.once)
        if before is None or before.entry == told.again:
            return False
        assert told.body is not None, "what could be read has a body"
        if before.body == digest_of(told.body):
            again = MessageRepeated(command=told.type, entry=before.entry, first_position=before.first_position, events=before.events)
            self._write(told, Outcome.REPEATED, [said(live, again)], refers=before.entry)
        else:
            self._refuse(told, live, Refusal(Rule.MESSAGE_ID_CONFLICT), refers=before.entry)
        return True

    def _remembered(self, once: str) -> Answered | None:
        """How a message was answered that counts still."""
        before = self.met.get(once) or self.known.messages.get(once)
        return before if before is not None and self.head.now - before.met_at <= MESSAGES_REMEMBERED else None

    def _refuse(self, told: Told, live: Live, refusal: Refusal, *, refers: int = 0) -> None:
        """A refusal is a fact: whoever asked hears of it like everyone else."""
        rule = refusal.rule
        details = json.loads(json.dumps(refusal.details, default=str)) if refusal.details else None
        asked = told.type if told.command is not None else named(told.type.strip(), TYPE_MAX) or "unreadable"
        fact = CommandRefused(command=asked, rule=rule.code, why=refusal.sentence, invariant=rule.invariant, details=details)
        row = self._write(told, Outcome.REFUSED, [said(live, fact)], reason=rule.code, refers=refers)
        self._met(told, row)

    def wait(self, told: Told, live: Live) -> None:
        """An earlier input of the stream is parked, or waited and is not decided yet: this one waits behind it, in order."""
        if live.waiting >= WAITING_MAX:
            behind = f"for journal entry {live.parked}: see to that one first" if live.parked else "and are being decided: ask again"
            self._refuse(told, live, Refusal(Rule.STREAM_WAITING, f"{WAITING_MAX} inputs wait {behind}"))
            return
        live.waiting += 1
        fact = InputWaiting(entry=self.rows.entry(told), behind=live.parked)
        row = self._write(told, Outcome.WAITING, [said(live, fact)], refers=live.parked)
        self._hold(told, live, row, waits=True)
        self._met(told, row)

    def park(self, told: Told, cause: str, reason: str) -> None:
        """Keeps an input that can't be decided. Where a mind failed on it, its stream waits for it; where it did already, it still does."""
        entry, was = told.again or self.rows.entry(told), self._was
        live = self._own()
        if was is not None and cause not in STOPS:
            live = self._live(was.key)
        elif told.stream is not None and told.kind in self.mind.streams and not self._is_elsewhere(told):
            live = self._live((told.kind, told.stream))
        moved = was is not None and was.key != (live.kind, live.stream)
        before = None if was is None or moved else was.before
        stops = cause in STOPS or (was is not None and self._stopped)
        if stops and live.kind != SHARD and not live.parked:
            live.parked = entry
        where = {"topic": told.topic or MACHINE, "partition": told.partition, "offset": told.offset}
        fact = InputParked.model_validate({"entry": entry, "cause": cause, "reason": reason, "before": before, **where})
        row = self._write(told, Outcome.PARKED, [said(live, fact)], reason=f"{cause}: {reason}", settled=moved)
        self._hold(told, live, row, waits=False)
        if live.parked == entry:
            self._met(told, row)

    def _hold(self, told: Told, live: Live, row: JournalRow, *, waits: bool) -> None:
        entry = told.again or row.entry
        self.known.held[entry] = Held(entry, told.topic, told.type, (live.kind, live.stream), told.correlation or live.stream, waits)

    def _write(
        self, told: Told, outcome: Outcome, facts: Sequence[Said], *, reason: str = "", refers: int = 0, settled: bool = True
    ) -> JournalRow:  # fmt: skip
        """Writes an input with what came of it. `settled`: whether one that was held is held no more."""
        if (was := self._was) is not None and settled:
            taken_up = InputTakenUp.model_validate({"entry": was.entry, "before": was.before})
            facts = [*facts, said(self._live(was.key), taken_up, was.correlation)]
        return self.rows.write(told, outcome, facts, reason=reason, refers=refers)

    def _met(self, told: Told, row: JournalRow) -> None:
        """The message counts once from now on. One that could not be read may come again, corrected, under the same id."""
        if not told.once or told.body is None:
            return
        before = self._remembered(told.once)
        decided = row.outcome in DECIDED
        entry, first, events = (row.entry, row.first_position, row.events) if decided else (told.again or row.entry, 0, 0)
        if before is None and row.reason != Rule.GIVEN_UP.code:
            self.met[told.once] = Answered(digest_of(told.body), entry, first, events, row.now)
        elif before is not None and before.entry == told.again and decided:
            self.met[told.once] = Answered(before.body, entry, first, events, max(row.now, before.met_at + TICK))

    # ---- streams -----------------------------------------------------------------------------------------------------------

    def timers(self, live: Live) -> Mapping[str, Timer]:
        """The timers that a stream wants."""
        return timers_of(self.mind, live)

    def _live(self, key: Key) -> Live:
        """A stream, to be carried on in this batch."""
        if (found := self.touched.get(key)) is None:
            before = self.known.streams.get(key)
            kind, stream = key
            found = before.copy() if before else Live(kind, stream, None if kind == SHARD else self.mind.streams[kind].initial)
            self.touched[key] = found
        return found

    def _of(self, told: Told) -> Live:
        assert told.stream is not None, "what could be read names its stream"
        return self._live((told.kind, told.stream))

    def _own(self) -> Live:
        return self._live((SHARD, self.reader.shard_stream(self.head.shard)))

    def _is_elsewhere(self, told: Told) -> bool:
        if told.own or told.stream is None or told.kind == SHARD or (told.kind, told.stream) in self.known.streams:
            return False
        return self.reader.shard_of(told.stream) != self.head.shard
