"""What intake (own) can be asked and what can have happened there.

One kind of stream: a *complaint*, from the first word until both endings are there, the customer's and ours. Field and type names are
the storage format.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, TypeAlias, get_args
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from shared.contract.conversation import (
    ClearedFields,
    ClearingAsked,
    CustomerKind,
    KeepingAsked,
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
from shared.contract.rootcause import Outcome
from shared.contract.said import Command, Event, by_type
from shared.contract.values import (
    LIST_MAX,
    PERSONAL,
    Actor,
    At,
    Customer,
    Generation,
    Label,
    Narrative,
    PersonalShort,
    PersonalText,
    PromiseTerms,
    Proof,
    Reference,
    ShortText,
    printable,
)

DETAILS_MAX = 50
"""Texts by name beside the fields of a submission."""
DETAIL_MAX = 2000
"""Characters of such a text."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hex, of a submission's bytes. Nothing keys it, and what it is of is personal: whoever guesses the words can tell that they
were said. Sealing must key it by whom it is about, as it seals the words themselves."""
InputId = Annotated[str, StringConstraints(max_length=500)]
"""The id of the message that something came with; empty where it had none."""
Detail = Annotated[str, StringConstraints(max_length=DETAIL_MAX), AfterValidator(printable)]
Severity: TypeAlias = Literal["low", "medium", "high", "critical"]
CustomersEnding: TypeAlias = Literal["confirmed", "assumed", "withdrawn"]


class Told(BaseModel):
    """What we were told: by an upstream's record, or by one of us."""

    source: Label
    """The upstream system, or the team that found it."""
    ref: Reference
    """How the source knows it. With the source, this is the complaint's identity."""
    narrative: Narrative | None = None
    summary: PersonalShort | None = None
    product: Label | None = None
    issue: PersonalShort | None = None
    channel: Label | None = None
    customer: Customer = Customer()
    occurred_at: At | None = None
    occurred_precision: Literal["second", "minute", "day"] | None = None
    reported_at: At | None = None
    upstream_version: Reference | None = None
    """Of the record: another one makes other content an update rather than a conflict."""
    upstream_status: ShortText | None = None
    """A word of the upstream's own, as it stands there."""
    tags: Annotated[tuple[Label, ...], Field(max_length=LIST_MAX)] = ()
    details: Annotated[dict[Label, Detail], Field(max_length=DETAILS_MAX, json_schema_extra=PERSONAL)] = {}

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.narrative or self.summary or self.issue):
            raise ValueError("it says nothing: give at least one of narrative, summary, issue")
        return self


# ---- asked -----------------------------------------------------------------------------------------------------------------


class SubmitComplaint(Told, Command):
    """An upstream's record of a complaint."""

    type: ClassVar[str] = "intake.SubmitComplaint.v1"
    stream: ClassVar[str] = "complaint"


class ReportFinding(Told, Command):
    """We found it ourselves, before a customer did. `customer` is whoever found it."""

    type: ClassVar[str] = "intake.ReportFinding.v1"
    stream: ClassVar[str] = "complaint"

    exposed: Annotated[tuple[Reference, ...], Field(max_length=LIST_MAX, json_schema_extra=PERSONAL)] = ()
    """Customers whom it may reach, by their numbers."""


class Classify(Command):
    """What it is about, what kind of thing went wrong, and how much it matters."""

    type: ClassVar[str] = "intake.Classify.v1"
    stream: ClassVar[str] = "complaint"

    product: Label
    defect_kind: Label
    """One of the policy's `defect_kinds`."""
    severity: Severity
    central: bool
    """Whether it touches what the customer bought this for."""


class AssignOwner(Command):
    """Propose who owns it. They own it when they accept."""

    type: ClassVar[str] = "intake.AssignOwner.v1"
    stream: ClassVar[str] = "complaint"

    owner: Actor


class AcceptOwnership(Command):
    """I will see this through."""

    type: ClassVar[str] = "intake.AcceptOwnership.v1"
    stream: ClassVar[str] = "complaint"

    by: Actor | None = None
    """Who accepts: the assigned owner. Whoever asks, where absent."""


class TransferOwnership(Command):
    """Hand it to somebody else, with everything, so that the customer need not tell it again. They are asked to accept it."""

    type: ClassVar[str] = "intake.TransferOwnership.v1"
    stream: ClassVar[str] = "complaint"

    to: Actor
    reason: PersonalText
    story: PersonalText
    """All that the next owner must know (invariant 16)."""


