"""One batch of one shard, decided: inputs go in one after another, rows come out. No I/O and no clock: a replay runs the same code.

For each input: was it seen, does it lie here, was its message answered, does its stream wait; then the mind is asked, and what it says
becomes ledger rows under one journal row. An input on which a mind fails leaves nothing but the note that it is parked. Settled by an
operator, it is decided once more, under a row that refers to its own, and so are those that waited behind it (held.py).
"""

import hashlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import rfc8785

from shared.contract.envelope import requested
from shared.contract.machine import (
    JournalSealed,
    NothingChanged,
    ParkedDiscarded,
    ParkedRetried,
    PolicyAdopted,
    PublishPolicy,
    RetryParked,
    TimerDue,
)
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import Command
from shared.contract.upcasts import newest, read_event
from shared.errors import place_of
from shared.machine.answering import Answering
from shared.machine.bytes import LedgerRow
from shared.machine.chain import taken_in
from shared.machine.head import Outcome, Seen
from shared.machine.held import Key, Settling, Up, why_not
from shared.machine.mind import Context, Fact, Timer
from shared.machine.rows import Live, Said, said
from shared.machine.told import NO_ROW_OF_OURS, SHARD, Told
from shared.policy.model import Policy

EVENT_BYTES_MAX = 2 * 1024 * 1024 - 64 * 1024
"""Of an event's body: what topics take, less room for its headers. What would be larger is our bug, and parks the input."""
SEAL = "machine.SealJournal.v1"
"""The type of the entry that writes the journal's hash into the ledger."""
RULES = "machine.RaiseRules.v1"
"""The type of the entry from which on a shard is decided by newer rules: those that it names."""
SEAL_EVERY = timedelta(hours=1)
FATAL = "the process died each time that it tried this one alone"
log = logging.getLogger(__name__)


