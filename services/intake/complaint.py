"""The complaint: from the first word until both endings are there. Pure: the same history and request give the same facts.

While it is in own, everything about it is decided here. From `ComplaintOwned` on, the promises and the talk with the customer are
resolution's; who owns it, what it is about, and what the customer takes back or opens again stay here. Reopened, it begins in own
again under a new generation: owner and need are carried, the rest is owed anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never
from uuid import UUID

from services.intake.endings import Endings, ended, noted, with_settled
from services.intake.ownership import accepted, asked_after, assigned, giver
from services.intake.submissions import Contents, answer, with_conflict, with_content
from shared.contract.conversation import CustomerKind
from shared.contract.intake import (
    AcceptOwnership,
    Acknowledge,
    AcknowledgementSent,
    AssignOwner,
    Classify,
    ClearMisunderstanding,
    ComplaintClassified,
    ComplaintCommand,
    ComplaintEvent,
    ComplaintOwned,
    ComplaintReceived,
    ComplaintReopened,
    ComplaintSettled,
    ComplaintWithdrawn,
    CompleteOwnership,
    CustomersEndingNoted,
    KeepPromise,
    LearningNoted,
    MakePromise,
    MisunderstandingCleared,
    MisunderstandingRaised,
    NeedStated,
    NoteCustomersEnding,
    NoteLateWithdrawal,
    NoteLearning,
    NoteReply,
    NoteTimelyWithdrawal,
    OwnerAssigned,
    OwnershipAccepted,
    OwnershipTransferred,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    PromiseRenegotiated,
    RaiseMisunderstanding,
    RecordReply,
    RenegotiatePromise,
    ReopenComplaint,
    ReplyNoted,
    ReplyReceived,
    ReportFinding,
    StaleFactIgnored,
    StateNeed,
    SubmissionConflicted,
    SubmissionRepeated,
    SubmitComplaint,
    TransferOwnership,
    Withdraw,
    WithdrawalOverruled,
    WithdrawalStood,
)
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.values import PromiseTerms
from shared.machine.mind import Context, Stream, Timer
from shared.obligations.promises import Book, Stored, booked, broken, open_ids, open_terms, promised, with_end
from shared.obligations.promises import timers as promise_timers
from shared.obligations.proof import Moment, Replies, ended_before, proven, reply, so_far, with_reply
from shared.obligations.sameness import fingerprint
from shared.policy.kinds import unknown_defect_kind

STORED = Stored(PromiseMade, PromiseKept, PromiseRenegotiated, PromiseBroken)
Decision = Sequence[ComplaintEvent] | Refusal


@dataclass(frozen=True, slots=True)
class Complaint:
    """What later decisions need to know, and nothing else. Of what was said word for word, the fingerprint."""

    generation: int = 0
    """0 means that nobody told us of it."""
    contents: Contents = field(default_factory=Contents)
    customer_kind: CustomerKind = "external"
    product: str | None = None
    classified: str | None = None
    asked: str | None = None
    """Who is asked to own it and has not accepted."""
    owner: str | None = None
    """Who accepted it last: it is theirs until the next one accepts."""
    acknowledged: str | None = None
    """The newest acknowledgement of this generation."""
    need: str | None = None
    stated: str | None = None
    """The need with how and when it is expected."""
    promises: Book = field(default_factory=dict)
    """Those of this generation, until they are resolution's."""
    replies: Replies = field(default_factory=dict)
    misunderstanding: str | None = None
    """The newest one, while any is raised."""
    raised: Moment = field(default_factory=Moment)
    """When it was."""
    owned: int = 0
    """The generation that was owned last."""
    endings: Endings = field(default_factory=Endings)
    """Of this generation."""

    @property
    def is_owned(self) -> bool:
        """Whether own is behind it: resolution has the promises."""
        return 0 < self.generation == self.owned