class Acknowledge(Command):
    """Tell the customer that we heard, and who sees to it."""

    type: ClassVar[str] = "intake.Acknowledge.v1"
    stream: ClassVar[str] = "complaint"

    text: PersonalText
    channel: Label | None = None


class StateNeed(Command):
    """What the customer needs, in their terms."""

    type: ClassVar[str] = "intake.StateNeed.v1"
    stream: ClassVar[str] = "complaint"

    need: PersonalText
    expected_how: PersonalShort | None = None
    expected_by: At | None = None


class RaiseMisunderstanding(MisunderstandingFields, Command):
    """We and the customer mean different things: nothing moves until that is cleared up."""

    type: ClassVar[str] = "intake.RaiseMisunderstanding.v1"
    stream: ClassVar[str] = "complaint"


class ClearMisunderstanding(ClearingAsked, Command):
    """The customer says that it is cleared up."""

    type: ClassVar[str] = "intake.ClearMisunderstanding.v1"
    stream: ClassVar[str] = "complaint"


class MakePromise(PromiseAsked, Command):
    """Promise the customer something by a date. One of them is the next step."""

    type: ClassVar[str] = "intake.MakePromise.v1"
    stream: ClassVar[str] = "complaint"


class KeepPromise(KeepingAsked, Command):
    """A promise is kept."""

    type: ClassVar[str] = "intake.KeepPromise.v1"
    stream: ClassVar[str] = "complaint"


class RenegotiatePromise(RenegotiationAsked, Command):
    """The customer agreed to other terms."""

    type: ClassVar[str] = "intake.RenegotiatePromise.v1"
    stream: ClassVar[str] = "complaint"


class RecordReply(ReplyAsked, Command):
    """The customer said something to us."""

    type: ClassVar[str] = "intake.RecordReply.v1"
    stream: ClassVar[str] = "complaint"


class CompleteOwnership(Command):
    """It is owned: somebody accepted, the customer was told, the need is stated, the next step is promised."""

    type: ClassVar[str] = "intake.CompleteOwnership.v1"
    stream: ClassVar[str] = "complaint"

    next_step: UUID | None = None
    """Which open promise is the next step; the one that is due first where absent."""


class Withdraw(Command):
    """The customer takes the complaint back. Nobody else can."""

    type: ClassVar[str] = "intake.Withdraw.v1"
    stream: ClassVar[str] = "complaint"

    proof: Proof | None = None
    reason: PersonalText | None = None


class ReopenComplaint(Command):
    """It was not over after all. It begins in own again, with the same owner."""

    type: ClassVar[str] = "intake.ReopenComplaint.v1"
    stream: ClassVar[str] = "complaint"

    why: PersonalText


class NoteCustomersEnding(Command):
    """Resolution says: the customer confirmed, or had the time to object and was silent."""

    type: ClassVar[str] = "intake.NoteCustomersEnding.v1"
    stream: ClassVar[str] = "complaint"
    internal: ClassVar[bool] = True

    generation: Generation
    ending: Literal["confirmed", "assumed"]
    ended_at: At


class NoteLateWithdrawal(Command):
    """Resolution says: it had been delivered when the withdrawal came."""

    type: ClassVar[str] = "intake.NoteLateWithdrawal.v1"
    stream: ClassVar[str] = "complaint"
    internal: ClassVar[bool] = True

    generation: Generation


class NoteTimelyWithdrawal(Command):
    """Resolution says: it had not been delivered when the withdrawal came, and nothing more is fixed or delivered."""

    type: ClassVar[str] = "intake.NoteTimelyWithdrawal.v1"
    stream: ClassVar[str] = "complaint"
    internal: ClassVar[bool] = True

    generation: Generation


class NoteReply(Command):
    """Resolution says: the customer said something there. It is proof of their word here, too."""

    type: ClassVar[str] = "intake.NoteReply.v1"
    stream: ClassVar[str] = "complaint"
    internal: ClassVar[bool] = True

    reply_id: UUID
    generation: Generation


class NoteLearning(Command):
    """Rootcause says: we have learned what there was to learn."""

    type: ClassVar[str] = "intake.NoteLearning.v1"
    stream: ClassVar[str] = "complaint"
    internal: ClassVar[bool] = True

    generation: Generation
    outcome: Outcome


