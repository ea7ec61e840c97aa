"""The case: fixing what went wrong and delivering it, under the complaint's own id. Pure: the same history and request give the same facts.

It opens when somebody owns the complaint, goes from fix to deliver, back to fix where the customer objects, and ends when they confirm
it, when they had the time to object and were silent, or when they took the complaint back. Who owns it, what the customer takes back and
what they open again is intake's to say; each such fact is judged by its generation, and none is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from services.resolution.decisions import Decided, decided, decision
from services.resolution.offers import Offers, answer, make, offered
from services.resolution.work import Work, complete, delivery_of, no_excuse, nothing_delivered, objection, start, worked
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.resolution import (
    AnswerOffer,
    CaseClosed,
    CaseCommand,
    CaseEvent,
    CaseOpened,
    CaseReopened,
    CaseSuspended,
    ChangeOwner,
    ClearMisunderstanding,
    CloseWithdrawn,
    CompleteFix,
    ConfirmDelivery,
    CounterOfferAccepted,
    CounterOfferMade,
    CounterOfferRefused,
    DecisionMade,
    Deliver,
    Delivered,
    DeliveryAssumed,
    DeliveryConfirmed,
    DeliveryObjected,
    ExplanationGiven,
    FixCompleted,
    FixStarted,
    GiveExplanation,
    InvestigationRecorded,
    KeepPromise,
    MakeCounterOffer,
    MakeDecision,
    MakePromise,
    MisunderstandingCleared,
    MisunderstandingRaised,
    NoteReply,
    ObjectToDelivery,
    ObligationsTakenOver,
    OpenCase,
    OwnerChanged,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    PromiseRenegotiated,
    RaiseMisunderstanding,
    RecordInvestigation,
    RecordReply,
    RenegotiatePromise,
    ReplyNoted,
    ReplyReceived,
    StaleFactIgnored,
    StartFix,
    SuspendCase,
    WithdrawalCameTooLate,
)
from shared.machine.mind import Context, Stream, Timer
from shared.obligations.promises import Book, Stored, booked, broken, keepable, open_ids, open_ones, promised, with_end, with_terms
from shared.obligations.promises import timers as promise_timers
from shared.obligations.proof import Moment, Replies, proven, reply, so_far, with_reply
from shared.obligations.sameness import fingerprint

OBJECTION = "objection"
"""The timer that ends the customer's time to object."""

STORED = Stored(PromiseMade, PromiseKept, PromiseRenegotiated, PromiseBroken)
Decision = Sequence[CaseEvent] | Refusal


@dataclass(frozen=True, slots=True)
class Case:
    """What later decisions need to know, and nothing else. Of what was said word for word, the fingerprint."""

    generation: int = 0
    """The newest heard of. 0 means never."""
    opened: int = 0
    """The generation in which it was opened last: behind `generation`, it waits until the complaint is owned again."""
    ended: Literal["confirmed", "assumed", "withdrawn"] | None = None
    """How this generation ended."""
    owner: str | None = None
    owner_of: int = 0
    """The generation of the last transfer: that outranks what the ownership says."""
    product: str | None = None
    promises: Book = field(default_factory=dict)
    """Those of this generation, and those of earlier ones that were open when it began."""
    replies: Replies = field(default_factory=dict)
    investigated: str | None = None
    decided: Decided | None = None
    offers: Offers = field(default_factory=dict)
    work: Work = field(default_factory=Work)
    explained: str | None = None
    misunderstanding: str | None = None
    """The newest one, while any is raised."""
    raised: Moment = field(default_factory=Moment)
    """When it was."""

    @property
    def in_hand(self) -> bool:
        """Whether it is delivered and nothing speaks against it. A misunderstanding raised since then counts as an objection."""
        return self.work.delivered is not None and self.misunderstanding is None

    @property
    def so_far(self) -> Moment:
        """After all that the customer said so far."""
        return so_far(self.replies, self.generation)

    @property
    def made_at(self) -> Literal["fix", "deliver"]:
        """The stage in which a promise is made now."""
        return "fix" if self.work.completed is None else "deliver"


