"""What resolution (fix, deliver) can be asked and what can have happened there.

One kind of stream: a *case*, under its complaint's id, from ownership until the customer has it in hand. Field and type names are the
storage format.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias, get_args
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.contract.conversation import (
    ClearedFields,
    ClearingAsked,
    CustomerKind,
    KeepingAsked,
    KeptAtOnce,
    MisunderstandingFields,
    PromiseAsked,
    PromiseBrokenFields,
    PromiseIds,
    PromiseKeptFields,
    PromiseMadeFields,
    PromiseRenegotiatedFields,
    Promises,
    RenegotiationAsked,
    ReplyAsked,
    ReplyFields,
    ReplyIds,
)
from shared.contract.said import Command, Event, by_type
from shared.contract.values import (
    LIST_MAX,
    At,
    Generation,
    Label,
    Money,
    OptionalPersonalText,
    PersonalShort,
    PersonalText,
    PromiseTerms,
    Proof,
    Reference,
    Value,
)

Verdict: TypeAlias = Literal["uphold", "uphold_in_part", "decline", "clarified"]
Objection: TypeAlias = Literal["new_evidence", "not_as_decided"]


class Remedy(Value):
    """What the customer gets."""

    what: PersonalShort
    amount: Money | None = None


class OfferTerms(Value):
    """What was asked, and what can be done instead: 100 loaves today; 20 today, or 100 by Friday."""

    asked: PersonalText
    can_do: PersonalText
    by: At | None = None


Reasons = Annotated[tuple[PersonalText, ...], Field(max_length=LIST_MAX)]
Remedies = Annotated[tuple[Remedy, ...], Field(max_length=LIST_MAX)]
Asker = Annotated[str, StringConstraints(min_length=1, max_length=500)]
"""Who asked, as the message names them."""

# ---- asked -----------------------------------------------------------------------------------------------------------------


class OpenCase(Command):
    """Intake says: it is owned. A later generation opens the case again."""

    type: ClassVar[str] = "resolution.OpenCase.v1"
    stream: ClassVar[str] = "case"
    internal: ClassVar[bool] = True

    generation: Generation
    owner: Reference
    need: PersonalText
    next_step: PromiseTerms
    promises: Promises
    replies: ReplyIds = ()
    customer_kind: CustomerKind
    product: Label | None = None


class CloseWithdrawn(Command):
    """Intake says: the customer took it back."""

    type: ClassVar[str] = "resolution.CloseWithdrawn.v1"
    stream: ClassVar[str] = "case"
    internal: ClassVar[bool] = True

    generation: Generation


class SuspendCase(Command):
    """Intake says: it is open again, and begins in own."""

    type: ClassVar[str] = "resolution.SuspendCase.v1"
    stream: ClassVar[str] = "case"
    internal: ClassVar[bool] = True

    generation: Generation
    """The new one."""


class ChangeOwner(Command):
    """Intake says: it is somebody else's now."""

    type: ClassVar[str] = "resolution.ChangeOwner.v1"
    stream: ClassVar[str] = "case"
    internal: ClassVar[bool] = True

    generation: Generation
    to: Reference


class NoteReply(Command):
    """Intake says: the customer said something there. It is proof of their word here, too."""

    type: ClassVar[str] = "resolution.NoteReply.v1"
    stream: ClassVar[str] = "case"
    internal: ClassVar[bool] = True

    reply_id: UUID
    generation: Generation


class RecordInvestigation(Command):
    """Facts that were found. Not causes: those wait for the delivery, and are rootcause's."""

    type: ClassVar[str] = "resolution.RecordInvestigation.v1"
    stream: ClassVar[str] = "case"

    facts: PersonalText
    evidence: PersonalText | None = None


class MakeDecision(Command):
    """What we make of it, and why."""

    type: ClassVar[str] = "resolution.MakeDecision.v1"
    stream: ClassVar[str] = "case"

    verdict: Verdict
    reasons: Reasons = ()
    remedies: Remedies = ()
    counter_offer: OfferTerms | None = None
    no_alternative: OptionalPersonalText = None
    """Why a decline has no counter-offer (invariant 4)."""


