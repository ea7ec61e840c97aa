"""The learning: looking back on one complaint, under the complaint's own id. Pure: the same history and request give the same facts.

It opens at delivery (or withdrawal), stands still while the customer objects or the complaint is open again, and ends with a correction
or with the reason why none is needed. The other services' facts come over two topics without an order between them, so each fact is
judged by its generation alone, whichever came first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from services.rootcause.correction import Correction, digest_of, is_planned, meant, objection_to, terms_digest
from services.rootcause.people import names_someone
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.rootcause import (
    CauseRecorded,
    CauseRefuted,
    CauseSearchEscalated,
    CauseVerified,
    ChangeOwner,
    CloseLearning,
    CompleteCorrection,
    ContainmentRecorded,
    CorrectionCompleted,
    CorrectionJoined,
    CorrectionPlanned,
    JoinProblem,
    JoinRefused,
    LearningClosed,
    LearningCommand,
    LearningEvent,
    LearningOpened,
    LearningResumed,
    LearningSuspended,
    LookedSideways,
    LookSideways,
    NoFaultRecorded,
    NoteCaseClosed,
    NoteProblemCorrection,
    OpenLearning,
    OwnerChanged,
    PlanCorrection,
    ProblemJoinSought,
    RecordCause,
    RecordContainment,
    RecordNoFault,
    StaleFactIgnored,
    SuspendLearning,
    VerifyCause,
)
from shared.machine.mind import Context, Stream, Timer
from shared.policy.kinds import unknown_cause_kind

ESCALATE_AT_REFUTED = 3
"""The third refuted cause escalates."""
CAUSES_MAX = 100
"""Most refuted causes of one learning."""
PEOPLE_MAX = 20
"""Most owners a learning remembers, the newest of them."""

Decision = Sequence[LearningEvent] | Refusal


@dataclass(frozen=True, slots=True)
class Learning:
    """What later decisions need to know, and nothing else. A generation of 0 means never."""

    generation: int = 0
    """The newest heard of."""
    opened: int = 0
    """The generation in which looking back began or went on."""
    closed: int = 0
    """The generation that was closed: where it is `opened`, the learning is closed."""
    outcome: str | None = None
    suspended: Literal["objected", "reopened"] | None = None
    """Why looking back stands still."""
    owner: str | None = None
    owner_of: int = 0
    """The generation of the last transfer: intake's word about the owner outranks what the delivery says."""
    people: tuple[str, ...] = ()
    """Everyone who owned the complaint: none of them is a cause."""
    cause: str | None = None
    """The digest of the newest cause's wording."""
    recorded: str | None = None
    """The same with its evidence."""
    verified: bool = False
    refuted: tuple[str, ...] = ()
    no_fault: str | None = None
    contained: str | None = None
    looked: str | None = None
    corrections: dict[str, Correction] = field(default_factory=dict)
    joining: str | None = None
    """The problem that was asked."""
    joining_of: int = 0
    """The generation in which it was asked."""
    joined: str | None = None
    """The problem whose correction this rests on."""

    @property
    def is_open(self) -> bool:
        """Whether looking back has begun and has not ended."""
        return self.opened > self.closed


def evolve(state: Learning, event: LearningEvent) -> Learning:
    """The state after one more fact."""
    match event:
        case LearningOpened():
            return _opened(state, event)
        case LearningResumed(generation=generation):
            return replace(state, generation=generation, opened=generation, suspended=None)
        case LearningSuspended(generation=generation, because=because):
            return replace(state, generation=generation, suspended=because)
        case OwnerChanged(generation=generation, to=to):
            return replace(state, owner=to, owner_of=generation, people=_and(state.people, to))
        case CauseRecorded(digest=digest):
            same = digest == state.cause
            recorded = digest_of(digest, event.evidence)
            return replace(state, cause=digest, recorded=recorded, verified=same and state.verified, no_fault=None)
        case CauseVerified(digest=digest):
            return replace(state, verified=True, refuted=tuple(one for one in state.refuted if one != digest))
        case CauseRefuted(digest=digest):
            return replace(state, verified=False, refuted=(*state.refuted, digest))
        case NoFaultRecorded(evidence=evidence, expected_because=because):
            return replace(state, no_fault=digest_of(evidence, because), cause=None, recorded=None, verified=False)
        case ContainmentRecorded(what=what):
            return replace(state, contained=digest_of(what))
        case LookedSideways(looked_at=looked_at, found=found):
            return replace(state, looked=digest_of(found, *looked_at))
        case CorrectionPlanned(correction_id=correction_id, owner=owner, due_at=due_at):
            planned = Correction(owner=owner, due_at=due_at, terms=terms_digest(event))
            return replace(state, corrections={**state.corrections, str(correction_id): planned})
        case CorrectionCompleted(correction_id=correction_id):
            completed = replace(state.corrections[str(correction_id)], completed=True)
            return replace(state, corrections={**state.corrections, str(correction_id): completed})
        case ProblemJoinSought(problem_id=problem_id, generation=generation):
            return replace(state, joining=str(problem_id), joining_of=generation)
        case CorrectionJoined(problem_id=problem_id):
            return replace(state, joining=None, joined=str(problem_id))
        case JoinRefused():
            return replace(state, joining=None)
        case LearningClosed(generation=generation, outcome=outcome):
            return replace(state, closed=generation, outcome=outcome, joining=None)
        case StaleFactIgnored() | CauseSearchEscalated():
            return state
        case _:
            assert_never(event)