def evolve(state: Case, event: CaseEvent) -> Case:
    """The state after one more fact."""
    match event:
        case (
            CaseOpened(generation=generation, owner=owner, product=product)
            | CaseReopened(generation=generation, owner=owner, product=product)
        ):
            return replace(_anew(state, generation), opened=generation, owner=owner, product=product or state.product)
        case CaseSuspended(generation=generation):
            return _anew(state, generation)
        case ObligationsTakenOver(generation=generation, promises=terms, replies=replies):
            book = with_terms(state.promises, state.so_far, *terms)
            return replace(state, promises=book, replies=with_reply(state.replies, generation, *replies))
        case OwnerChanged(generation=generation, to=to):
            return replace(state, owner=to, owner_of=generation)
        case CaseClosed(generation=generation, released=released):
            book = with_end(state.promises, "released", *released)
            return replace(_anew(state, generation), ended="withdrawn", promises=book)
        case InvestigationRecorded():
            return replace(state, investigated=fingerprint(event))
        case DecisionMade():
            return replace(state, decided=decided(event))
        case CounterOfferMade() | CounterOfferAccepted() | CounterOfferRefused():
            return replace(state, offers=offered(state.offers, event, state.so_far))
        case FixStarted() | FixCompleted() | Delivered():
            return replace(state, work=worked(state.work, event, state.so_far))
        case DeliveryObjected(because=because):
            stands = None if because == "new_evidence" else state.decided
            return replace(state, decided=stands, work=worked(state.work, event, state.so_far))
        case DeliveryConfirmed():
            return replace(state, ended="confirmed")
        case DeliveryAssumed():
            return replace(state, ended="assumed")
        case ExplanationGiven():
            return replace(state, explained=fingerprint(event, "text", "channel"))
        case MisunderstandingRaised():
            work = replace(state.work, since=state.so_far) if state.work.delivered is not None else state.work
            return replace(state, misunderstanding=fingerprint(event, "understood", "meant"), raised=state.so_far, work=work)
        case MisunderstandingCleared(objection_until=until):
            return replace(state, misunderstanding=None, work=replace(state.work, objection_until=until))
        case PromiseMade() | PromiseKept() | PromiseRenegotiated() | PromiseBroken():
            return replace(state, promises=booked(state.promises, event, state.so_far))
        case ReplyReceived(reply_id=reply_id, generation=generation) | ReplyNoted(reply_id=reply_id, generation=generation):
            return replace(state, replies=with_reply(state.replies, generation, reply_id))
        case WithdrawalCameTooLate() | StaleFactIgnored():
            return state
        case _:
            assert_never(event)


def _anew(state: Case, generation: int) -> Case:
    """A later generation decides, fixes and delivers afresh. What is still promised and what the customer said go with it."""
    return Case(
        generation=generation,
        opened=state.opened,
        owner=state.owner,
        owner_of=state.owner_of,
        product=state.product,
        promises=open_ones(state.promises),
        replies=state.replies,
    )


def decide(state: Case, command: CaseCommand | TimerDue, context: Context) -> Decision:
    """What follows from a request."""
    match command:
        case OpenCase():
            return _open(state, command)
        case SuspendCase(generation=generation):
            if generation < state.generation:
                return [StaleFactIgnored(fact="reopened", generation=generation, current=state.generation)]
            return [] if generation == state.generation else [CaseSuspended(generation=generation)]
        case CloseWithdrawn():
            return _close(state, command)
        case ChangeOwner(generation=generation, to=to):
            if generation < (current := max(state.generation, state.owner_of)):
                return [StaleFactIgnored(fact="transferred", generation=generation, current=current)]
            return [] if (to, generation) == (state.owner, state.owner_of) else [OwnerChanged(generation=generation, to=to)]
        case NoteReply(reply_id=reply_id, generation=generation):
            moot = not state.opened or str(reply_id) in state.replies
            return [] if moot else [ReplyNoted(reply_id=reply_id, generation=generation)]
        case TimerDue():
            return _due(state, command, context)
        case _:
            return _not_now(state, command, context) or _asked(state, command, context)