class MakeCounterOffer(Command):
    """What can be done instead of what was asked."""

    type: ClassVar[str] = "resolution.MakeCounterOffer.v1"
    stream: ClassVar[str] = "case"

    offer: OfferTerms


class AnswerOffer(Command):
    """What the customer says to the offer."""

    type: ClassVar[str] = "resolution.AnswerOffer.v1"
    stream: ClassVar[str] = "case"

    offer_id: UUID | None = None
    """The newest where absent."""
    answer: Literal["accepted", "refused"]
    proof: Proof | None = None


class StartFix(Command):
    """Somebody is on it."""

    type: ClassVar[str] = "resolution.StartFix.v1"
    stream: ClassVar[str] = "case"

    what: PersonalText | None = None


class CompleteFix(Command):
    """It is fixed on our side; after a decline, the answer and its alternative are ready."""

    type: ClassVar[str] = "resolution.CompleteFix.v1"
    stream: ClassVar[str] = "case"

    what: PersonalText
    evidence: PersonalText | None = None


class Deliver(Command):
    """The customer has it in hand."""

    type: ClassVar[str] = "resolution.Deliver.v1"
    stream: ClassVar[str] = "case"

    what: PersonalText
    how: PersonalShort
    evidence: PersonalText
    keeps: KeptAtOnce = ()
    """The promises that are kept by this."""


class ConfirmDelivery(Command):
    """The customer says that they have it and that it is right."""

    type: ClassVar[str] = "resolution.ConfirmDelivery.v1"
    stream: ClassVar[str] = "case"

    proof: Proof | None = None
    words: PersonalText | None = None


class ObjectToDelivery(Command):
    """The customer says that what came is not it."""

    type: ClassVar[str] = "resolution.ObjectToDelivery.v1"
    stream: ClassVar[str] = "case"

    reason: PersonalText
    because: Objection = "not_as_decided"
    """New evidence opens the decision again."""


class GiveExplanation(Command):
    """Tell the customer why it happened. Only once they have it in hand (invariant 2)."""

    type: ClassVar[str] = "resolution.GiveExplanation.v1"
    stream: ClassVar[str] = "case"

    text: PersonalText
    channel: Label | None = None


class RaiseMisunderstanding(MisunderstandingFields, Command):
    """We and the customer mean different things: nothing moves until that is cleared up."""

    type: ClassVar[str] = "resolution.RaiseMisunderstanding.v1"
    stream: ClassVar[str] = "case"


class ClearMisunderstanding(ClearingAsked, Command):
    """The customer says that it is cleared up."""

    type: ClassVar[str] = "resolution.ClearMisunderstanding.v1"
    stream: ClassVar[str] = "case"


class MakePromise(PromiseAsked, Command):
    """Promise the customer something by a date."""

    type: ClassVar[str] = "resolution.MakePromise.v1"
    stream: ClassVar[str] = "case"


class KeepPromise(KeepingAsked, Command):
    """A promise is kept."""

    type: ClassVar[str] = "resolution.KeepPromise.v1"
    stream: ClassVar[str] = "case"


class RenegotiatePromise(RenegotiationAsked, Command):
    """The customer agreed to other terms."""

    type: ClassVar[str] = "resolution.RenegotiatePromise.v1"
    stream: ClassVar[str] = "case"


class RecordReply(ReplyAsked, Command):
    """The customer said something to us."""

    type: ClassVar[str] = "resolution.RecordReply.v1"
    stream: ClassVar[str] = "case"


# ---- happened --------------------------------------------------------------------------------------------------------------


class CaseOpened(Event):
    """There is an owned complaint to fix."""

    type: ClassVar[str] = "resolution.CaseOpened.v1"

    generation: Generation
    owner: Reference
    need: PersonalText
    next_step: PromiseTerms
    customer_kind: CustomerKind
    product: Label | None = None


