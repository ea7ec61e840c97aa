"""Where is a complaint, and what is known of it? Pure: a card and an event give the next card.

The services' events come over three topics without an order between them; each says which generation of the complaint it is about, and
what an older generation says moves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import TypeAdapter

from shared.contract import intake, machine, resolution, rootcause
from shared.contract.said import Event

Where = Literal["own", "fix", "deliver", "retrain", "settled"]


@dataclass(frozen=True, slots=True)
class Card:
    """A complaint at a glance. The numbers of stages are the generation in which they were passed; 0 for never."""

    generation: int = 1
    received_at: datetime | None = None
    """None until intake's event has come."""
    updated_at: datetime | None = None
    source: str | None = None
    ref: str | None = None
    summary: str | None = None
    narrative: str | None = None
    product: str | None = None
    issue: str | None = None
    channel: str | None = None
    customer_kind: str | None = None
    customer_ref: str | None = None
    customer_name: str | None = None
    found_by: str | None = None
    occurred_at: datetime | None = None
    reported_at: datetime | None = None
    owner: str | None = None
    accepted: bool = False
    """Whether the owner has accepted."""
    defect_kind: str | None = None
    severity: str | None = None
    need: str | None = None
    verdict: str | None = None
    held: bool = False
    """Whether a misunderstanding is raised."""
    objection_until: datetime | None = None
    owned: int = 0
    fixed: int = 0
    delivered: int = 0
    ended: int = 0
    """By the customer's ending."""
    learned: int = 0
    """By ours."""
    settled: int = 0
    ending: str | None = None
    outcome: str | None = None
    promises: Mapping[str, datetime] = field(default_factory=dict)
    """The open ones, and when each is due."""
    kept: int = 0
    broken: int = 0
    refusals: int = 0
    repeats: int = 0
    conflicts: int = 0
    parked: int = 0
    """Inputs that can't be decided: they wait for somebody to see to them."""
    events: int = 0

    @property
    def stage(self) -> Where:
        """Where it is, in this generation."""
        now = self.generation
        if self.settled >= now:
            return "settled"
        if self.ended >= now:
            return "retrain"
        if self.owned < now:
            return "own"
        return "fix" if self.fixed < now else "deliver"


CARD: TypeAdapter[Card] = TypeAdapter(Card)
"""How a card is written and read."""


def with_event(card: Card, event: Event, at: datetime) -> Card:
    """The card after one more fact of any service."""
    return replace(_changed(card, event), events=card.events + 1, updated_at=max(at, card.updated_at or at))


def _changed(card: Card, event: Event) -> Card:
    match event:
        case intake.ComplaintReceived():
            return _received(card, event)
        case intake.SubmissionRepeated():
            return replace(card, repeats=card.repeats + 1)
        case intake.SubmissionConflicted():
            return replace(card, conflicts=card.conflicts + 1)
        case intake.ComplaintClassified(product=product, defect_kind=kind, severity=severity):
            return replace(card, product=product, defect_kind=kind, severity=severity)
        case intake.OwnerAssigned(owner=owner):
            return replace(card, owner=owner, accepted=False)
        case intake.OwnershipAccepted(owner=owner):
            return replace(card, owner=owner, accepted=True)
        case intake.OwnershipTransferred(to=to):
            return replace(card, owner=to)
        case intake.NeedStated(need=need):
            return replace(card, need=need)
        case intake.ComplaintOwned(generation=generation):
            return replace(card, owned=max(card.owned, generation))
        case intake.ComplaintWithdrawn(generation=generation, released=released):
            return replace(_ended(card, generation, "withdrawn"), promises=_without(card, *released))
        case intake.WithdrawalOverruled(generation=generation):
            return replace(card, ended=0, ending=None) if card.ended == generation and card.ending == "withdrawn" else card
        case intake.ComplaintReopened(generation=generation):
            return replace(card, generation=max(card.generation, generation), held=False, ending=None, outcome=None, verdict=None)
        case intake.ComplaintSettled(generation=generation, ending=ending, outcome=outcome):
            return replace(card, settled=max(card.settled, generation), ending=ending, outcome=outcome)
        case machine.CommandRefused():
            return replace(card, refusals=card.refusals + 1)
        case machine.InputParked() | machine.InputWaiting():
            return replace(card, parked=card.parked + 1)
        case rootcause.LearningClosed(generation=generation, outcome=outcome):
            return replace(card, learned=max(card.learned, generation), outcome=outcome if generation == card.generation else card.outcome)
        case _:
            return _of_the_case(_of_promises(card, event), event)


def _received(card: Card, event: intake.ComplaintReceived) -> Card:
    customer = event.customer
    return replace(
        card, received_at=event.received_at, source=event.source, ref=event.ref, summary=event.summary, narrative=event.narrative,
        product=card.product or event.product, issue=event.issue, channel=event.channel, customer_kind=customer.kind,
        customer_ref=customer.ref, customer_name=customer.name, found_by=event.found_by, occurred_at=event.occurred_at,
        reported_at=event.reported_at,
    )  # fmt: skip


def _of_the_case(card: Card, event: Event) -> Card:
    match event:
        case intake.MisunderstandingRaised() | resolution.MisunderstandingRaised():
            return replace(card, held=True)
        case intake.MisunderstandingCleared():
            return replace(card, held=False)
        case resolution.MisunderstandingCleared(objection_until=until):
            return replace(card, held=False, objection_until=until or card.objection_until)
        case resolution.DecisionMade(verdict=verdict):
            return replace(card, verdict=verdict)
        case resolution.FixCompleted(generation=generation):
            return replace(card, fixed=max(card.fixed, generation))
        case resolution.Delivered(generation=generation, objection_until=until):
            return replace(card, delivered=max(card.delivered, generation), objection_until=until)
        case resolution.DeliveryObjected(generation=generation) if generation >= card.generation:
            return replace(card, fixed=generation - 1, delivered=generation - 1, objection_until=None)
        case resolution.DeliveryConfirmed(generation=generation):
            return _ended(card, generation, "confirmed")
        case resolution.DeliveryAssumed(generation=generation):
            return _ended(card, generation, "assumed")
        case _:
            return card


def _ended(card: Card, generation: int, ending: str) -> Card:
    if generation < card.generation or (card.ended >= generation and card.ending != "withdrawn"):
        return card
    return replace(card, ended=generation, ending=ending, objection_until=None)


def _of_promises(card: Card, event: Event) -> Card:
    """A promise has one holder at a time, so each is made once; taking it over changes nothing here."""
    match event:
        case intake.PromiseMade(promise=terms) | resolution.PromiseMade(promise=terms):
            return replace(card, promises={**card.promises, str(terms.promise_id): terms.due_at})
        case intake.PromiseKept(promise_id=promise_id) | resolution.PromiseKept(promise_id=promise_id):
            return replace(card, promises=_without(card, promise_id), kept=card.kept + 1)
        case intake.PromiseBroken(promise_id=promise_id) | resolution.PromiseBroken(promise_id=promise_id):
            return replace(card, promises=_without(card, promise_id), broken=card.broken + 1)
        case intake.PromiseRenegotiated() | resolution.PromiseRenegotiated():
            becomes = event.becomes
            return replace(card, promises={**_without(card, event.promise_id), str(becomes.promise_id): becomes.due_at})
        case resolution.CaseClosed(released=released):
            return replace(card, promises=_without(card, *released))
        case _:
            return card


def _without(card: Card, *promise_ids: UUID) -> Mapping[str, datetime]:
    gone = {str(one) for one in promise_ids}
    return {key: due for key, due in card.promises.items() if key not in gone}