def _open(state: Case, command: OpenCase) -> Decision:
    """Whatever was heard before it: its reopening may be overtaken, and a withdrawal of the same generation has ended it already."""
    generation = command.generation
    if generation < state.generation:
        return [StaleFactIgnored(fact="owned", generation=generation, current=state.generation)]
    if generation == state.generation and (generation == state.opened or state.ended):
        return []
    owner = state.owner if state.owner and state.owner_of >= generation else command.owner
    opened = (CaseReopened if state.opened else CaseOpened)(
        generation=generation,
        owner=owner,
        need=command.need,
        next_step=command.next_step,
        customer_kind=command.customer_kind,
        product=command.product,
    )
    new = tuple(terms for terms in command.promises if str(terms.promise_id) not in state.promises)
    return [opened, ObligationsTakenOver(generation=generation, promises=new, replies=command.replies)]


def _close(state: Case, command: CloseWithdrawn) -> Decision:
    """Each withdrawal that comes too late is answered, also a second one: intake waits for the answer, and the customer with it."""
    generation = command.generation
    if generation < state.generation:
        return [StaleFactIgnored(fact="withdrawn", generation=generation, current=state.generation)]
    if generation == state.generation and state.ended == "withdrawn":
        return []
    if generation == state.opened and state.in_hand:
        return [WithdrawalCameTooLate(generation=generation)]
    return [CaseClosed(generation=generation, because="withdrawn", released=open_ids(state.promises))]


def _due(state: Case, due: TimerDue, context: Context) -> Decision:
    """Only a timer that is still wanted brings anything about, and what it brings about ends the wish for it."""
    if timers(state).get(due.timer) != Timer(due.due_at, due.generation):
        return []
    if due.timer == OBJECTION:
        return [DeliveryAssumed(generation=state.generation, assumed_at=context.now)]
    return broken(state.promises, due, STORED)


Moves = MakeDecision | MakeCounterOffer | AnswerOffer | StartFix | CompleteFix | Deliver | ConfirmDelivery | ObjectToDelivery
"""What waits while a misunderstanding is raised: an answer to what was understood otherwise is none."""
Always = KeepPromise | RenegotiatePromise | RecordReply
"""What has its place from the first opening on: a promise is kept whatever became of the case, and a customer is heard."""
Asked = Moves | Always | RecordInvestigation | GiveExplanation | RaiseMisunderstanding | ClearMisunderstanding | MakePromise


def _not_now(state: Case, command: Asked, context: Context) -> Refusal | None:
    """Invariants 1 and 3, and what has ended."""
    if state.opened and isinstance(command, Always):
        return None
    if state.ended == "withdrawn":
        return Refusal(Rule.CLOSED, "the customer took it back: if it was not over after all, reopen the complaint in intake")
    if not state.opened:
        return Refusal(Rule.NO_FIX_BEFORE_OWNERSHIP)
    if state.opened != state.generation:
        return Refusal(Rule.NO_FIX_BEFORE_OWNERSHIP, "it was reopened and nobody owns it again yet: complete the ownership in intake first")
    if state.ended:
        confirmed_again = isinstance(command, ConfirmDelivery) and state.ended == "confirmed"
        return None if confirmed_again or isinstance(command, GiveExplanation) else _ended(state, context)
    if state.misunderstanding and isinstance(command, Moves):
        return Refusal(Rule.MISUNDERSTANDING_FIRST)
    return None


def _ended(state: Case, context: Context) -> Refusal:
    how = "the customer confirmed it" if state.ended == "confirmed" else "the customer had the time to object and was silent"
    days = context.policy.reopen_window.days
    why = f"it has ended: {how}. If it is not right, reopen the complaint in intake within {days} days of that; later, submit a new one"
    return Refusal(Rule.CLOSED, why)