class Batch(Answering):
    """One batch. `rows`, `touched`, `met` and `adopted` are what is to be written."""

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
        """Takes one input, and if it asks for a parked one to be settled, that one, too. See `take_one`."""
        self.take_one(told, fatal=fatal)
        if self.up is not None:
            self.take_up(self.up)

    def take_one(self, told: Told, *, fatal: bool = False) -> None:
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
        self._sorted(told, fatal=fatal)

    def take_up(self, up: Up, *, fatal: bool = False, parked: tuple[str, str] | None = None) -> None:
        """Decides once more what was parked, or what waited and is next in order.

        Args:
            up: The input.
            fatal: Whether the process has died of it, again and again: then no mind is asked.
            parked: Where it is known that it was parked once more: the cause and the reason.
        """
        self.up, self._was, told = None, up.held, up.told
        del self.known.held[up.held.entry]
        live = self._live(up.held.key)
        self._stopped = up.held.waits or live.parked == up.held.entry
        if up.held.waits:
            live.waiting -= 1
        elif self._stopped:
            live.parked = 0
        if parked is not None:
            self.park(told, *parked)
        elif up.given_up is not None:
            self._refuse(told, live, Refusal(Rule.GIVEN_UP, up.given_up))
        elif why := self._out_of_turn(told, live):
            self.park(told, "out_of_turn", why)
        elif told.source is not None and not fatal:
            self._translate(told, told.source)
        else:
            self._sorted(told, fatal=fatal)
        self._was = None

    def _out_of_turn(self, told: Told, live: Live) -> str:
        """Why an input that was parked can't be decided now, by what it says now; empty where it can."""
        if told.fault or told.stream is None or told.kind not in self.mind.streams:
            return ""
        if live.kind != SHARD and (told.kind, told.stream) != (live.kind, live.stream):
            return f"what it says now belongs to {told.kind} {told.stream}: send that as an input of its own, and discard this one"
        if self._stopped or self._is_elsewhere(told):
            return ""
        its = self._of(told)
        behind = f"journal entry {its.parked}" if its.parked else "those that are being decided"
        return f"its {told.kind} waits for {behind}: see to that first, and try again" if its.parked or its.waiting else ""

    def _sorted(self, told: Told, *, fatal: bool) -> None:
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
        elif isinstance(told.command, Settling):
            self._settle(told, told.command)
        elif not self._answered(told, live := self._of(told)):
            self._decide(told, live)

    def saw(self, told: Told) -> None:
        """A ledger row of another shard or service was taken in: up to here they are known."""
        if told.source is not None:
            self.head.seen[self._source(told)] = Seen(told.source.position, told.source.hash)
        elif told.hop is not None:
            self.head.seen[self._source(told)] = Seen(told.hop.position, b"")

    def goes_on(self, key: Key) -> bool:
        """Whether what waited on a stream is to be decided: nothing is parked there any more."""
        live = self._live(key)
        return live.waiting > 0 and not live.parked

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
        else:
            self._translate(told, row)

    def _translate(self, told: Told, row: LedgerRow) -> None:
        try:
            event = read_event(row.type, row.body, self.mind.hears)
            told.command = self.mind.translate(Fact(event, row.stream, told.service, row.actor))
        except Exception as error:
            log.exception("the mind failed to translate %s", told.message_id)
            self.park(told, "mind_failed", place_of(error))
            return
        if told.command is not None:
            self._decide(told, self._of(told))
        elif told.again:
            self._write(told, Outcome.ACCEPTED, [])
        else:
            self.rows.ignore(told, new=True)

    def _pass_on(self, told: Told) -> None:
        """Once, as a row of this shard: only a stream's own shard decides for it."""
        if told.hop:
            self.park(told, "misplaced", "it was passed on to a shard where its stream does not lie")
            return
        assert told.body is not None, "what could be read has a body"
        asked = Said(self._own(), requested(told.type), told.body, told.stream, told.once)
        self._write(told, Outcome.PASSED_ON, [asked])

    def _keep_out(self, told: Told) -> None:
        """What only our own services say is refused where it comes in: passed on, it would look like ours."""
        live = self._own() if self._is_elsewhere(told) else self._of(told)
        if not self._answered(told, live):
            self._refuse(told, live, Refusal(Rule.NOT_FOR_YOU))

    # ---- the mind ----------------------------------------------------------------------------------------------------------

    def _decide(self, told: Told, live: Live) -> None:
        assert told.command is not None, "what could be read has a command"
        if (live.parked or live.waiting) and not told.again:
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
        row = self._write(told, Outcome.ACCEPTED, facts)
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
        elif not facts and told.source is None and (told.hop is None or told.once):  # somebody asked, here or where it was passed on
            facts.append(said(live, NothingChanged(command=command.type)))
        if too_large := [fact.type for fact in facts if len(fact.body) > EVENT_BYTES_MAX]:
            raise ValueError(f"{too_large[0]} has more than {EVENT_BYTES_MAX} bytes: Kafka would not take it")
        return state, facts, None

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

    def _settle(self, told: Told, command: Settling) -> None:
        """An operator says what is to become of a parked input."""
        own = self._own()
        if self._answered(told, own):
            return
        held = self.known.held.get(command.entry)
        if (refusal := why_not(command, told.actor, self.head.shard, held, self.reader.events_of)) is not None or held is None:
            self._refuse(told, own, refusal or Refusal(Rule.NOT_PARKED), refers=command.entry)
            return
        body = command.body.encode() if isinstance(command, RetryParked) and command.body is not None else None
        fact: ParkedRetried | ParkedDiscarded = ParkedDiscarded(entry=held.entry, reason=command.reason)
        if isinstance(command, RetryParked):
            fact = ParkedRetried(entry=held.entry, reason=command.reason, corrected=body is not None)
        self._met(told, self.rows.write(told, Outcome.ACCEPTED, [said(own, fact, held.correlation)], refers=held.entry))
        once_more = self.reader.once_more(self.known.originals[held.entry], body)
        self.up = Up(held, once_more, None if isinstance(command, RetryParked) else command.reason)

    def _seal(self, told: Told) -> None:
        sealed = JournalSealed(entry=self.head.entry, hash=self.head.journal_hash.hex())
        self.head.sealed_at = self.head.now
        self.rows.write(told, Outcome.ACCEPTED, [said(self._own(), sealed)])

    def _seen(self, told: Told) -> Seen:
        return self.head.seen.get(self._source(told), Seen())

    def _source(self, told: Told) -> str:
        """Under which name the head remembers how far it has seen."""
        return f"{self.mind.service}.commands/{told.hop.shard}" if told.hop else f"{told.service}/{told.partition}"
