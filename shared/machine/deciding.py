"""One batch of one shard, decided: inputs go in one after another, rows come out. No I/O and no clock: a replay runs the same code.

For each input: was it seen, does it lie here, was its message answered, does its stream wait; then the mind is asked, and what it says
becomes ledger rows under one journal row. An input on which a mind fails leaves nothing but the note that it is parked.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import rfc8785

from shared.contract.envelope import requested
from shared.contract.machine import (
    CommandRefused,
    InputParked,
    InputWaiting,
    JournalSealed,
    MessageRepeated,
    NothingChanged,
    PolicyAdopted,
    PublishPolicy,
    TimerDue,
)
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import Command
from shared.contract.upcasts import newest, read_event
from shared.errors import place_of
from shared.machine.bytes import JournalRow, LedgerRow, digest_of
from shared.machine.chain import taken_in
from shared.machine.head import Head, Outcome, Seen
from shared.machine.mind import Context, Fact, Mind, Timer
from shared.machine.rows import Live, Rows, Said, said
from shared.machine.told import MACHINE, NO_ROW_OF_OURS, SHARD, Reader, Told
from shared.policy.model import Policy

WAITING_MAX = 1_000
"""Most inputs that wait behind a parked one."""
EVENT_BYTES_MAX = 2 * 1024 * 1024 - 64 * 1024
"""Of an event's body: what topics take, less room for its headers. What would be larger is our bug, and parks the input."""
SEAL = "machine.SealJournal.v1"
"""The type of the entry that writes the journal's hash into the ledger."""
RULES = "machine.RaiseRules.v1"
"""The type of the entry from which on a shard is decided by newer rules: those that it names."""
SEAL_EVERY = timedelta(hours=1)
MESSAGES_REMEMBERED = timedelta(days=120)
"""For so long a message that comes again is known: longer than any topic keeps it. By the inputs' own times, so that a replay forgets as
the service did; the tables that remember are dropped later than that."""
FATAL = "the process died each time that it tried this one alone"
DECIDED = frozenset({Outcome.ACCEPTED, Outcome.REFUSED})

