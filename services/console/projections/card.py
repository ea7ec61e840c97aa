"""Where is a complaint, and what is known of it? Pure: a card and an event give the next card.

The services' events come over three topics without an order between them. So each service's are folded by themselves, in their own
order, and only what is shown is put together: whatever overtakes what, and however the console is rebuilt, the card is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from shared.contract import intake, machine, resolution, rootcause
from shared.contract.said import Event
from shared.contract.values import PromiseTerms

Where = Literal["own", "fix", "deliver", "retrain", "settled"]
PromiseState = Literal["open", "kept", "broken", "renegotiated", "released"]
SUMMARY_LENGTH = 120
"""Of the line that says what a complaint is about, in characters."""
ENDED_MAX = 100
"""Most promises that have ended and are still shown of a service, the newest of them: a card is read and written with every event."""


@dataclass(frozen=True, slots=True)
class Promised:
    """What the customer was promised, and what became of it."""

    what: str
    due_at: datetime
    made_at: str
    """The stage in which it was promised, or `sale`."""
    state: PromiseState = "open"


Book = Mapping[str, Promised]
"""Promises by their ids, in the order in which they were made."""


@dataclass(frozen=True, slots=True)
class Part:
    """What every service's part of a card has."""

    events: int = 0
    refusals: int = 0
    parked: int = 0
    """Inputs that can't be decided: they wait for somebody to see to them."""
    updated_at: datetime | None = None
    held: bool = False
    """Whether a misunderstanding is raised there."""
    book: Book = field(default_factory=dict)
    kept: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Own(Part):
    """What intake says. Of stages, the generation in which they were passed; 0 for never."""

    generation: int = 1
    received: intake.ComplaintReceived | None = None
    owner: str | None = None
    accepted: bool = False
    asked: str | None = None
    """Who was asked to own it and has not accepted yet."""
    product: str | None = None
    defect_kind: str | None = None
    severity: str | None = None
    acknowledged: int = 0
    need: str | None = None
    owned: int = 0
    withdrawn: int = 0
    settled: int = 0
    ending: str | None = None
    outcome: str | None = None
    repeats: int = 0
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class Case(Part):
    """What resolution says."""

    generation: int = 0
    verdict: resolution.Verdict | None = None
    objection_until: datetime | None = None
    started: int = 0
    fixed: int = 0
    delivered: int = 0
    ended: int = 0
    ending: str | None = None


@dataclass(frozen=True, slots=True)
class Learning(Part):
    """What rootcause says."""

    learned: int = 0
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A complaint at a glance."""

    own: Own = field(default_factory=Own)
    case: Case = field(default_factory=Case)
    learning: Learning = field(default_factory=Learning)

    @property
    def stage(self) -> Where:
        """Where it is, in the generation that intake says it is in."""
        now = self.own.generation
        if self.own.settled >= now:
            return "settled"
        if self.own.withdrawn >= now or self.case.ended >= now:
            return "retrain"
        if self.own.owned < now:
            return "own"
        return "fix" if self.case.fixed < now else "deliver"

    @property
    def ending(self) -> str | None:
        """The customer's ending of this generation."""
        own, case = self.own, self.case
        if own.settled >= own.generation:
            return own.ending
        if case.ended >= own.generation:
            return case.ending
        return "withdrawn" if own.withdrawn >= own.generation else None

    @property
    def outcome(self) -> str | None:
        """Our ending of this generation."""
        own, learning = self.own, self.learning
        if own.settled >= own.generation:
            return own.outcome
        return learning.outcome if learning.learned >= own.generation else None

    @property
    def summary(self) -> str | None:
        """What it is about, in a line."""
        received = self.own.received
        if received is None:
            return None
        about = " ".join((received.summary or received.issue or received.narrative or "").split())
        return about if len(about) <= SUMMARY_LENGTH else about[: SUMMARY_LENGTH - 1] + "…"

    @property
    def received_at(self) -> datetime | None:
        """None until intake's event has come."""
        return self.own.received.received_at if self.own.received else None

    @property
    def updated_at(self) -> datetime | None:
        """When the last thing happened."""
        return max((part.updated_at for part in self.parts if part.updated_at), default=None)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The services' parts."""
        return self.own, self.case, self.learning

    def sum_of(self, count: Literal["events", "refusals", "parked", "kept", "broken"]) -> int:
        """A count, over all services."""
        return sum(getattr(part, count) for part in self.parts)

    @property
    def held(self) -> bool:
        """Whether a misunderstanding is raised where the complaint is."""
        return self.own.held if self.own.owned < self.own.generation else self.case.held and self.case.generation >= self.own.generation

    @property
    def book(self) -> Book:
        """All that was promised. What is open when a complaint is owned is resolution's to tell from when it opened its case."""
        own, case = self.own, self.case
        handed_over = own.owned >= own.generation and case.generation >= own.generation
        return {**(_without_open(own.book) if handed_over else own.book), **case.book}

    @property
    def promises(self) -> Mapping[str, datetime]:
        """Those open anywhere, by id, and when each is due."""
        return {key: one.due_at for key, one in self.book.items() if one.state == "open"}

    @property
    def next_promise_at(self) -> datetime | None:
        """When the first open promise is due."""
        return min(self.promises.values(), default=None)


CARD: TypeAdapter[Card] = TypeAdapter(Card)
"""How a card is written and read."""
P = TypeVar("P", bound=Part)


def with_event(card: Card, service: str, event: Event, at: datetime) -> Card:
    """The card after one more fact of a service."""
    match service:
        case "intake":
            return replace(card, own=_own(_counted(card.own, event, at), event))
        case "resolution":
            return replace(card, case=_case(_counted(card.case, event, at), event))
        case _:
            return replace(card, learning=_learning(_counted(card.learning, event, at), event))


