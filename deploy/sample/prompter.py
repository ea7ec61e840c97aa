"""The prompter: what was heard goes in, what is to be sent next comes out. Pure but for what it remembers; it neither sends nor listens.

A line goes out when its turn has come, the line before it is answered, and what it waits for has been heard. What an earlier run of the
same sample heard may be told first (`recalled`): then each line is answered as repeated, and the answer of that time counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic_core import from_json

from deploy.sample.scripts import Fact, Line, Named, NotYet, Script, Step, Submission, filled, message_id, prefix
from deploy.sample.summary import Summary, Unexpected
from services.console.projections.card import Card, with_event
from shared.contract import intake, machine, resolution, rootcause
from shared.contract.catalogue import EVENTS, service_of
from shared.contract.envelope import SUBMISSIONS, commands_topic, event_place, key_of
from shared.contract.said import short_name
from shared.contract.upcasts import read_event

UNREADABLE = machine.NOT_TAKEN.keys() - {machine.CommandRefused.type}
OUTCOMES = {**intake.ANSWERS, machine.MessageRepeated.type: "repeated"}
"""What an answer says of an upstream's record."""
IDS = {
    intake.ReplyReceived.type: "reply_id", resolution.ReplyReceived.type: "reply_id", rootcause.CauseRecorded.type: "digest",
    intake.PromiseMade.type: "promise", resolution.PromiseMade.type: "promise",
    intake.PromiseRenegotiated.type: "becomes", resolution.PromiseRenegotiated.type: "becomes",
}  # fmt: skip
"""Where in an event the id stands that later lines speak of."""
MOVES = frozenset({
    intake.ComplaintReceived.type, intake.ComplaintOwned.type, intake.ComplaintWithdrawn.type, intake.WithdrawalOverruled.type,
    intake.ComplaintReopened.type, intake.ComplaintSettled.type, resolution.FixCompleted.type, resolution.DeliveryConfirmed.type,
    resolution.DeliveryAssumed.type, resolution.DeliveryObjected.type,
})  # fmt: skip
"""The events that a complaint's stage follows from."""
AWAITED = frozenset(said.type for said in (
    intake.PromiseBroken, intake.WithdrawalOverruled, intake.CustomersEndingNoted, intake.ComplaintSettled, resolution.CaseOpened,
    resolution.CaseReopened, resolution.CaseSuspended, resolution.FixCompleted,
    resolution.PromiseBroken, resolution.ReplyNoted, rootcause.LearningOpened, rootcause.LearningResumed,
    rootcause.LearningSuspended, rootcause.CorrectionJoined, rootcause.JoinRefused, rootcause.ProblemCorrectionPlanned,
))  # fmt: skip
"""The events that scripts wait for."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event, as far as the prompter needs it."""

    cause: str
    """The id of the message that it answers; empty for the clock's."""
    type: str
    stream: str
    body: bytes
    id: str
    at: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent."""

    id: str
    topic: str
    type: str
    stream: UUID
    """Whom it concerns: what an upstream sends says so itself."""
    key: bytes | None
    body: bytes
    actor: str


@dataclass(slots=True, eq=False)
class _Running:
    """A script under way."""

    script: Script
    place: int = 0
    asked: Message | None = None
    """What has been sent and is not answered."""
    known: dict[str, Named | None] = field(default_factory=dict)

    @property
    def line(self) -> Line:
        return self.script.lines[self.place]


class Prompter:
    """Runs scripts."""

    def __init__(self, seed: int) -> None:
        """`seed`: the sample's."""
        self.seed = seed
        self.summary = Summary()
        self.running: set[str] = set()
        """The names of the scripts that are under way."""
        self._asked: dict[str, _Running] = {}
        self._facts: defaultdict[str, set[Fact]] = defaultdict(set)
        self._waiting: defaultdict[tuple[str, Fact], list[_Running]] = defaultdict(list)
        self._cards: dict[str, Card] = {}
        self._refused: dict[str, Heard] = {}
        """What an earlier run was refused, by message."""
        self._named: dict[str, Named] = {}
        self._parked: set[str] = set()
        self._again = False
        """Whether there was an earlier run."""

    # ---- in and out --------------------------------------------------------------------------------------------------------

    def begin(self, script: Script) -> Sequence[Message]:
        """Begins a script: its first message."""
        one = _Running(script)
        self.running.add(script.name)
        stream = str(script.stream)
        self._cards.setdefault(stream, Card())
        self._facts.setdefault(stream, set())
        return list(self._next(one))

    def hear(self, heard: Heard) -> Sequence[Message]:
        """What follows from an event."""
        one = self._asked.pop(heard.cause, None)
        if one is None and self._again:
            self._kept(heard)
        woken = list(self._noted(heard))
        if one is not None:
            self._answered(one, heard)
            woken.append(one)
        return [message for each in woken for message in self._next(each)]

    def recalled(self, heard: Heard) -> None:
        """An event of an earlier run, or one that has nothing to do with the sample."""
        self._again = True
        self._kept(heard)
        self._noted(heard)

    def _kept(self, heard: Heard) -> None:
        """Keeps what a message led to that this run has not sent yet."""
        if not heard.cause.startswith(prefix(self.seed)):
            return
        if heard.stream not in self._cards:
            self._cards[heard.stream] = Card()
            self._facts[heard.stream] = set()
        if heard.type == machine.CommandRefused.type:
            self._refused[heard.cause] = heard
        elif heard.type in UNREADABLE:
            self._parked.add(heard.cause)
        elif heard.type not in {machine.MessageRepeated.type, machine.InputTakenUp.type}:
            self._named.setdefault(heard.cause, _named(heard))

    def unanswered(self) -> Iterable[Message]:
        """What has been sent and is not answered."""
        return [one.asked for one in self._asked.values() if one.asked]

    # ---- what was heard ----------------------------------------------------------------------------------------------------

    def _noted(self, heard: Heard) -> Sequence[_Running]:
        """Keeps what is waited for, and where the complaint is; gives the scripts that have waited for just this."""
        if heard.stream not in self._cards:
            return ()
        if heard.type in MOVES:
            event = read_event(heard.type, heard.body, EVENTS)
            place, at = event_place(heard.id), datetime.fromisoformat(heard.at)
            assert place is not None, "what is heard is an event"
            self._cards[heard.stream] = with_event(self._cards[heard.stream], place.service, event, at)
        if heard.type not in AWAITED:
            return ()
        found = Fact(heard.type, int(from_json(heard.body).get("generation", 0)))
        self._facts[heard.stream].add(found)
        return self._waiting.pop((heard.stream, found), ())

    def _answered(self, one: _Running, heard: Heard) -> None:
        """What the answer to the line that was sent means for the script."""
        line, message = one.line, one.asked
        assert message is not None, "only what was asked is answered"
        one.asked = None
        repeated = heard.type == machine.MessageRepeated.type
        answer = self._refused.pop(message.id, heard) if repeated else heard
        if isinstance(line, Submission):
            self.summary.submissions[OUTCOMES.get(heard.type, "bad")] += 1
            wrong = None if repeated or heard.type == line.expects else f"{short_name(line.expects)} was expected"
        else:
            self.summary.commands += 1
            wrong = self._judged(line, answer)
            named = self._named.pop(message.id, None) if repeated else _named(heard)
            if line.name:
                one.known[line.name] = None if answer.type == machine.CommandRefused.type else named
        self.summary.repeated += repeated
        if wrong is None:
            one.place += 1
            return
        self._broke_off(one, message, answer, wrong)

    def _judged(self, step: Step, answer: Heard) -> str | None:
        """What is unexpected about an answer, or None."""
        if answer.type in UNREADABLE:
            return "it could not be decided"
        if answer.type != machine.CommandRefused.type:
            return f"it was to be refused by {step.refused.code}" if step.refused else None
        rule = from_json(answer.body)["rule"]
        if rule in {one.code for one in (step.refused, step.or_refused) if one}:
            self.summary.refused += 1
            self.summary.rules[rule] += 1
            return None
        return f"it was to be refused by {step.refused.code}" if step.refused else "it was not to be refused"

    def _broke_off(self, one: _Running, message: Message, answer: Heard, wrong: str) -> None:
        said = from_json(answer.body) if answer.body else {}
        rule, why = said.get("rule", short_name(answer.type)), said.get("why") or said.get("reason") or ""
        self.summary.unexpectedly(Unexpected(message.id, short_name(message.type), str(rule), f"{wrong}: {why}"))
        self._ended(one)

    def _ended(self, one: _Running) -> None:
        stream = str(one.script.stream)
        self.running.discard(one.script.name)
        one.place = len(one.script.lines)
        if not one.script.reaches:
            return
        self.summary.complaints += 1
        self.summary.stages[self._cards.pop(stream).stage] += 1
        del self._facts[stream]

    # ---- what comes next ---------------------------------------------------------------------------------------------------

    def _next(self, one: _Running) -> Iterator[Message]:
        """The script's next message, if its turn has come."""
        while one.script.name in self.running and one.asked is None:
            at_end = one.place == len(one.script.lines)
            if missing := self._missing(one, one.script.until if at_end else one.line.after):
                if one not in self._waiting[missing]:
                    self._waiting[missing].append(one)
                return
            if at_end:
                self._ended(one)
                return
            message = self._message(one)
            if message is None:
                one.place += 1
                continue
            one.asked = message
            self._asked[message.id] = one
            yield message

    def _missing(self, one: _Running, facts: Iterable[Fact]) -> tuple[str, Fact] | None:
        if one.place < len(one.script.lines) and self._is_left_out(one):
            return None
        for found in facts:
            stream, plain = str(found.stream or one.script.stream), Fact(found.type, found.generation)
            if plain not in self._facts[stream]:
                return stream, plain
        return None

    def _is_left_out(self, one: _Running) -> bool:
        """Whether the line makes no sense, since what it speaks of was not to be."""
        line = one.line
        return isinstance(line, Step) and any(name in one.known and one.known[name] is None for name in line.needs)

    def _message(self, one: _Running) -> Message | None:
        """The line as a message; None where it is left out."""
        script, line = one.script, one.line
        ident = message_id(self.seed, script.name, one.place)
        if isinstance(line, Submission):
            if ident in self._parked:  # what can't be read has no answer to be repeated: it would be parked once more
                self.summary.submissions["repeated"] += 1
                self.summary.repeated += 1
                return None
            return Message(ident, SUBMISSIONS, intake.SubmitComplaint.type, script.stream, line.key, line.body, "system:upstream")
        if self._is_left_out(one):
            return None
        try:
            command = line.asks.model_validate(filled(line.data, one.known))
        except NotYet as name:
            raise AssertionError(f"{ident} speaks of {name}, which no line before it leads to") from name
        stream = line.stream or script.stream
        topic = commands_topic(service_of(command.type))
        return Message(ident, topic, command.type, stream, key_of(stream), command.to_bytes(), line.by)


def _named(heard: Heard) -> Named:
    said = from_json(heard.body)
    found = said.get(IDS.get(heard.type, ""), "")
    return Named(found["promise_id"] if isinstance(found, dict) else str(found), heard.id, datetime.fromisoformat(heard.at))