Key = tuple[str, UUID]
"""A stream: its kind and its id."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
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


class Batch:
    """One batch. `rows`, `touched`, `met` and `adopted` are what is to be written."""

    def __init__(self, mind: Mind, reader: Reader, head: Head, now: datetime, known: Known) -> None:
        """`head` is carried on: give a copy. `now` must not be before the head's."""
        self.mind, self.reader, self.known = mind, reader, known
        self.rows = Rows(head, now)
        self.touched: dict[Key, Live] = {}
        self.met: dict[str, Answered] = {}
        """The messages that were answered for the first time in `MESSAGES_REMEMBERED`."""
        self.adopted: dict[str, bytes] = {}
        """The policies that were adopted, by digest."""

    @property
    def head(self) -> Head:
        """Where the shard stands after what was taken so far."""
        return self.rows.head

    # ---- what goes in ------------------------------------------------------------------------------------------------------

    def begin(self, default_policy: bytes) -> None:
        """What comes before all inputs: the first policy, newer rules, and once an hour the journal's seal."""
        assert self.head.rules <= self.mind.rules, "who decides knows the rules in force"
        own = self.reader.shard_stream(self.head.shard)
        if not self.head.policy:
            self.head.rules, self.head.sealed_at = self.mind.rules, self.head.now
            self.take(self.reader.by_machine(PublishPolicy.type, default_policy, SHARD, own))
        if self.head.rules < self.mind.rules:
            self.head.rules = self.mind.rules
            self.take(self.reader.by_machine(RULES, None, SHARD, own))
        if self.head.now - self.head.sealed_at >= SEAL_EVERY:
            self.take(self.reader.by_machine(SEAL, None, SHARD, own))

    def take(self, told: Told, *, fatal: bool = False) -> None:
        """Takes one input.

        Args:
            told: The input.
            fatal: Whether the process has died of it, again and again: then no mind is asked.

        Raises:
            Stopped: where another service's events have a gap, or are not the ones that were written.
        """
        if told.source is not None:
            self._fact(told, told.source, fatal=fatal)
            return
        if told.hop is not None:
            if told.hop.position <= self._seen(told).position:
                self.rows.ignore(told)
                return
            self.saw(told)
        if fatal and told.fault != NO_ROW_OF_OURS:  # that one asks no mind anyway, and a replay must know that it is no row of ours
            self.park(told, "process_died", FATAL)
        elif told.fault:
            self.park(told, "undecodable", told.fault)
        elif told.command is not None and told.command.internal and told.outside:
            self._keep_out(told)
        elif self._is_elsewhere(told):
            self._pass_on(told)
        elif told.type == PublishPolicy.type:
            self._adopt(told)
        elif told.type == SEAL:
            self._seal(told)
        elif told.type == RULES:
            self.rows.write(told, Outcome.ACCEPTED, [])
        elif not self._answered(told, self._of(told)):
            self._decide(told)

    def saw(self, told: Told) -> None:
        """A ledger row of another shard or service was taken in: up to here they are known."""
        if told.source is not None:
            self.head.seen[self._source(told)] = Seen(told.source.position, told.source.hash)
        elif told.hop is not None:
            self.head.seen[self._source(told)] = Seen(told.hop.position, b"")

    def wants(self, due: TimerDue, key: Key) -> bool:
        """Whether a stream still wants this timer."""
        return self.timers(self._live(key)).get(due.timer) == Timer(due.due_at, due.generation)

    # ---- whose it is -------------------------------------------------------------------------------------------------------

    def _fact(self, told: Told, row: LedgerRow, *, fatal: bool) -> None:
        """Another service's event: the next one of its ledger, unchanged, or nothing at all."""
        if taken_in(row, self._seen(told), told.service, f"{told.topic}/{told.partition}/{told.offset}") is None:
            self.rows.ignore(told)
            return
        self.saw(told)
        if newest(row.type) not in self.mind.hears:
            self.rows.ignore(told, new=True)
            return
        if fatal:
            self.park(told, "process_died", FATAL)
            return
        try:
            event = read_event(row.type, row.body, self.mind.hears)
            told.command = self.mind.translate(Fact(event, row.stream, told.service, row.actor))
        except Exception as error:
            log.exception("the mind failed to translate %s", told.message_id)
            self.park(told, "mind_failed", place_of(error))
            return
        if told.command is None:
            self.rows.ignore(told, new=True)
        else:
            self._decide(told)

    def _is_elsewhere(self, told: Told) -> bool:
        if told.own or told.stream is None or told.kind == SHARD or (told.kind, told.stream) in self.known.streams:
            return False
        return self.reader.shard_of(told.stream) != self.head.shard

    def _pass_on(self, told: Told) -> None:
        """Once, as a row of this shard: only a stream's own shard decides for it."""
        if told.hop:
            self.park(told, "misplaced", "it was passed on to a shard where its stream does not lie")
            return
        assert told.body is not None, "what could be read has a body"
        asked = Said(self._own(), requested(told.type), told.body, told.stream, told.once)
        self.rows.write(told, Outcome.PASSED_ON, [asked])

    def _keep_out(self, told: Told) -> None:
        """What only our own services say is refused where it comes in: passed on, it would look like ours."""
        live = self._own() if self._is_elsewhere(told) else self._of(told)
        if not self._answered(told, live):
            self._refuse(told, live, Refusal(Rule.NOT_FOR_YOU))

    def _answered(self, told: Told, live: Live) -> bool:
        """Whether the message was answered before; if so, it is answered again, on this stream."""
        before = self._remembered(told.once)
        if before is None:
            return False
        assert told.body is not None, "what could be read has a body"
        if before.body == digest_of(told.body):
            again = MessageRepeated(command=told.type, entry=before.entry, first_position=before.first_position, events=before.events)
            self.rows.write(told, Outcome.REPEATED, [said(live, again)], refers=before.entry)
        else:
            self._refuse(told, live, Refusal(Rule.MESSAGE_ID_CONFLICT), refers=before.entry)
        return True

    def _remembered(self, once: str) -> Answered | None:
        """How a message was answered that counts still."""
        before = self.met.get(once) or self.known.messages.get(once)
        return before if before is not None and self.head.now - before.met_at <= MESSAGES_REMEMBERED else None

    # ---- the mind ----------------------------------------------------------------------------------------------------------

    def _decide(self, told: Told) -> None:
        assert told.command is not None, "what could be read has a command"
        live = self._of(told)
        if live.parked:
            self.wait(told, live)
            return
        try:
            state, facts, refusal = self._asked(told, live, told.command)
        except Exception as error:
            log.exception("the mind failed on %s/%s/%s", told.topic, told.partition, told.offset)
            self.park(told, "mind_failed", place_of(error))
            return
        if refusal is not None:
            self._refuse(told, live, refusal)
            return
        live.state = state
        row = self.rows.write(told, Outcome.ACCEPTED, facts)
        self._met(told, row)

    def _asked(self, told: Told, live: Live, command: Command) -> tuple[Any, Sequence[Said], Refusal | None]:
        """What the mind makes of a command: the new state and what is to be said. Nothing is changed yet."""
        stream, state = self.mind.streams[live.kind], live.state
        policy = self.known.policies[self.head.policy]
        context = Context(self.head.now, policy, told.actor, live.kind, live.stream, live.version + 1, told.message_id)
        decided = stream.decide(state, command, context)
        if isinstance(decided, Refusal):
            return state, (), decided
        facts: list[Said] = []
        for event in decided:
            assert event.type in self.mind.events, f"{self.mind.service} has no event {event.type}"
            state = stream.evolve(state, event)
            facts.append(said(live, event))
            requests = self.mind.react(Fact(event, live.stream, self.mind.service, told.actor))
            facts.extend(Said(live, requested(one.command.type), one.command.to_bytes(), one.stream) for one in requests)
        if isinstance(command, TimerDue):
            still = stream.timers(state).get(command.timer)
            assert still != Timer(command.due_at, command.generation), f"{live.kind} still wants the timer {command.timer}, which has fired"
        elif not facts and told.source is None and told.hop is None:
            facts.append(said(live, NothingChanged(command=command.type)))
        if too_large := [fact.type for fact in facts if len(fact.body) > EVENT_BYTES_MAX]:
            raise ValueError(f"{too_large[0]} has more than {EVENT_BYTES_MAX} bytes: Kafka would not take it")
        return state, facts, None

    def _refuse(self, told: Told, live: Live, refusal: Refusal, *, refers: int = 0) -> None:
        """A refusal is a fact: whoever asked hears of it like everyone else."""
        rule = refusal.rule
        details = json.loads(json.dumps(refusal.details, default=str)) if refusal.details else None
        fact = CommandRefused(command=told.type, rule=rule.code, why=refusal.sentence, invariant=rule.invariant, details=details)
        row = self.rows.write(told, Outcome.REFUSED, [said(live, fact)], reason=rule.code, refers=refers)
        self._met(told, row)

    def wait(self, told: Told, live: Live) -> None:
        """An earlier input of the stream is parked: this one waits behind it, in order."""
        if live.waiting >= WAITING_MAX:
            why = f"{WAITING_MAX} inputs wait for journal entry {live.parked}: see to that one first"
            self._refuse(told, live, Refusal(Rule.STREAM_WAITING, why))
            return
        live.waiting += 1
        fact = InputWaiting(entry=self.rows.entry(told), behind=live.parked)
        row = self.rows.write(told, Outcome.WAITING, [said(live, fact)], refers=live.parked)
        self._met(told, row)

    def park(self, told: Told, cause: str, reason: str) -> None:
        """Keeps an input that can't be decided. Where a mind failed on it, its stream waits for it."""
        entry = self.rows.entry(told)
        live = self._own()
        if told.stream is not None and told.kind in self.mind.streams and not self._is_elsewhere(told):
            live = self._live((told.kind, told.stream))
            if cause in {"mind_failed", "process_died"} and not live.parked:
                live.parked = entry
        where = {"topic": told.topic or MACHINE, "partition": told.partition, "offset": told.offset}
        fact = InputParked.model_validate({"entry": entry, "cause": cause, "reason": reason, **where})
        row = self.rows.write(told, Outcome.PARKED, [said(live, fact)], reason=f"{cause}: {reason}")
        if live.parked == entry:
            self._met(told, row)

    def _met(self, told: Told, row: JournalRow) -> None:
        """The message counts once from now on. One that could not be read may come again, corrected, under the same id."""
        if told.once and told.body is not None and self._remembered(told.once) is None:
            first, events = (row.first_position, row.events) if row.outcome in DECIDED else (0, 0)
            self.met[told.once] = Answered(digest_of(told.body), row.entry, first, events, row.now)

    # ---- the machine's own -------------------------------------------------------------------------------------------------

    def _adopt(self, told: Told) -> None:
        assert isinstance(told.command, PublishPolicy), "what could be read is what its type says"
        body = rfc8785.dumps(told.command.policy)
        digest = hashlib.sha256(body).hexdigest()
        if digest == self.head.policy:
            self.rows.write(told, Outcome.ACCEPTED, [said(self._own(), NothingChanged(command=told.type))])
            return
        policy = Policy.model_validate(told.command.policy)
        self.known.policies[digest] = policy
        self.adopted[digest] = body
        self.head.policy = digest
        fact = PolicyAdopted(name=policy.name, version=policy.version, digest=digest)
        self.rows.write(told, Outcome.ACCEPTED, [said(self._own(), fact)])

    def _seal(self, told: Told) -> None:
        sealed = JournalSealed(entry=self.head.entry, hash=self.head.journal_hash.hex())
        self.head.sealed_at = self.head.now
        self.rows.write(told, Outcome.ACCEPTED, [said(self._own(), sealed)])

    # ---- streams -----------------------------------------------------------------------------------------------------------

    def timers(self, live: Live) -> Mapping[str, Timer]:
        """The timers that a stream wants. One that waits for a parked input wants none."""
        return {} if live.parked or live.kind == SHARD else self.mind.streams[live.kind].timers(live.state)

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

    def _seen(self, told: Told) -> Seen:
        return self.head.seen.get(self._source(told), Seen())

    def _source(self, told: Told) -> str:
        """Under which name the head remembers how far it has seen."""
        return f"{self.mind.service}.commands/{told.hop.shard}" if told.hop else f"{told.service}/{told.partition}"