class CaseReopened(Event):
    """It is owned again, in a later generation: it is fixed and delivered anew."""

    type: ClassVar[str] = "resolution.CaseReopened.v1"

    generation: Generation
    owner: Reference
    need: PersonalText
    next_step: PromiseTerms
    customer_kind: CustomerKind
    product: Label | None = None


class ObligationsTakenOver(Event):
    """What was promised while it was intake's is ours to keep now; what the customer said then, we know."""

    type: ClassVar[str] = "resolution.ObligationsTakenOver.v1"

    generation: Generation
    promises: Promises
    replies: ReplyIds = ()


class CaseClosed(Event):
    """The complaint ended elsewhere: nothing more is fixed or delivered."""

    type: ClassVar[str] = "resolution.CaseClosed.v1"

    generation: Generation
    because: Literal["withdrawn"]
    released: PromiseIds = ()
    """The open promises that the customer releases us from by this."""


class WithdrawalCameTooLate(Event):
    """The customer took it back when it had been delivered: the delivery stands."""

    type: ClassVar[str] = "resolution.WithdrawalCameTooLate.v1"

    generation: Generation


class CaseSuspended(Event):
    """The complaint is open again: this waits until it is owned anew."""

    type: ClassVar[str] = "resolution.CaseSuspended.v1"

    generation: Generation


class OwnerChanged(Event):
    """The complaint has another owner."""

    type: ClassVar[str] = "resolution.OwnerChanged.v1"

    generation: Generation
    to: Reference


class StaleFactIgnored(Event):
    """Intake's fact came for an older generation and had no effect."""

    type: ClassVar[str] = "resolution.StaleFactIgnored.v1"

    fact: Literal["owned", "withdrawn", "reopened", "transferred"]
    generation: Generation
    current: Generation


class InvestigationRecorded(Event):
    """Facts that were found."""

    type: ClassVar[str] = "resolution.InvestigationRecorded.v1"

    facts: PersonalText
    evidence: PersonalText | None = None


class DecisionMade(Event):
    """What we make of it, and why."""

    type: ClassVar[str] = "resolution.DecisionMade.v1"

    generation: Generation
    verdict: Verdict
    reasons: Reasons
    remedies: Remedies = ()
    offer_id: UUID | None = None
    """The counter-offer that goes with it."""
    no_alternative: PersonalText | None = None
    decided_by: Asker


class CounterOfferMade(Event):
    """What can be done instead of what was asked."""

    type: ClassVar[str] = "resolution.CounterOfferMade.v1"

    offer_id: UUID
    offer: OfferTerms


class CounterOfferAccepted(Event):
    """The customer takes the offer."""

    type: ClassVar[str] = "resolution.CounterOfferAccepted.v1"

    offer_id: UUID
    proof: Proof


class CounterOfferRefused(Event):
    """The customer does not take the offer."""

    type: ClassVar[str] = "resolution.CounterOfferRefused.v1"

    offer_id: UUID
    proof: Proof


class FixStarted(Event):
    """Somebody is on it."""

    type: ClassVar[str] = "resolution.FixStarted.v1"

    generation: Generation
    what: PersonalText | None = None


class FixCompleted(Event):
    """It is ready to be delivered."""

    type: ClassVar[str] = "resolution.FixCompleted.v1"

    generation: Generation
    what: PersonalText
    evidence: PersonalText | None = None


class Delivered(Event):
    """The customer has it in hand."""

    type: ClassVar[str] = "resolution.Delivered.v1"

    generation: Generation
    delivery_id: UUID
    """What the promises that are kept by it name."""
    owner: Reference
    what: PersonalText
    how: PersonalShort
    evidence: PersonalText
    product: Label | None = None
    still_promised: PromiseIds = ()
    """The promises that are open all the same."""
    delivered_at: At
    objection_until: At
    """Until when the customer may object; silence is taken as an answer then."""


class DeliveryConfirmed(Event):
    """The customer says that they have it and that it is right: their ending."""

    type: ClassVar[str] = "resolution.DeliveryConfirmed.v1"

    generation: Generation
    proof: Proof
    words: PersonalText | None = None
    confirmed_at: At