# ---- happened --------------------------------------------------------------------------------------------------------------


class ComplaintReceived(Told, Event):
    """Somebody was let down, and we know of it."""

    type: ClassVar[str] = "intake.ComplaintReceived.v1"

    generation: Generation = 1
    found_by: Literal["customer", "internal"]
    exposed: tuple[Annotated[Reference, Field(json_schema_extra=PERSONAL)], ...] = ()
    content_digest: Digest
    """Of the submission's bytes."""
    input_id: InputId = ""
    received_at: At


class SubmissionRepeated(Event):
    """The upstream told us again: the same, or a newer version of its record. Neither moves our stages."""

    type: ClassVar[str] = "intake.SubmissionRepeated.v1"

    content_digest: Digest
    update: bool
    """Whether it was another version of the record."""
    upstream_version: Reference | None = None
    input_id: InputId = ""


class SubmissionConflicted(Event):
    """The upstream told us something else under the same reference and version. The journal has both bodies."""

    type: ClassVar[str] = "intake.SubmissionConflicted.v1"

    known: Digest
    """Of the content that holds this version. The `ComplaintReceived` or `SubmissionRepeated` with this digest names its input."""
    digest: Digest
    """Of the content that came now."""
    input_id: InputId = ""


class ComplaintClassified(Event):
    """What it is about, what kind of thing went wrong, and how much it matters."""

    type: ClassVar[str] = "intake.ComplaintClassified.v1"

    product: Label
    defect_kind: Label
    severity: Severity
    central: bool


class OwnerAssigned(Event):
    """Somebody was asked to own it."""

    type: ClassVar[str] = "intake.OwnerAssigned.v1"

    owner: Reference


class OwnershipAccepted(Event):
    """Somebody said: I will see this through."""

    type: ClassVar[str] = "intake.OwnershipAccepted.v1"

    generation: Generation
    owner: Reference
    taken_from: Reference | None = None
    """Who owned it until now, where it was handed over."""


class OwnershipTransferred(Event):
    """Handed to somebody else, with the whole story. Until they accept, whoever accepted it last answers for it."""

    type: ClassVar[str] = "intake.OwnershipTransferred.v1"

    generation: Generation
    giver: Reference
    """Who had it in hand until now."""
    to: Reference
    reason: PersonalText
    story: PersonalText


class AcknowledgementSent(Event):
    """The customer was told that we heard."""

    type: ClassVar[str] = "intake.AcknowledgementSent.v1"

    generation: Generation
    text: PersonalText
    channel: Label | None = None


class NeedStated(Event):
    """What the customer needs, in their terms."""

    type: ClassVar[str] = "intake.NeedStated.v1"

    need: PersonalText
    expected_how: PersonalShort | None = None
    expected_by: At | None = None


class MisunderstandingRaised(MisunderstandingFields, Event):
    """We and the customer mean different things."""

    type: ClassVar[str] = "intake.MisunderstandingRaised.v1"


class MisunderstandingCleared(ClearedFields, Event):
    """The customer says that it is cleared up."""

    type: ClassVar[str] = "intake.MisunderstandingCleared.v1"


class PromiseMade(PromiseMadeFields, Event):
    """The customer was promised something by a date."""

    type: ClassVar[str] = "intake.PromiseMade.v1"


class PromiseKept(PromiseKeptFields, Event):
    """What was promised is there."""

    type: ClassVar[str] = "intake.PromiseKept.v1"


class PromiseRenegotiated(PromiseRenegotiatedFields, Event):
    """The customer agreed to other terms."""

    type: ClassVar[str] = "intake.PromiseRenegotiated.v1"


class PromiseBroken(PromiseBrokenFields, Event):
    """The date came and what was promised was not there."""

    type: ClassVar[str] = "intake.PromiseBroken.v1"


class ReplyReceived(ReplyFields, Event):
    """The customer said something."""

    type: ClassVar[str] = "intake.ReplyReceived.v1"


class ReplyNoted(Event):
    """The customer said something that is recorded with resolution. Other facts may name it as proof of the customer's word."""

    type: ClassVar[str] = "intake.ReplyNoted.v1"

    reply_id: UUID
    generation: Generation
    """Of the complaint, when resolution received it."""