def _asked(state: Case, command: Asked, context: Context) -> Decision:
    generation = state.generation
    match command:
        case RecordInvestigation():
            return [] if state.investigated == fingerprint(command) else [InvestigationRecorded(**dict(command))]
        case MakeDecision():
            return decision(state.decided, state.offers, command, generation, context)
        case MakeCounterOffer(offer=terms):
            if state.work.delivered is not None:
                return Refusal(Rule.WRONG_STAGE, "it is delivered: an offer has its place before that, or once the customer objects")
            made = make(state.offers, terms, context)
            if isinstance(made, Refusal):
                return made
            return [made] if isinstance(made, CounterOfferMade) else []
        case AnswerOffer():
            return answer(state.offers, command, state.replies)
        case StartFix():
            return start(state.work, state.decided, command, generation)
        case CompleteFix():
            return complete(state.work, state.decided, command, generation)
        case Deliver():
            return _deliver(state, command, context)
        case ConfirmDelivery():
            return _confirm(state, command, context)
        case ObjectToDelivery():
            return objection(state.work, state.decided, command, generation)
        case GiveExplanation(text=text, channel=channel):
            if not state.in_hand:
                return no_excuse(state.work)
            repeated = state.explained == fingerprint(command)
            return [] if repeated else [ExplanationGiven(generation=generation, text=text, channel=channel)]
        case RaiseMisunderstanding():
            repeated = state.misunderstanding == fingerprint(command)
            return [] if repeated else [MisunderstandingRaised(generation=generation, **dict(command))]
        case ClearMisunderstanding():
            return _clear(state, command, context)
        case MakePromise() | KeepPromise() | RenegotiatePromise():
            return promised(state.promises, command, STORED, context, made_at=state.made_at, replies=state.replies)
        case RecordReply():
            found = reply(command, state.replies, generation, context)
            return [] if found is None else [ReplyReceived(**dict(found))]
        case _:
            assert_never(command)


def _deliver(state: Case, command: Deliver, context: Context) -> Decision:
    """With all the promises that are said to be kept by it, or not at all."""
    if state.work.completed is None:
        return Refusal(Rule.NO_DELIVERY_BEFORE_FIX)
    if refusal := keepable(state.promises, command.keeps, context.now):
        return refusal
    keeps = frozenset(command.keeps)
    still = open_ids(state.promises)
    kept = [one for one in still if one in keeps]
    if state.work.delivered is not None:
        if kept or state.work.delivered != delivery_of(command):
            why = "it is delivered: let the customer confirm it or object to it; a promise that is kept since then is kept by itself"
            return Refusal(Rule.WRONG_STAGE, why)
        return []
    assert state.owner is not None
    delivery_id = context.new_id("delivery")
    delivered = Delivered(
        generation=state.generation,
        delivery_id=delivery_id,
        owner=state.owner,
        what=command.what,
        how=command.how,
        evidence=command.evidence,
        product=state.product,
        still_promised=tuple(one for one in still if one not in keeps),
        delivered_at=context.now,
        objection_until=context.now + context.policy.objection_window,
    )
    return [delivered, *(PromiseKept(promise_id=one, by=str(delivery_id)) for one in kept)]


def _confirm(state: Case, command: ConfirmDelivery, context: Context) -> Decision:
    """Invariant 17."""
    if state.ended:
        return []
    if state.work.delivered is None:
        return nothing_delivered(state.work)
    proof = proven(command.proof, state.replies, state.work.since, "it was delivered, or last misunderstood")
    if isinstance(proof, Refusal):
        return proof
    return [DeliveryConfirmed(generation=state.generation, proof=proof, words=command.words, confirmed_at=context.now)]


def _clear(state: Case, command: ClearMisunderstanding, context: Context) -> Decision:
    """Of what was delivered, the time to object begins anew: nobody objects to what they misunderstand."""
    if state.misunderstanding is None:
        return []
    proof = proven(command.proof, state.replies, state.raised, "the misunderstanding was raised")
    if isinstance(proof, Refusal):
        return proof
    until = context.now + context.policy.objection_window if state.work.delivered else None
    return [MisunderstandingCleared(now_understood=command.now_understood, proof=proof, objection_until=until, generation=state.generation)]


def is_closed(state: Case) -> bool:
    """Ended, and no promise is open any more."""
    return state.ended is not None and not open_ones(state.promises)


def timers(state: Case) -> Mapping[str, Timer]:
    """One for each promise that is open, and the time to object, which stands still while a misunderstanding is raised (invariant 3)."""
    wanted = dict(promise_timers(state.promises, state.generation))
    until = state.work.objection_until
    if until is not None and state.in_hand and state.ended is None:
        wanted[OBJECTION] = Timer(until, state.generation)
    return wanted


STREAM = Stream(kind="case", initial=Case(), decide=decide, evolve=evolve, is_closed=is_closed, timers=timers)
