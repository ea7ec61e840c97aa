"""The problem: one cause behind many complaints, under an id of its own. Pure: the same history and request give the same facts.

A learning may rest on a problem's correction once that has an owner and a due date. Whoever asks to join always gets an answer, also
from a problem that was never opened: a learning must not wait for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never
from uuid import UUID

from services.rootcause.correction import Correction, digest_of, is_planned, meant, objection_to, terms_digest
from services.rootcause.people import names_someone
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.rootcause import (
    AskToJoin,
    AttributeToProblem,
    ComplaintAttributed,
    CompleteProblemCorrection,
    JoinAnswered,
    JoinedCorrection,
    OpenProblem,
    PlanProblemCorrection,
    ProblemCommand,
    ProblemContainmentRecorded,
    ProblemCorrectionCompleted,
    ProblemCorrectionPlanned,
    ProblemEvent,
    ProblemOpened,
    RecordProblemContainment,
)
from shared.machine.mind import Context, Stream, Timer
from shared.policy.kinds import unknown_defect_kind

COMPLAINTS_MAX = 5_000
"""Most complaints of one problem: its state names them all."""

Decision = Sequence[ProblemEvent] | Refusal


@dataclass(frozen=True, slots=True)
class Problem:
    """What later decisions need to know, and nothing else."""

    opened: str | None = None
    """A digest of what it was opened with."""
    contained: str | None = None
    complaints: dict[str, bool] = field(default_factory=dict)
    """The complaints that belong to it, in the order in which they came."""
    corrections: dict[str, Correction] = field(default_factory=dict)


def evolve(state: Problem, event: ProblemEvent) -> Problem:
    """The state after one more fact."""
    match event:
        case ProblemOpened():
            return replace(state, opened=digest_of(event.title, event.symptom, event.defect_kind, event.product))
        case ComplaintAttributed(complaint_id=complaint_id):
            return replace(state, complaints={**state.complaints, str(complaint_id): True})
        case ProblemContainmentRecorded(what=what):
            return replace(state, contained=digest_of(what))
        case ProblemCorrectionPlanned(correction_id=correction_id, owner=owner, due_at=due_at):
            planned = Correction(owner=owner, due_at=due_at, terms=terms_digest(event))
            return replace(state, corrections={**state.corrections, str(correction_id): planned})
        case ProblemCorrectionCompleted(correction_id=correction_id):
            completed = replace(state.corrections[str(correction_id)], completed=True)
            return replace(state, corrections={**state.corrections, str(correction_id): completed})
        case JoinAnswered():
            return state
        case _:
            assert_never(event)


def decide(state: Problem, command: ProblemCommand | TimerDue, context: Context) -> Decision:
    """What follows from a request."""
    match command:
        case OpenProblem():
            return _open(state, command, context)
        case AskToJoin():
            return _answer(state, command)
        case TimerDue():
            return []
        case _ if state.opened is None:
            return Refusal(Rule.UNKNOWN_STREAM, "no problem is open under this id: open it first")
        case AttributeToProblem(complaint_id=complaint_id):
            if str(complaint_id) in state.complaints:
                return []
            if len(state.complaints) >= COMPLAINTS_MAX:
                return Refusal(Rule.TOO_MANY, f"this problem has {COMPLAINTS_MAX} complaints already: open another for the rest")
            return [ComplaintAttributed(complaint_id=complaint_id)]
        case RecordProblemContainment(what=what):
            if refusal := names_someone((context.actor,), what=what):
                return refusal
            return [] if state.contained == digest_of(what) else [ProblemContainmentRecorded(what=what)]
        case PlanProblemCorrection():
            if is_planned(command, state.corrections):
                return []
            if refusal := objection_to(command, state.corrections, context.now, (context.actor,)):
                return refusal
            return [ProblemCorrectionPlanned(correction_id=context.new_id("correction"), **dict(command))]
        case CompleteProblemCorrection(correction_id=correction_id, evidence=evidence):
            key = meant(correction_id, state.corrections)
            if isinstance(key, Refusal):
                return key
            if state.corrections[key].completed:
                return []
            refusal = names_someone((context.actor,), evidence=evidence)
            return refusal or [ProblemCorrectionCompleted.model_validate({"correction_id": key, "evidence": evidence})]
        case _:
            assert_never(command)


def _open(state: Problem, command: OpenProblem, context: Context) -> Decision:
    if state.opened is not None:
        same = state.opened == digest_of(command.title, command.symptom, command.defect_kind, command.product)
        return [] if same else Refusal(Rule.PROBLEM_ALREADY_OPEN)
    if refusal := unknown_defect_kind(command.defect_kind, context.policy):
        return refusal
    if refusal := names_someone((context.actor,), title=command.title, symptom=command.symptom):
        return refusal
    return [ProblemOpened(title=command.title, symptom=command.symptom, defect_kind=command.defect_kind, product=command.product)]


def _answer(state: Problem, command: AskToJoin) -> Decision:
    """Asking to join attributes the complaint, whether or not there is a correction to rest on yet."""

    def no(why: str) -> JoinAnswered:
        return JoinAnswered(complaint_id=command.complaint_id, generation=command.generation, why_not=why)

    if state.opened is None:
        return [no("no problem is open under this id")]
    known = str(command.complaint_id) in state.complaints
    if not known and len(state.complaints) >= COMPLAINTS_MAX:
        return [no(f"the problem has {COMPLAINTS_MAX} complaints already; open another for the rest")]
    attributed: list[ProblemEvent] = [] if known else [ComplaintAttributed(complaint_id=command.complaint_id)]
    if not state.corrections:
        return [*attributed, no("the problem has no correction with an owner and a due date yet; plan one, then join again")]
    key, newest = list(state.corrections.items())[-1]
    correction = JoinedCorrection(correction_id=UUID(key), owner=newest.owner, due_at=newest.due_at)
    return [*attributed, JoinAnswered(complaint_id=command.complaint_id, generation=command.generation, correction=correction)]


def is_closed(_: Problem) -> bool:
    """Never: a problem may recur, and another complaint may belong to it."""
    return False


def timers(_: Problem) -> Mapping[str, Timer]:
    """None."""
    return {}


STREAM = Stream(kind="problem", initial=Problem(), decide=decide, evolve=evolve, is_closed=is_closed, timers=timers)