def evolve(state: Complaint, event: ComplaintEvent) -> Complaint:
    """The state after one more fact."""
    match event:
        case ComplaintReceived(generation=generation, content_digest=digest, customer=customer, product=product):
            contents = with_content(state.contents, digest, event.upstream_version)
            return replace(state, generation=generation, contents=contents, customer_kind=customer.kind, product=product)
        case SubmissionRepeated(update=update, content_digest=digest, upstream_version=version):
            return replace(state, contents=with_content(state.contents, digest, version)) if update else state
        case SubmissionConflicted(digest=digest):
            return replace(state, contents=with_conflict(state.contents, digest))
        case ComplaintClassified(product=product):
            return replace(state, product=product, classified=fingerprint(event))
        case OwnerAssigned(owner=owner):
            return replace(state, asked=owner)
        case OwnershipAccepted(owner=owner):
            return replace(state, owner=owner, asked=None)
        case OwnershipTransferred(to=to):
            return replace(state, asked=asked_after(state.owner, to))
        case AcknowledgementSent():
            return replace(state, acknowledged=fingerprint(event, "text", "channel"))
        case NeedStated(need=need):
            return replace(state, need=need, stated=fingerprint(event))
        case MisunderstandingRaised():
            return replace(state, misunderstanding=fingerprint(event), raised=so_far(state.replies, state.generation))
        case MisunderstandingCleared():
            return replace(state, misunderstanding=None)
        case PromiseMade() | PromiseKept() | PromiseRenegotiated() | PromiseBroken():
            return replace(state, promises=booked(state.promises, event, so_far(state.replies, state.generation)))
        case ReplyReceived(reply_id=reply_id, generation=generation) | ReplyNoted(reply_id=reply_id, generation=generation):
            return replace(state, replies=with_reply(state.replies, generation, reply_id))
        case ComplaintOwned(generation=generation):
            return replace(state, owned=generation, promises={})
        case ComplaintReopened(generation=generation):
            return replace(state, generation=generation, acknowledged=None, promises={}, endings=Endings())
        case ComplaintWithdrawn(released=released):
            book = with_end(state.promises, "released", *released)
            endings = ended(state.endings, event, owned=state.is_owned)
            return replace(state, promises=book, misunderstanding=None, endings=endings)
        case WithdrawalOverruled() | WithdrawalStood() | CustomersEndingNoted() | LearningNoted() | ComplaintSettled():
            return replace(state, endings=ended(state.endings, event, owned=state.is_owned))
        case StaleFactIgnored():
            return state
        case _:
            assert_never(event)


def decide(state: Complaint, command: ComplaintCommand | TimerDue, context: Context) -> Decision:
    """What follows from a request."""
    match command:
        case SubmitComplaint() | ReportFinding():
            return [_received(command, context) if not state.generation else answer(state.contents, command, context)]
        case NoteCustomersEnding() | NoteLateWithdrawal() | NoteTimelyWithdrawal() | NoteLearning():
            return noted(state.endings, command, state.generation, owned=state.is_owned)
        case NoteReply(reply_id=reply_id, generation=generation):
            moot = not state.generation or str(reply_id) in state.replies
            return [] if moot else [ReplyNoted(reply_id=reply_id, generation=generation)]
        case TimerDue():
            return broken(state.promises, command, STORED)
        case _ if not state.generation:
            return Refusal(Rule.UNKNOWN_STREAM, "there is no complaint under this id: submit it first")
        case RecordReply():
            found = reply(command, state.replies, state.generation, context)
            return [] if found is None else [ReplyReceived(**dict(found))]
        case Withdraw():
            return _withdraw(state, command, context)
        case ReopenComplaint():
            return _reopen(state, command, context)
        case _:
            return _too_late(state, command) or _asked(state, command, context)


def _received(told: SubmitComplaint | ReportFinding, context: Context) -> ComplaintReceived:
    """Whoever tells us needs no more than to tell it: the owner, the need and the rest are ours to find.

    What was told has passed the same checks as a command already: it is not validated a second time, which would cost half of all the time.
    """
    return ComplaintReceived.model_construct(
        found_by="internal" if isinstance(told, ReportFinding) else "customer",
        content_digest=fingerprint(told),
        input_id=context.input_id,
        received_at=context.now,
        **told.__dict__,
    )


Talk = Acknowledge | StateNeed | RaiseMisunderstanding | ClearMisunderstanding | MakePromise | KeepPromise | RenegotiatePromise
"""What resolution does once it is owned."""
Asked = Talk | Classify | AssignOwner | AcceptOwnership | TransferOwnership | CompleteOwnership


def _too_late(state: Complaint, command: Asked) -> Refusal | None:
    """What the stage does not allow any more."""
    if state.endings.customers is not None:
        return Refusal(
            Rule.CLOSED, "it has ended for the customer: reopen it first, or where that is too late, submit it as a new complaint"
        )
    if state.is_owned and isinstance(command, Talk):
        return Refusal(Rule.WRONG_STAGE, "it is owned, so this is for resolution to do: ask resolution under the same id")
    return None


def _asked(state: Complaint, command: Asked, context: Context) -> Decision:
    match command:
        case Classify():
            return _classify(state, command, context)
        case AssignOwner(owner=to):
            new = assigned(state.owner, state.asked, to)
            if isinstance(new, Refusal):
                return new
            return [OwnerAssigned(owner=to)] if new else []
        case AcceptOwnership(by=by):
            owner = accepted(state.owner, state.asked, by or context.actor)
            if isinstance(owner, Refusal):
                return owner
            return [] if owner is None else [OwnershipAccepted(generation=state.generation, owner=owner, taken_from=state.owner)]
        case TransferOwnership(to=to):
            hand = giver(state.owner, state.asked, to)
            if isinstance(hand, Refusal):
                return hand
            return [] if hand is None else [OwnershipTransferred(generation=state.generation, giver=hand, **dict(command))]
        case Acknowledge():
            repeated = state.acknowledged == fingerprint(command)
            return [] if repeated else [AcknowledgementSent(generation=state.generation, **dict(command))]
        case StateNeed():
            return [] if state.stated == fingerprint(command) else [NeedStated(**dict(command))]
        case RaiseMisunderstanding():
            return [] if state.misunderstanding == fingerprint(command) else [MisunderstandingRaised(**dict(command))]
        case ClearMisunderstanding(now_understood=now_understood):
            if state.misunderstanding is None:
                return []
            proof = proven(command.proof, state.replies, state.raised, "the misunderstanding was raised")
            return proof if isinstance(proof, Refusal) else [MisunderstandingCleared(now_understood=now_understood, proof=proof)]
        case MakePromise() | KeepPromise() | RenegotiatePromise():
            return promised(state.promises, command, STORED, context, made_at="own", replies=state.replies)
        case CompleteOwnership():
            return _complete(state, command, context)
        case _:
            assert_never(command)