class DeliveryAssumed(Event):
    """The customer had the time to object and was silent. An ending, reported apart from a confirmed one."""

    type: ClassVar[str] = "resolution.DeliveryAssumed.v1"

    generation: Generation
    assumed_at: At


class DeliveryObjected(Event):
    """The customer says that what came is not it: back to fix."""

    type: ClassVar[str] = "resolution.DeliveryObjected.v1"

    generation: Generation
    reason: PersonalText
    because: Objection


class ExplanationGiven(Event):
    """The customer was told why it happened."""

    type: ClassVar[str] = "resolution.ExplanationGiven.v1"

    generation: Generation
    text: PersonalText
    channel: Label | None = None


class MisunderstandingRaised(MisunderstandingFields, Event):
    """We and the customer mean different things. Where something was delivered, it counts as an objection until it is cleared up."""

    type: ClassVar[str] = "resolution.MisunderstandingRaised.v1"

    generation: Generation


class MisunderstandingCleared(ClearedFields, Event):
    """The customer says that it is cleared up."""

    type: ClassVar[str] = "resolution.MisunderstandingCleared.v1"

    generation: Generation
    objection_until: At | None = None
    """Where something was delivered: the time to object starts again."""


class PromiseMade(PromiseMadeFields, Event):
    """The customer was promised something by a date."""

    type: ClassVar[str] = "resolution.PromiseMade.v1"


class PromiseKept(PromiseKeptFields, Event):
    """What was promised is there."""

    type: ClassVar[str] = "resolution.PromiseKept.v1"


class PromiseRenegotiated(PromiseRenegotiatedFields, Event):
    """The customer agreed to other terms."""

    type: ClassVar[str] = "resolution.PromiseRenegotiated.v1"


class PromiseBroken(PromiseBrokenFields, Event):
    """The date came and what was promised was not there."""

    type: ClassVar[str] = "resolution.PromiseBroken.v1"


class ReplyReceived(ReplyFields, Event):
    """The customer said something."""

    type: ClassVar[str] = "resolution.ReplyReceived.v1"


class ReplyNoted(Event):
    """The customer said something that is recorded with intake. Other facts may name it as proof of the customer's word."""

    type: ClassVar[str] = "resolution.ReplyNoted.v1"

    reply_id: UUID
    generation: Generation
    """Of the complaint, when intake received it."""


# ---- the catalogue, derived ------------------------------------------------------------------------------------------------

CaseCommand: TypeAlias = (
    OpenCase
    | CloseWithdrawn
    | SuspendCase
    | ChangeOwner
    | NoteReply
    | RecordInvestigation
    | MakeDecision
    | MakeCounterOffer
    | AnswerOffer
    | StartFix
    | CompleteFix
    | Deliver
    | ConfirmDelivery
    | ObjectToDelivery
    | GiveExplanation
    | RaiseMisunderstanding
    | ClearMisunderstanding
    | MakePromise
    | KeepPromise
    | RenegotiatePromise
    | RecordReply
)
CaseEvent: TypeAlias = (
    CaseOpened
    | CaseReopened
    | ObligationsTakenOver
    | CaseClosed
    | WithdrawalCameTooLate
    | CaseSuspended
    | OwnerChanged
    | StaleFactIgnored
    | InvestigationRecorded
    | DecisionMade
    | CounterOfferMade
    | CounterOfferAccepted
    | CounterOfferRefused
    | FixStarted
    | FixCompleted
    | Delivered
    | DeliveryConfirmed
    | DeliveryAssumed
    | DeliveryObjected
    | ExplanationGiven
    | MisunderstandingRaised
    | MisunderstandingCleared
    | PromiseMade
    | PromiseKept
    | PromiseRenegotiated
    | PromiseBroken
    | ReplyReceived
    | ReplyNoted
)

RESOLUTION_COMMANDS = by_type(get_args(CaseCommand))
RESOLUTION_EVENTS = by_type(get_args(CaseEvent))
