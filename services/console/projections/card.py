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
Promises = Mapping[str, datetime]
"""Open ones, by id, and when each is due."""


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
    promises: Promises = field(default_factory=dict)
    kept: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Own(Part):
    """What intake says. Of stages, the generation in which they were passed; 0 for never."""

    generation: int = 1
    received: intake.ComplaintReceived | None = None
    owner: str | None = None
    accepted: bool = False
    product: str | None = None
    defect_kind: str | None = None
    severity: str | None = None
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
    verdict: str | None = None
    objection_until: datetime | None = None
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

    @property
    def held(self) -> bool:
        """Whether a misunderstanding is raised where the complaint is."""
        return self.own.held if self.own.owned < self.own.generation else self.case.held and self.case.generation >= self.own.generation

    @property
    def promises(self) -> Promises:
        """Those open anywhere."""
        return {**self.own.promises, **self.case.promises}


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
        case machine.InputParked() | machine.InputWaiting():
            return replace(part, parked=part.parked + 1)
        case intake.MisunderstandingRaised() | resolution.MisunderstandingRaised():
            return replace(part, held=True)
        case intake.MisunderstandingCleared() | resolution.MisunderstandingCleared():
            return replace(part, held=False)
        case intake.PromiseMade(promise=terms) | resolution.PromiseMade(promise=terms):
            return replace(part, promises={**part.promises, **_due(terms)})
        case intake.PromiseKept(promise_id=promise_id) | resolution.PromiseKept(promise_id=promise_id):
            return replace(part, promises=_without(part.promises, promise_id), kept=part.kept + 1)
        case intake.PromiseBroken(promise_id=promise_id) | resolution.PromiseBroken(promise_id=promise_id):
            return replace(part, promises=_without(part.promises, promise_id), broken=part.broken + 1)
        case intake.PromiseRenegotiated() | resolution.PromiseRenegotiated():
            return replace(part, promises={**_without(part.promises, event.promise_id), **_due(event.becomes)})
        case intake.ComplaintWithdrawn(released=released) | resolution.CaseClosed(released=released):
            return replace(part, held=False, promises=_without(part.promises, *released))
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
            return replace(own, owner=owner, accepted=False)
        case intake.OwnershipAccepted(owner=owner):
            return replace(own, owner=owner, accepted=True)
        case intake.NeedStated(need=need):
            return replace(own, need=need)
        case intake.ComplaintOwned(generation=generation):
            return replace(own, owned=generation, promises={})
        case intake.ComplaintWithdrawn(generation=generation):
            return replace(own, withdrawn=generation)
        case intake.WithdrawalOverruled():
            return replace(own, withdrawn=0)
        case intake.ComplaintReopened(generation=generation):
            return replace(own, generation=generation, promises={})
        case intake.ComplaintSettled(generation=generation, ending=ending, outcome=outcome):
            return replace(own, settled=generation, ending=ending, outcome=outcome)
        case _:
            return own


def _case(case: Case, event: Event) -> Case:
    match event:
        case resolution.CaseOpened(generation=generation) | resolution.CaseReopened(generation=generation):
            return replace(case, generation=generation, verdict=None, objection_until=None, held=False)
        case resolution.ObligationsTakenOver(promises=promises):
            return replace(case, promises={**case.promises, **_due(*promises)})
        case resolution.MisunderstandingCleared(objection_until=until):
            return replace(case, objection_until=until or case.objection_until)
        case resolution.DecisionMade(verdict=verdict):
            return replace(case, verdict=verdict)
        case resolution.FixCompleted(generation=generation):
            return replace(case, fixed=generation)
        case resolution.Delivered(generation=generation, objection_until=until):
            return replace(case, delivered=generation, objection_until=until)
        case resolution.DeliveryObjected(generation=generation):
            return replace(case, fixed=generation - 1, delivered=generation - 1, objection_until=None)
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


def _due(*promises: PromiseTerms) -> Promises:
    return {str(one.promise_id): one.due_at for one in promises}


def _without(promises: Promises, *promise_ids: UUID) -> Promises:
    gone = {str(one) for one in promise_ids}
    return {key: due for key, due in promises.items() if key not in gone}