def _classify(state: Complaint, command: Classify, context: Context) -> Decision:
    if refusal := unknown_defect_kind(command.defect_kind, context.policy):
        return refusal
    return [] if state.classified == fingerprint(command) else [ComplaintClassified(**dict(command))]


def _complete(state: Complaint, command: CompleteOwnership, context: Context) -> Decision:
    """Invariants 1 and 3."""
    if state.is_owned:
        return []
    if state.misunderstanding is not None:
        return Refusal(Rule.MISUNDERSTANDING_FIRST)
    ahead = [one for one in open_terms(state.promises) if one.due_at > context.now]
    next_step = next((one for one in ahead if command.next_step in {None, one.promise_id}), None)
    if missing := dict(_missing(state, command, next_step)):
        return Refusal(Rule.OWNERSHIP_INCOMPLETE, "; ".join(missing.values()), {"missing": list(missing)})
    assert state.owner is not None
    assert state.need is not None
    assert next_step is not None
    return [
        ComplaintOwned(
            generation=state.generation,
            owner=state.owner,
            need=state.need,
            next_step=next_step,
            promises=open_terms(state.promises),
            replies=tuple(UUID(key) for key, said in state.replies.items() if said.generation == state.generation),
            customer_kind=state.customer_kind,
            product=state.product,
        )
    ]


def _missing(state: Complaint, command: CompleteOwnership, next_step: PromiseTerms | None) -> Iterator[tuple[str, str]]:
    """What is missing to own it, and what to do about each."""
    if state.owner is None and state.asked is None:
        yield "owner", "nobody owns it: assign an owner, and let them accept"
    elif state.asked is not None:
        yield "owner", "whoever is asked to own it has not accepted: let them accept, or ask somebody else"
    if state.acknowledged is None:
        yield "acknowledgement", "the customer was not told that we heard: acknowledge it"
    if state.need is None:
        yield "need", "what the customer needs is not stated: state it in their terms"
    if next_step is None and command.next_step is None:
        yield "next_step", "no next step is promised with a date ahead: make a promise"
    elif next_step is None:
        yield "next_step", "the promise that is named as the next step is not open with a date ahead: name one that is"


def _withdraw(state: Complaint, command: Withdraw, context: Context) -> Decision:
    """It is the customer's to take back at any time before it is delivered, whatever is misunderstood: nothing is left to be cleared up."""
    if state.endings.customers == "withdrawn":
        return []
    if state.endings.customers is not None:
        return Refusal(Rule.WITHDRAWAL_TOO_LATE, "it was delivered, and that is how it ended: if it is not right, reopen it")
    proof = proven(command.proof, state.replies, Moment(state.generation), "the complaint was received")
    if isinstance(proof, Refusal):
        return proof
    withdrawn = ComplaintWithdrawn(
        generation=state.generation,
        owner=state.owner,
        product=state.product,
        proof=proof,
        reason=command.reason,
        released=open_ids(state.promises),
        withdrawn_at=context.now,
    )
    return with_settled(state.endings, [withdrawn], state.generation, owned=state.is_owned)


def _reopen(state: Complaint, command: ReopenComplaint, context: Context) -> Decision:
    """Invariant 10. The window is counted from the customer's ending, whether or not we have learned since."""
    ending, ended_at = state.endings.customers, state.endings.at
    if ending is None or ended_at is None:
        return Refusal(Rule.NOT_ENDED)
    if ended_before(ended_at, context):
        return Refusal(Rule.REOPEN_WINDOW_PASSED)
    return [ComplaintReopened(generation=state.generation + 1, owner=state.owner, need=state.need, why=command.why, ending=ending)]


def is_closed(state: Complaint) -> bool:
    """Settled. Nothing is pending then: what was promised is resolution's or released, and no misunderstanding outlives own."""
    return state.endings.settled


def timers(state: Complaint) -> Mapping[str, Timer]:
    """One for each promise that is open here."""
    return promise_timers(state.promises, state.generation)


STREAM = Stream(kind="complaint", initial=Complaint(), decide=decide, evolve=evolve, is_closed=is_closed, timers=timers)