class ComplaintOwned(Event):
    """It is owned, and goes to fix. From here on the promises are resolution's."""

    type: ClassVar[str] = "intake.ComplaintOwned.v1"

    generation: Generation
    owner: Reference
    need: PersonalText
    next_step: PromiseTerms
    promises: Promises
    """Every open one, the next step among them."""
    replies: ReplyIds = ()
    """The customer's replies of this generation; the newest where there are many."""
    customer_kind: CustomerKind
    product: Label | None = None


class ComplaintWithdrawn(Event):
    """The customer took it back: their ending."""

    type: ClassVar[str] = "intake.ComplaintWithdrawn.v1"

    generation: Generation
    owner: Reference | None = None
    product: Label | None = None
    proof: Proof
    reason: PersonalText | None = None
    released: PromiseIds = ()
    """The open promises that the customer releases us from by this."""
    withdrawn_at: At


class WithdrawalOverruled(Event):
    """It had been delivered before the customer took it back: the delivery's ending counts."""

    type: ClassVar[str] = "intake.WithdrawalOverruled.v1"

    generation: Generation


class WithdrawalStood(Event):
    """It was owned, and had not been delivered when the customer took it back: the withdrawal is the ending."""

    type: ClassVar[str] = "intake.WithdrawalStood.v1"

    generation: Generation


class ComplaintReopened(Event):
    """It was not over after all: it begins in own again."""

    type: ClassVar[str] = "intake.ComplaintReopened.v1"

    generation: Generation
    """The new one."""
    owner: Reference | None = None
    need: PersonalText | None = None
    why: PersonalText
    ending: CustomersEnding
    """The one that did not hold."""


class CustomersEndingNoted(Event):
    """The first half of settled: the customer's ending."""

    type: ClassVar[str] = "intake.CustomersEndingNoted.v1"

    generation: Generation
    ending: Literal["confirmed", "assumed"]
    ended_at: At


class LearningNoted(Event):
    """The second half of settled: our ending."""

    type: ClassVar[str] = "intake.LearningNoted.v1"

    generation: Generation
    outcome: Outcome


class ComplaintSettled(Event):
    """Both endings of the same generation are there."""

    type: ClassVar[str] = "intake.ComplaintSettled.v1"

    generation: Generation
    ending: CustomersEnding
    outcome: Outcome


class StaleFactIgnored(Event):
    """Another service's fact came for another generation and had no effect."""

    type: ClassVar[str] = "intake.StaleFactIgnored.v1"

    fact: Literal["confirmed", "assumed", "late_withdrawal", "timely_withdrawal", "learned"]
    generation: Generation
    current: Generation


# ---- the catalogue, derived ------------------------------------------------------------------------------------------------

ComplaintCommand: TypeAlias = (
    SubmitComplaint
    | ReportFinding
    | Classify
    | AssignOwner
    | AcceptOwnership
    | TransferOwnership
    | Acknowledge
    | StateNeed
    | RaiseMisunderstanding
    | ClearMisunderstanding
    | MakePromise
    | KeepPromise
    | RenegotiatePromise
    | RecordReply
    | CompleteOwnership
    | Withdraw
    | ReopenComplaint
    | NoteCustomersEnding
    | NoteLateWithdrawal
    | NoteTimelyWithdrawal
    | NoteReply
    | NoteLearning
)
ComplaintEvent: TypeAlias = (
    ComplaintReceived
    | SubmissionRepeated
    | SubmissionConflicted
    | ComplaintClassified
    | OwnerAssigned
    | OwnershipAccepted
    | OwnershipTransferred
    | AcknowledgementSent
    | NeedStated
    | MisunderstandingRaised
    | MisunderstandingCleared
    | PromiseMade
    | PromiseKept
    | PromiseRenegotiated
    | PromiseBroken
    | ReplyReceived
    | ReplyNoted
    | ComplaintOwned
    | ComplaintWithdrawn
    | WithdrawalOverruled
    | WithdrawalStood
    | ComplaintReopened
    | CustomersEndingNoted
    | LearningNoted
    | ComplaintSettled
    | StaleFactIgnored
)

INTAKE_COMMANDS = by_type(get_args(ComplaintCommand))
INTAKE_EVENTS = by_type(get_args(ComplaintEvent))

ANSWERS: Mapping[str, Literal["accepted", "repeated", "conflicting"]] = {
    ComplaintReceived.type: "accepted",
    SubmissionRepeated.type: "repeated",
    SubmissionConflicted.type: "conflicting",
}
"""What became of a submission, by the event that answers it."""