def _counted(part: P, event: Event, at: datetime) -> P:
    part = replace(part, events=part.events + 1, updated_at=at)
    match event:
        case machine.CommandRefused():
            return replace(part, refusals=part.refusals + 1)
        case machine.InputParked(before=None) | machine.InputWaiting():
            return replace(part, parked=part.parked + 1)
        case machine.InputTakenUp():
            return replace(part, parked=part.parked - 1)
        case intake.MisunderstandingRaised() | resolution.MisunderstandingRaised():
            return replace(part, held=True)
        case intake.MisunderstandingCleared() | resolution.MisunderstandingCleared():
            return replace(part, held=False)
        case intake.PromiseMade(promise=terms) | resolution.PromiseMade(promise=terms):
            return replace(part, book={**part.book, **_open(terms)})
        case intake.PromiseKept(promise_id=promise_id) | resolution.PromiseKept(promise_id=promise_id):
            return replace(part, book=_ended(part.book, "kept", promise_id), kept=part.kept + 1)
        case intake.PromiseBroken(promise_id=promise_id) | resolution.PromiseBroken(promise_id=promise_id):
            return replace(part, book=_ended(part.book, "broken", promise_id), broken=part.broken + 1)
        case intake.PromiseRenegotiated() | resolution.PromiseRenegotiated():
            return replace(part, book={**_ended(part.book, "renegotiated", event.promise_id), **_open(event.becomes)})
        case intake.ComplaintWithdrawn(released=released) | resolution.CaseClosed(released=released):
            return replace(part, held=False, book=_ended(part.book, "released", *released))
        case _:
            return part


def _own(own: Own, event: Event) -> Own:
    match event:
        case intake.ComplaintReceived():
            return replace(own, received=event, product=event.product)
        case intake.SubmissionRepeated():
            return replace(own, repeats=own.repeats + 1)
        case intake.SubmissionConflicted():
            return replace(own, conflicts=own.conflicts + 1)
        case intake.ComplaintClassified(product=product, defect_kind=kind, severity=severity):
            return replace(own, product=product, defect_kind=kind, severity=severity)
        case intake.OwnerAssigned(owner=owner):
            return replace(own, owner=owner, accepted=False, asked=owner)
        case intake.OwnershipTransferred(to=to):
            return replace(own, asked=to)
        case intake.OwnershipAccepted(owner=owner):
            return replace(own, owner=owner, accepted=True, asked=None)
        case intake.AcknowledgementSent(generation=generation):
            return replace(own, acknowledged=generation)
        case intake.NeedStated(need=need):
            return replace(own, need=need)
        case intake.ComplaintOwned(generation=generation):
            return replace(own, owned=generation)
        case intake.ComplaintWithdrawn(generation=generation):
            return replace(own, withdrawn=generation)
        case intake.WithdrawalOverruled():
            return replace(own, withdrawn=0)
        case intake.ComplaintReopened(generation=generation):
            return replace(own, generation=generation, book=_without_open(own.book))
        case intake.ComplaintSettled(generation=generation, ending=ending, outcome=outcome):
            return replace(own, settled=generation, ending=ending, outcome=outcome)
        case _:
            return own


def _case(case: Case, event: Event) -> Case:
    match event:
        case resolution.CaseOpened(generation=generation) | resolution.CaseReopened(generation=generation):
            return replace(case, generation=generation, verdict=None, objection_until=None, held=False)
        case resolution.ObligationsTakenOver(promises=promises):
            return replace(case, book={**case.book, **_open(*promises)})
        case resolution.MisunderstandingCleared(objection_until=until):
            return replace(case, objection_until=until or case.objection_until)
        case resolution.DecisionMade(verdict=verdict):
            return replace(case, verdict=verdict)
        case resolution.FixStarted(generation=generation):
            return replace(case, started=generation)
        case resolution.FixCompleted(generation=generation):
            return replace(case, fixed=generation)
        case resolution.Delivered(generation=generation, objection_until=until):
            return replace(case, delivered=generation, objection_until=until)
        case resolution.DeliveryObjected(generation=generation, because=because):
            before, stands = generation - 1, None if because == "new_evidence" else case.verdict
            return replace(case, verdict=stands, started=before, fixed=before, delivered=before, objection_until=None)
        case resolution.DeliveryConfirmed(generation=generation):
            return replace(case, ended=generation, ending="confirmed", objection_until=None)
        case resolution.DeliveryAssumed(generation=generation):
            return replace(case, ended=generation, ending="assumed", objection_until=None)
        case _:
            return case


def _learning(learning: Learning, event: Event) -> Learning:
    match event:
        case rootcause.LearningClosed(generation=generation, outcome=outcome):
            return replace(learning, learned=generation, outcome=outcome)
        case _:
            return learning


def _open(*promises: PromiseTerms) -> Book:
    return {str(one.promise_id): Promised(one.what, one.due_at, one.made_at) for one in promises}


def _ended(book: Book, state: PromiseState, *promise_ids: UUID) -> Book:
    """The book where these have ended so; of those that have ended, the oldest fall out."""
    ended = {str(one) for one in promise_ids}
    found = {key: replace(one, state=state) if key in ended else one for key, one in book.items()}
    over = [key for key, one in found.items() if one.state != "open"][:-ENDED_MAX]
    return {key: one for key, one in found.items() if key not in over}


def _without_open(book: Book) -> Book:
    """What is left of a book when the open ones are somebody else's to tell."""
    return {key: one for key, one in book.items() if one.state != "open"}