def _opened(state: Learning, event: LearningOpened) -> Learning:
    """A later generation looks afresh; the corrections still open go with it."""
    return Learning(
        generation=event.generation,
        opened=event.generation,
        closed=state.closed,
        owner=event.owner,
        owner_of=state.owner_of,
        people=_and(state.people, event.owner),
        corrections={key: one for key, one in state.corrections.items() if not one.completed},
    )


def _and(people: tuple[str, ...], one: str | None) -> tuple[str, ...]:
    return people if one is None or one in people else (*people, one)[-PEOPLE_MAX:]


def decide(state: Learning, command: LearningCommand | TimerDue, context: Context) -> Decision:
    """What follows from a request."""
    match command:
        case OpenLearning():
            return _open(state, command)
        case SuspendLearning():
            return _suspend(state, command)
        case NoteCaseClosed(generation=generation):
            if generation < state.generation:
                return [StaleFactIgnored(fact="withdrawn", generation=generation, current=state.generation)]
            objected = state.is_open and state.suspended == "objected" and generation == state.generation
            return [LearningResumed(generation=generation, trigger="withdrawn")] if objected else []
        case ChangeOwner(generation=generation, to=to):
            if generation < state.generation:
                return [StaleFactIgnored(fact="transferred", generation=generation, current=state.generation)]
            return [] if (to, generation) == (state.owner, state.owner_of) else [OwnerChanged(generation=generation, to=to)]
        case NoteProblemCorrection(problem_id=problem_id, correction=correction, generation=generation):
            if (state.joining, state.joining_of) != (str(problem_id), generation):
                return []
            if correction is None:
                return [JoinRefused(problem_id=problem_id, why=command.why_not or "it has no correction to join")]
            return [CorrectionJoined(problem_id=problem_id, correction=correction)]
        case TimerDue():
            return []
        case _:
            return _too_early(state, command) or _asked(state, command, context)


def _open(state: Learning, command: OpenLearning) -> Decision:
    generation, trigger = command.generation, command.trigger
    if generation < state.generation:
        return [StaleFactIgnored(fact=trigger, generation=generation, current=state.generation)]
    if not state.is_open and generation > state.closed:
        owner = state.owner if state.owner_of >= generation else command.owner or state.owner
        return [LearningOpened(generation=generation, trigger=trigger, owner=owner, product=command.product)]
    if not state.is_open or (trigger == "withdrawn" and state.suspended == "objected" and generation == state.generation):
        return []  # whether what they object to was taken back in time is resolution's word
    return [LearningResumed(generation=generation, trigger=trigger)] if state.suspended or generation > state.opened else []


def _suspend(state: Learning, command: SuspendLearning) -> Decision:
    """An objection to what was learned already holds nothing up; a reopening that was overtaken by its delivery neither."""
    generation = command.generation
    if generation < state.generation:
        return [StaleFactIgnored(fact=command.because, generation=generation, current=state.generation)]
    objected = command.because == "objected"
    moot = (state.suspended or not state.is_open) if objected else generation == state.generation
    return [] if moot else [LearningSuspended(generation=generation, because=command.because)]


Asked = (
    RecordCause
    | VerifyCause
    | RecordContainment
    | LookSideways
    | RecordNoFault
    | PlanCorrection
    | CompleteCorrection
    | JoinProblem
    | CloseLearning
)


def _too_early(state: Learning, command: Asked) -> Refusal | None:
    """Invariants 1 and 2, and what has ended. A correction that was promised may be completed for ever."""
    if not state.opened:
        return Refusal(Rule.NO_LEARNING_BEFORE_DELIVERY)
    if state.suspended and isinstance(command, RecordCause | VerifyCause | RecordNoFault):
        return Refusal(Rule.NO_CAUSE_BEFORE_DELIVERY)
    if state.suspended and isinstance(command, JoinProblem | CloseLearning):
        return Refusal(Rule.LEARNING_SUSPENDED, "the customer objected or the complaint is open again: go on when it is delivered again")
    if state.is_open or isinstance(command, CompleteCorrection):
        return None
    if isinstance(command, CloseLearning) and command.outcome == state.outcome:
        return None
    return Refusal(Rule.CLOSED, "this learning is closed; a reopened complaint opens it again when it is delivered")


