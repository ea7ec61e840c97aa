import dataclasses
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.rootcause import problem
from services.rootcause.react import react
from shared.contract.refusals import Rule
from shared.contract.rootcause import (
    AskToJoin,
    AttributeToProblem,
    ComplaintAttributed,
    CompleteProblemCorrection,
    JoinAnswered,
    JoinedCorrection,
    NoteProblemCorrection,
    OpenProblem,
    PlanProblemCorrection,
    ProblemContainmentRecorded,
    ProblemCorrectionCompleted,
    ProblemCorrectionPlanned,
    ProblemJoinSought,
    ProblemOpened,
    RecordProblemContainment,
)
from shared.machine.mind import Fact, Request
from tests.services.rootcause.said import A_RETRAINING, COMPLAINT, DUE, OPENED, PROBLEM, context, fold, given

OPEN = OpenProblem(title="Orders beyond the oven plan", symptom="Promised for a full day.", defect_kind="delivery", product="bread")
PROBLEM_OPENED = ProblemOpened(**dict(OPEN))
PLAN = PlanProblemCorrection(kind="workflow", what="The order form shows the free oven slots.", owner="team:ordering", due_at=DUE)
PLANNED = ProblemCorrectionPlanned(correction_id=context("problem", PROBLEM).new_id("correction"), **dict(PLAN))
COMPLETED = ProblemCorrectionCompleted(correction_id=PLANNED.correction_id, evidence="It is live.")
ATTRIBUTED = ComplaintAttributed(complaint_id=COMPLAINT)
ASK = AskToJoin(complaint_id=COMPLAINT, generation=1)
JOINED = JoinedCorrection(correction_id=PLANNED.correction_id, owner="team:ordering", due_at=DUE)


def test_a_problem_is_opened_once_at_any_time():
    given().when(OPEN).then(PROBLEM_OPENED)
    given(PROBLEM_OPENED).when(OPEN).then()
    given(PROBLEM_OPENED).when(OPEN.model_copy(update={"title": "Something else"})).then_refused(Rule.PROBLEM_ALREADY_OPEN)


def test_its_kind_of_defect_is_one_that_the_policy_knows():
    given().when(OPEN.model_copy(update={"defect_kind": "karma"})).then_refused(Rule.UNKNOWN_DEFECT_KIND)


@pytest.mark.parametrize("field", ["title", "symptom"])
def test_no_problem_is_named_after_a_person(field):
    given().when(OPEN.model_copy(update={field: "Mr Keller again"})).then_refused(Rule.CAUSE_NAMES_A_PERSON)


@pytest.mark.parametrize(
    ("past", "command", "field"),
    [
        ((), RecordProblemContainment(what="checked by hand"), "what"),
        ((), PLAN, "what"),
        ((), PLAN, "procedure"),
        ((), PLAN, "recurrence_procedure"),
        ((PLANNED,), CompleteProblemCorrection(evidence="live"), "evidence"),
    ],
    ids=lambda told: type(told).__name__,
)
def test_what_is_done_about_a_problem_names_no_person_either(past, command, field):
    named = command.model_copy(update={field: "Mr Keller is kept from the counter"})
    refusal = given(PROBLEM_OPENED, *past).when(named).then_refused(Rule.CAUSE_NAMES_A_PERSON)
    assert refusal.details["field"] == field


@pytest.mark.parametrize(
    "command",
    [
        AttributeToProblem(complaint_id=COMPLAINT),
        RecordProblemContainment(what="checked by hand"),
        PLAN,
        CompleteProblemCorrection(evidence="live"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_is_said_of_a_problem_that_is_not_open(command):
    given().when(command).then_refused(Rule.UNKNOWN_STREAM)


def test_a_complaint_is_attributed_once():
    given(PROBLEM_OPENED).when(AttributeToProblem(complaint_id=COMPLAINT)).then(ATTRIBUTED)
    given(PROBLEM_OPENED, ATTRIBUTED).when(AttributeToProblem(complaint_id=COMPLAINT)).then()


def test_containment_is_recorded_once():
    contained = ProblemContainmentRecorded(what="checked by hand")
    given(PROBLEM_OPENED).when(RecordProblemContainment(what="checked by hand")).then(contained)
    given(PROBLEM_OPENED, contained).when(RecordProblemContainment(what="checked by hand")).then()


def test_a_correction_is_planned_once_and_completed_once():
    given(PROBLEM_OPENED).when(PLAN).then(PLANNED)
    given(PROBLEM_OPENED, PLANNED).when(PLAN).then()
    complete = CompleteProblemCorrection(evidence="It is live.")
    given(PROBLEM_OPENED, PLANNED).when(complete).then(COMPLETED)
    given(PROBLEM_OPENED, PLANNED, COMPLETED).when(complete).then()
    given(PROBLEM_OPENED).when(complete).then_refused(Rule.UNKNOWN_CORRECTION)
    given(PROBLEM_OPENED).when(PLAN.model_copy(update={"due_at": datetime(2000, 1, 1, tzinfo=UTC)})).then_refused(
        Rule.CORRECTION_ALREADY_DUE
    )


def test_a_problems_retraining_needs_a_recurrence_procedure_too():
    retraining = PlanProblemCorrection(**{**dict(A_RETRAINING), "recurrence_procedure": None})
    given(PROBLEM_OPENED).when(retraining).then_refused(Rule.RETRAINING_NEEDS_RECURRENCE)


def test_whoever_asks_to_join_is_attributed_and_always_gets_an_answer():
    none_yet = JoinAnswered(
        complaint_id=COMPLAINT,
        generation=1,
        why_not="the problem has no correction with an owner and a due date yet; plan one, then join again",
    )
    there_is = JoinAnswered(complaint_id=COMPLAINT, generation=1, correction=JOINED)
    given().when(ASK).then(JoinAnswered(complaint_id=COMPLAINT, generation=1, why_not="no problem is open under this id"))
    given(PROBLEM_OPENED).when(ASK).then(ATTRIBUTED, none_yet)
    given(PROBLEM_OPENED, ATTRIBUTED, none_yet).when(ASK).then(none_yet)
    given(PROBLEM_OPENED, PLANNED).when(ASK).then(ATTRIBUTED, there_is)
    given(PROBLEM_OPENED, PLANNED, ATTRIBUTED, COMPLETED).when(ASK).then(there_is)


def test_a_problem_has_an_end_to_the_complaints_it_can_hold():
    full = dataclasses.replace(
        fold(problem.STREAM, [PROBLEM_OPENED]), complaints={str(UUID(int=n)): True for n in range(problem.COMPLAINTS_MAX)}
    )
    refusal = problem.decide(full, AttributeToProblem(complaint_id=COMPLAINT), context(PROBLEM))
    assert refusal.rule is Rule.TOO_MANY
    (answer,) = problem.decide(full, ASK, context(PROBLEM))
    assert answer.correction is None
    assert "open another" in answer.why_not


def test_a_learning_asks_the_problem_and_the_problem_answers_the_learning():
    sought = Fact(ProblemJoinSought(problem_id=PROBLEM, generation=2), COMPLAINT, "rootcause", "person:ines")
    assert react(sought) == [Request(PROBLEM, AskToJoin(complaint_id=COMPLAINT, generation=2))]
    answered = Fact(JoinAnswered(complaint_id=COMPLAINT, generation=2, correction=JOINED), PROBLEM, "rootcause", "service:rootcause")
    assert react(answered) == [Request(COMPLAINT, NoteProblemCorrection(problem_id=PROBLEM, generation=2, correction=JOINED))]
    assert react(Fact(OPENED, COMPLAINT, "rootcause", "service:resolution")) == ()