def _asked(state: Learning, command: Asked, context: Context) -> Decision:
    known = (*state.people, context.actor)
    match command:
        case RecordCause():
            return _record_cause(state, command, context, known)
        case VerifyCause():
            return _verify_cause(state, command, known)
        case RecordNoFault(evidence=evidence, expected_because=because):
            if refusal := names_someone(known, evidence=evidence, expected_because=because):
                return refusal
            repeated = state.no_fault == digest_of(evidence, because)
            return [] if repeated else [NoFaultRecorded(evidence=evidence, expected_because=because)]
        case RecordContainment(what=what):
            if refusal := names_someone(known, what=what):
                return refusal
            return [] if state.contained == digest_of(what) else [ContainmentRecorded(what=what)]
        case LookSideways(looked_at=looked_at, found=found):
            if refusal := names_someone(known, looked_at="; ".join(looked_at), found=found):
                return refusal
            return [] if state.looked == digest_of(found, *looked_at) else [LookedSideways(looked_at=looked_at, found=found)]
        case PlanCorrection():
            if is_planned(command, state.corrections):
                return []
            if refusal := objection_to(command, state.corrections, context.now, known):
                return refusal
            return [CorrectionPlanned(correction_id=context.new_id("correction"), **dict(command))]
        case CompleteCorrection(correction_id=correction_id, evidence=evidence):
            key = meant(correction_id, state.corrections)
            if isinstance(key, Refusal):
                return key
            if state.corrections[key].completed:
                return []
            refusal = names_someone(known, evidence=evidence)
            return refusal or [CorrectionCompleted.model_validate({"correction_id": key, "evidence": evidence})]
        case JoinProblem(problem_id=problem_id):
            if str(problem_id) == state.joined:
                return []  # while it waits, it may ask again: its question may have been refused on the way
            return [ProblemJoinSought(problem_id=problem_id, generation=state.opened)]
        case CloseLearning():
            return _close(state, command, known)
        case _:
            assert_never(command)


def _record_cause(state: Learning, command: RecordCause, context: Context, known: Sequence[str]) -> Decision:
    if refusal := unknown_cause_kind(command.kind, context.policy):
        return refusal
    if refusal := names_someone(known, what=command.what, evidence=command.evidence):
        return refusal
    if len(state.refuted) >= CAUSES_MAX:
        return Refusal(Rule.TOO_MANY, f"{CAUSES_MAX} causes were refuted: close it as cause_not_found with the reason")
    digest = digest_of(command.kind, command.faltered, str(command.self_inflicted), command.what)
    if state.recorded == digest_of(digest, command.evidence):
        return []
    return [CauseRecorded(digest=digest, **dict(command))]


def _verify_cause(state: Learning, command: VerifyCause, known: Sequence[str]) -> Decision:
    if state.cause is None:
        return Refusal(Rule.NO_CAUSE_TO_VERIFY)
    if command.digest not in {None, state.cause}:
        return Refusal(Rule.CAUSE_HAS_CHANGED, details={"digest": state.cause})
    if refusal := names_someone(known, evidence=command.evidence):
        return refusal
    found = {"how": command.how, "evidence": command.evidence, "digest": state.cause}
    if command.holds:
        return [] if state.verified else [CauseVerified.model_validate(found)]
    if state.cause in state.refuted:
        return []
    refuted = len(state.refuted) + 1
    escalated = [CauseSearchEscalated(refuted=refuted)] if refuted == ESCALATE_AT_REFUTED else []
    return [CauseRefuted.model_validate(found), *escalated]


def _close(state: Learning, command: CloseLearning, known: Sequence[str]) -> Decision:
    """Invariant 11."""
    if not state.is_open:
        return []
    missing: str | None = None
    match command.outcome:
        case "corrected":
            if not state.verified:
                missing = "the cause is not verified: verify it, or close with the reason why no correction is needed"
            elif not any(one.completed for one in state.corrections.values()):
                missing = "no correction is completed: complete one, or join a problem's"
        case "joined":
            if state.joined is None:
                missing = "no problem's correction is joined: join one that has an owner and a due date"
        case "no_fault":
            if state.no_fault is None:
                missing = "no fault is what was found only with evidence: record it, and what made the customer expect otherwise"
        case "no_correction_needed" | "cause_not_found":
            if command.reason is None:
                missing = "say the reason"
        case _:
            assert_never(command.outcome)
    if missing:
        return Refusal(Rule.LEARNED_NEEDS_CORRECTION, missing)
    if refusal := names_someone(known, reason=command.reason):
        return refusal
    return [LearningClosed(generation=state.opened, outcome=command.outcome, reason=command.reason)]


def is_closed(state: Learning) -> bool:
    """Closed, not open again, and no correction left to complete."""
    return bool(state.opened) and not state.is_open and not state.suspended and all(one.completed for one in state.corrections.values())


def timers(_: Learning) -> Mapping[str, Timer]:
    """None: a learning waits for people, not for the clock."""
    return {}


STREAM = Stream(kind="learning", initial=Learning(), decide=decide, evolve=evolve, is_closed=is_closed, timers=timers)
