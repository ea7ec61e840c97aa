from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from services.rootcause.learning import STREAM, decide
from services.rootcause.translate import translate
from shared.contract.refusals import Refusal, Rule
from shared.contract.resolution import MisunderstandingCleared, MisunderstandingRaised
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
    JoinedCorrection,
    JoinProblem,
    JoinRefused,
    LearningClosed,
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
    RecordNoFault,
    StaleFactIgnored,
    SuspendLearning,
    VerifyCause,
)
from shared.contract.values import Proof
from shared.machine.mind import Fact
from tests.services.rootcause.said import (
    A_CAUSE,
    A_CONTAINMENT,
    A_PLAN,
    A_RETRAINING,
    ASKED,
    CAUSE_RECORDED,
    COMPLAINT,
    COMPLETED,
    CORRECTION,
    DIGEST,
    DUE,
    OPENED,
    PLANNED,
    PROBLEM,
    VERIFIED,
    context,
    fold,
    given,
)

OBJECTED = LearningSuspended(generation=1, because="objected")
REOPENED = LearningSuspended(generation=2, because="reopened")
CLOSED = LearningClosed(generation=1, outcome="no_correction_needed", reason="the form was replaced")


# ---- the invariants --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ASKED, ids=lambda command: type(command).__name__)
def test_no_learning_about_a_complaint_before_its_delivery(command):
    given().when(command).then_refused(Rule.NO_LEARNING_BEFORE_DELIVERY)
    given(OwnerChanged(generation=1, to="person:ines")).when(command).then_refused(Rule.NO_LEARNING_BEFORE_DELIVERY)
    given(REOPENED).when(command).then_refused(Rule.NO_LEARNING_BEFORE_DELIVERY)


@pytest.mark.parametrize("suspended", [OBJECTED, REOPENED], ids=["objection", "reopening"])
def test_no_cause_blame_or_explanation_is_recorded_before_delivered_or_while_an_objection_is_open(suspended):
    for command in (A_CAUSE, VerifyCause(how="observed", evidence="seen", holds=True), RecordNoFault(evidence="e", expected_because="b")):
        given(OPENED, CAUSE_RECORDED, suspended).when(command).then_refused(Rule.NO_CAUSE_BEFORE_DELIVERY)
        given(OPENED, CLOSED, REOPENED).when(command).then_refused(Rule.NO_CAUSE_BEFORE_DELIVERY)


@pytest.mark.parametrize("absent", [{"procedure": None}, {"recurrence_procedure": None}, {"procedure": None, "recurrence_procedure": None}])
def test_a_retraining_without_a_recurrence_procedure_is_refused(absent):
    refusal = given(OPENED).when(A_RETRAINING.model_copy(update=absent)).then_refused(Rule.RETRAINING_NEEDS_RECURRENCE)
    assert refusal is None or all(name in refusal.why for name in absent)


def test_a_blank_procedure_is_no_procedure():
    blank = PlanCorrection.model_validate({**A_RETRAINING.model_dump(), "recurrence_procedure": "  \n"})
    given(OPENED).when(blank).then_refused(Rule.RETRAINING_NEEDS_RECURRENCE)


@pytest.mark.parametrize("field", ["what", "evidence"])
@pytest.mark.parametrize("text", ["Ines forgot to look at the plan", "Mr Keller took the order", "it is Ravi's fault"])
def test_no_cause_names_a_person(field, text):
    given(OPENED).when(A_CAUSE.model_copy(update={field: text})).then_refused(Rule.CAUSE_NAMES_A_PERSON)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (A_CONTAINMENT, "what"),
        (LookSideways(looked_at=("cakes",)), "found"),
        (A_PLAN, "what"),
        (A_RETRAINING, "what"),
        (A_RETRAINING, "procedure"),
        (A_RETRAINING, "recurrence_procedure"),
        (A_PLAN, "procedure"),
        (CompleteCorrection(evidence="It is live."), "evidence"),
        (VerifyCause(how="observed", evidence="seen", holds=True), "evidence"),
        (RecordNoFault(evidence="e", expected_because="b"), "evidence"),
        (RecordNoFault(evidence="e", expected_because="b"), "expected_because"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_no_cause_names_a_person_by_another_door(command, field):
    """What keeps it from happening, where else it was found and what will be corrected name nobody either."""
    for text in ("Ines is kept from the counter", "Anna Keller forgot it there, too", "teach Mr Keller to look at the plan"):
        past = (OPENED, CAUSE_RECORDED, PLANNED) if isinstance(command, CompleteCorrection) else (OPENED, CAUSE_RECORDED)
        refusal = given(*past).when(command.model_copy(update={field: text})).then_refused(Rule.CAUSE_NAMES_A_PERSON)
        assert refusal.details["field"] == field
    elsewhere = LookSideways(looked_at=("cakes", "Anna Keller's counter"))
    given(OPENED).when(elsewhere).then_refused(Rule.CAUSE_NAMES_A_PERSON)


def test_no_cause_names_a_person_who_owned_it_before_or_who_asks():
    handed_over = (OPENED, OwnerChanged(generation=1, to="person:kovacs"), OwnerChanged(generation=1, to="person:ravi"))
    given(*handed_over).when(A_CAUSE.model_copy(update={"what": "left unticked by kovacs"})).then_refused(Rule.CAUSE_NAMES_A_PERSON)
    given(*handed_over).when(CloseLearning(outcome="cause_not_found", reason="Kovacs left")).then_refused(Rule.CAUSE_NAMES_A_PERSON)


def test_a_refusal_for_a_name_says_how_to_word_it_and_does_not_repeat_the_name():
    refusal = decide(_after(OPENED), A_CAUSE.model_copy(update={"what": "it is Anna's fault"}), context())
    assert isinstance(refusal, Refusal)
    assert "role, step, document or part" in refusal.sentence
    assert "Anna" not in repr(refusal)


@pytest.mark.parametrize(
    ("past", "outcome"),
    [
        ((), "corrected"),
        ((CAUSE_RECORDED, PLANNED, COMPLETED), "corrected"),
        ((CAUSE_RECORDED, VERIFIED, PLANNED), "corrected"),
        ((), "joined"),
        ((ProblemJoinSought(problem_id=PROBLEM, generation=1),), "joined"),
        ((ProblemJoinSought(problem_id=PROBLEM, generation=1), JoinRefused(problem_id=PROBLEM, why="none yet")), "joined"),
        ((), "no_fault"),
        ((), "no_correction_needed"),
        ((), "cause_not_found"),
    ],
)
def test_learned_needs_a_correction_completed_or_joined_or_the_reason_why_none_is_needed(past, outcome):
    given(OPENED, *past).when(CloseLearning(outcome=outcome)).then_refused(Rule.LEARNED_NEEDS_CORRECTION)


@pytest.mark.parametrize(
    ("past", "outcome", "reason"),
    [
        ((CAUSE_RECORDED, VERIFIED, PLANNED, COMPLETED), "corrected", None),
        (
            (ProblemJoinSought(problem_id=PROBLEM, generation=1), CorrectionJoined(problem_id=PROBLEM, correction=CORRECTION)),
            "joined",
            None,
        ),
        ((NoFaultRecorded(evidence="e", expected_because="b"),), "no_fault", None),
        ((), "no_correction_needed", "the form was replaced"),
        ((), "cause_not_found", "all traces were gone"),
    ],
)
def test_with_those_it_is_learned(past, outcome, reason):
    given(OPENED, *past).when(CloseLearning(outcome=outcome, reason=reason)).then(
        LearningClosed(generation=1, outcome=outcome, reason=reason)
    )


# ---- opening, suspending, resuming -----------------------------------------------------------------------------------------


def test_it_opens_at_delivery_and_at_withdrawal():
    for trigger in ("delivered", "withdrawn"):
        given().when(OpenLearning(generation=1, trigger=trigger, owner="person:ines", product="bread")).then(
            LearningOpened(generation=1, trigger=trigger, owner="person:ines", product="bread")
        )
        given(OPENED).when(OpenLearning(generation=1, trigger="delivered")).then()


def test_an_objection_suspends_and_the_next_delivery_resumes():
    given(OPENED).when(SuspendLearning(generation=1, because="objected")).then(OBJECTED)
    given(OPENED, OBJECTED).when(SuspendLearning(generation=1, because="objected")).then()
    given(OPENED, OBJECTED).when(OpenLearning(generation=1, trigger="delivered")).then(LearningResumed(generation=1, trigger="delivered"))
    given(OPENED, OBJECTED, LearningResumed(generation=1, trigger="delivered")).when(A_CAUSE).then(CAUSE_RECORDED)


def test_no_cause_is_recorded_while_what_was_delivered_is_misunderstood():
    """That counts as an objection. Until it is cleared up nothing shows that the customer has what they think they have."""
    raised = MisunderstandingRaised(understood="Both.", meant="One of them.", generation=1)
    cleared = MisunderstandingCleared(proof=Proof(kind="call", ref="call/1"), objection_until=DUE, generation=1)
    suspend, resume = (translate(Fact(event, COMPLAINT, "resolution", "person:ines")) for event in (raised, cleared))
    given().when(suspend).then()
    given(OPENED).when(suspend).then(OBJECTED)
    given(OPENED, OBJECTED).when(A_CAUSE).then_refused(Rule.NO_CAUSE_BEFORE_DELIVERY)
    given(OPENED, OBJECTED).when(resume).then(LearningResumed(generation=1, trigger="delivered"))
    given(OPENED).when(resume).then()
    given(OPENED, CLOSED).when(suspend).then()
    given(OPENED, CLOSED).when(resume).then()
    given(OPENED, REOPENED).when(resume).then(StaleFactIgnored(fact="delivered", generation=1, current=2))


def test_whether_a_withdrawal_ends_an_objection_is_resolutions_word():
    resumed = LearningResumed(generation=1, trigger="withdrawn")
    given(OPENED, OBJECTED).when(OpenLearning(generation=1, trigger="withdrawn")).then()
    given(OPENED, OBJECTED).when(NoteCaseClosed(generation=1)).then(resumed)
    given(OPENED, OBJECTED, resumed).when(NoteCaseClosed(generation=1)).then()
    for past in ((), (OPENED,), (OPENED, CLOSED)):
        given(*past).when(NoteCaseClosed(generation=1)).then()


def test_a_withdrawal_that_came_too_late_leaves_the_customer_free_to_object():
    withdrawn = LearningOpened(generation=1, trigger="withdrawn", owner="person:ines")
    given(withdrawn).when(SuspendLearning(generation=1, because="objected")).then(OBJECTED)
    given(withdrawn, OBJECTED).when(A_CAUSE).then_refused(Rule.NO_CAUSE_BEFORE_DELIVERY)


def test_a_complaint_that_was_reopened_and_withdrawn_is_looked_back_upon():
    given(OPENED, REOPENED).when(OpenLearning(generation=2, trigger="withdrawn")).then(LearningResumed(generation=2, trigger="withdrawn"))


def test_a_reopened_complaint_suspends_and_its_delivery_opens_a_closed_learning_again():
    given(OPENED).when(SuspendLearning(generation=2, because="reopened")).then(REOPENED)
    given(OPENED, CLOSED).when(SuspendLearning(generation=2, because="reopened")).then(REOPENED)
    given(OPENED, CLOSED, REOPENED).when(OpenLearning(generation=2, trigger="delivered")).then(
        LearningOpened(generation=2, trigger="delivered", owner="person:ines")
    )
    given(OPENED, REOPENED).when(OpenLearning(generation=2, trigger="delivered")).then(LearningResumed(generation=2, trigger="delivered"))


def test_a_learning_that_opened_again_looks_afresh():
    again = LearningOpened(generation=2, trigger="delivered", owner="person:ines")
    past = (OPENED, CAUSE_RECORDED, VERIFIED, PLANNED, COMPLETED, LearningClosed(generation=1, outcome="corrected"), REOPENED, again)
    given(*past).when(CloseLearning(outcome="corrected")).then_refused(Rule.LEARNED_NEEDS_CORRECTION)


def test_a_delivery_that_overtakes_its_reopening_is_not_held_up_by_it():
    resumed = LearningResumed(generation=2, trigger="delivered")
    given(OPENED).when(OpenLearning(generation=2, trigger="delivered")).then(resumed)
    given(OPENED, resumed).when(SuspendLearning(generation=2, because="reopened")).then()


@pytest.mark.parametrize(
    ("command", "fact"),
    [
        (OpenLearning(generation=1, trigger="delivered"), "delivered"),
        (OpenLearning(generation=1, trigger="withdrawn"), "withdrawn"),
        (NoteCaseClosed(generation=1), "withdrawn"),
        (SuspendLearning(generation=1, because="objected"), "objected"),
        (SuspendLearning(generation=1, because="reopened"), "reopened"),
        (ChangeOwner(generation=1, to="person:ravi"), "transferred"),
    ],
)
def test_a_fact_of_an_older_generation_has_no_effect(command, fact):
    given(OPENED, REOPENED).when(command).then(StaleFactIgnored(fact=fact, generation=1, current=2))
    given(REOPENED).when(command).then(StaleFactIgnored(fact=fact, generation=1, current=2))


def test_an_objection_to_what_is_learned_already_or_was_never_delivered_holds_nothing_up():
    given(OPENED, CLOSED).when(SuspendLearning(generation=1, because="objected")).then()
    given().when(SuspendLearning(generation=1, because="objected")).then()


def test_the_last_transfer_names_the_owner_whatever_the_delivery_says():
    transferred = OwnerChanged(generation=1, to="person:ravi")
    given().when(ChangeOwner(generation=1, to="person:ravi")).then(transferred)
    given(transferred).when(ChangeOwner(generation=1, to="person:ravi")).then()
    given(transferred).when(OpenLearning(generation=1, trigger="delivered", owner="person:ines")).then(
        LearningOpened(generation=1, trigger="delivered", owner="person:ravi")
    )


# ---- causes ----------------------------------------------------------------------------------------------------------------


def test_a_cause_is_recorded_with_the_digest_of_its_wording():
    given(OPENED).when(A_CAUSE).then(CAUSE_RECORDED)
    given(OPENED, CAUSE_RECORDED).when(A_CAUSE).then()


def test_a_cause_is_of_a_kind_that_the_policy_knows():
    given(OPENED).when(A_CAUSE.model_copy(update={"kind": "karma"})).then_refused(Rule.UNKNOWN_CAUSE_KIND)


def test_a_verification_is_bound_to_the_wording():
    holds = VerifyCause(how="reproduced", evidence="three test orders", holds=True)
    given(OPENED).when(holds).then_refused(Rule.NO_CAUSE_TO_VERIFY)
    given(OPENED, CAUSE_RECORDED).when(holds).then(CauseVerified(how="reproduced", evidence="three test orders", digest=DIGEST))
    given(OPENED, CAUSE_RECORDED, VERIFIED).when(holds).then()
    given(OPENED, CAUSE_RECORDED).when(holds.model_copy(update={"digest": "0" * 64})).then_refused(Rule.CAUSE_HAS_CHANGED)


def test_a_changed_cause_is_unverified_again_and_more_evidence_is_not_a_change():
    changed = CauseRecorded(**{**dict(CAUSE_RECORDED), "what": "another wording", "digest": "1" * 64})
    close = CloseLearning(outcome="corrected")
    given(OPENED, CAUSE_RECORDED, VERIFIED, PLANNED, COMPLETED, changed).when(close).then_refused(Rule.LEARNED_NEEDS_CORRECTION)
    more = CauseRecorded(**{**dict(CAUSE_RECORDED), "evidence": "more of it"})
    given(OPENED, CAUSE_RECORDED, VERIFIED, PLANNED, COMPLETED, more).when(close).then(LearningClosed(generation=1, outcome="corrected"))


def test_the_third_refuted_cause_escalates():
    fails = VerifyCause(how="measured", evidence="there was room", holds=False)
    refuted = [CauseRefuted(how="measured", evidence="there was room", digest=digit * 64) for digit in "12"]
    found = CauseRefuted(how="measured", evidence="there was room", digest=DIGEST)
    given(OPENED, refuted[0], CAUSE_RECORDED).when(fails).then(found)
    given(OPENED, *refuted, CAUSE_RECORDED).when(fails).then(found, CauseSearchEscalated(refuted=3))
    given(OPENED, *refuted, CAUSE_RECORDED, found).when(fails).then()


def test_a_refuted_cause_may_be_verified_after_all():
    refuted = CauseRefuted(how="measured", evidence="there was room", digest=DIGEST)
    given(OPENED, CAUSE_RECORDED, refuted).when(VerifyCause(how="observed", evidence="seen", holds=True)).then(
        CauseVerified(how="observed", evidence="seen", digest=DIGEST)
    )


def test_no_fault_and_a_cause_take_each_others_place():
    no_fault = NoFaultRecorded(evidence="it came on Friday", expected_because="the confirmation shows another day")
    asked = RecordNoFault(evidence="it came on Friday", expected_because="the confirmation shows another day")
    given(OPENED).when(asked).then(no_fault)
    given(OPENED, no_fault).when(asked).then()
    given(OPENED, no_fault, CAUSE_RECORDED).when(CloseLearning(outcome="no_fault")).then_refused(Rule.LEARNED_NEEDS_CORRECTION)
    given(OPENED, CAUSE_RECORDED, no_fault).when(VerifyCause(how="observed", evidence="seen", holds=True)).then_refused(
        Rule.NO_CAUSE_TO_VERIFY
    )


# ---- containment, looking sideways, corrections ----------------------------------------------------------------------------


def test_containment_and_looking_sideways_are_recorded_once():
    contained = ContainmentRecorded(what=A_CONTAINMENT.what)
    given(OPENED).when(A_CONTAINMENT).then(contained)
    given(OPENED, contained).when(A_CONTAINMENT).then()
    given(OPENED, OBJECTED).when(A_CONTAINMENT).then(contained)
    looked = LookedSideways(looked_at=("cakes", "the web shop"), found="the same form")
    look = LookSideways(looked_at=("cakes", "the web shop"), found="the same form")
    given(OPENED).when(look).then(looked)
    given(OPENED, looked).when(look).then()


def test_a_correction_is_planned_once_and_completed_once():
    complete = CompleteCorrection(correction_id=PLANNED.correction_id, evidence="it is live")
    given(OPENED).when(A_PLAN).then(PLANNED)
    given(OPENED, PLANNED).when(A_PLAN).then()
    given(OPENED, PLANNED).when(complete).then(CorrectionCompleted(correction_id=PLANNED.correction_id, evidence="it is live"))
    given(OPENED, PLANNED, COMPLETED).when(complete).then()


def test_a_retraining_with_both_procedures_is_planned():
    planned = decide(_after(OPENED), A_RETRAINING, context())
    assert [type(event) for event in planned] == [CorrectionPlanned]


def test_the_only_open_correction_needs_no_id():
    second = CorrectionPlanned(**{**dict(PLANNED), "what": "another", "correction_id": uuid5(PROBLEM, "second")})
    complete = CompleteCorrection(evidence="it is live")
    given(OPENED).when(complete).then_refused(Rule.UNKNOWN_CORRECTION)
    given(OPENED, PLANNED).when(complete).then(CorrectionCompleted(correction_id=PLANNED.correction_id, evidence="it is live"))
    given(OPENED, PLANNED, COMPLETED).when(complete).then()
    given(OPENED, PLANNED, second).when(complete).then_refused(Rule.UNKNOWN_CORRECTION)
    unknown = CompleteCorrection(correction_id=PROBLEM, evidence="it is live")
    given(OPENED, PLANNED).when(unknown).then_refused(Rule.UNKNOWN_CORRECTION)


def test_a_due_date_lies_ahead():
    late = A_PLAN.model_copy(update={"due_at": datetime(2000, 1, 1, tzinfo=UTC)})
    given(OPENED).when(late).then_refused(Rule.CORRECTION_ALREADY_DUE)


def test_a_planned_correction_may_be_completed_after_the_end():
    complete = CompleteCorrection(evidence="it is live")
    given(OPENED, PLANNED, CLOSED).when(complete).then(CorrectionCompleted(correction_id=PLANNED.correction_id, evidence="it is live"))
    assert not STREAM.is_closed(_after(OPENED, PLANNED, CLOSED))
    assert STREAM.is_closed(_after(OPENED, PLANNED, CLOSED, COMPLETED))
    assert not STREAM.is_closed(_after(OPENED, CLOSED, REOPENED))


# ---- joining a problem -----------------------------------------------------------------------------------------------------


def test_joining_asks_the_problem_and_takes_its_answer():
    sought = ProblemJoinSought(problem_id=PROBLEM, generation=1)
    given(OPENED).when(JoinProblem(problem_id=PROBLEM)).then(sought)
    joined = CorrectionJoined(problem_id=PROBLEM, correction=CORRECTION)
    given(OPENED, sought).when(NoteProblemCorrection(problem_id=PROBLEM, generation=1, correction=CORRECTION)).then(joined)
    given(OPENED, sought).when(NoteProblemCorrection(problem_id=PROBLEM, generation=1, why_not="none yet")).then(
        JoinRefused(problem_id=PROBLEM, why="none yet")
    )
    given(OPENED, sought, JoinRefused(problem_id=PROBLEM, why="none yet")).when(JoinProblem(problem_id=PROBLEM)).then(sought)
    given(OPENED, sought, joined).when(JoinProblem(problem_id=PROBLEM)).then()


def test_a_learning_that_got_no_answer_asks_again_and_takes_the_answer_once():
    sought = ProblemJoinSought(problem_id=PROBLEM, generation=1)
    given(OPENED, sought).when(JoinProblem(problem_id=PROBLEM)).then(sought)
    answer = NoteProblemCorrection(problem_id=PROBLEM, generation=1, correction=CORRECTION)
    joined = CorrectionJoined(problem_id=PROBLEM, correction=CORRECTION)
    given(OPENED, sought, sought).when(answer).then(joined)
    given(OPENED, sought, sought, joined).when(answer).then()


def test_an_answer_nobody_waits_for_has_no_effect():
    answer = NoteProblemCorrection(problem_id=PROBLEM, generation=1, correction=CORRECTION)
    given().when(answer).then()
    given(OPENED).when(answer).then()
    given(OPENED, ProblemJoinSought(problem_id=UUID(int=7), generation=1)).when(answer).then()
    given(OPENED, ProblemJoinSought(problem_id=PROBLEM, generation=1), CLOSED).when(answer).then()


def test_an_answer_to_what_was_asked_in_another_generation_has_no_effect():
    """Else the problem's no of then would be taken for its answer of now, and the yes that follows would find nobody who waits."""
    closed = LearningClosed(generation=1, outcome="cause_not_found", reason="no traces")
    again = LearningOpened(generation=2, trigger="delivered", owner="person:ines")
    first, second = (ProblemJoinSought(problem_id=PROBLEM, generation=generation) for generation in (1, 2))
    past = (OPENED, first, closed, REOPENED, again, second)
    given(*past).when(NoteProblemCorrection(problem_id=PROBLEM, why_not="none yet", generation=1)).then()
    yes = NoteProblemCorrection(problem_id=PROBLEM, correction=CORRECTION, generation=2)
    given(*past).when(yes).then(CorrectionJoined(problem_id=PROBLEM, correction=CORRECTION))


def test_an_answer_reaches_a_learning_that_went_on_in_a_later_generation():
    resumed = LearningResumed(generation=2, trigger="delivered")
    past = (OPENED, ProblemJoinSought(problem_id=PROBLEM, generation=1), REOPENED, resumed)
    given(*past).when(NoteProblemCorrection(problem_id=PROBLEM, correction=CORRECTION, generation=1)).then(
        CorrectionJoined(problem_id=PROBLEM, correction=CORRECTION)
    )


def test_joining_and_closing_wait_while_it_is_suspended():
    given(OPENED, OBJECTED).when(JoinProblem(problem_id=PROBLEM)).then_refused(Rule.LEARNING_SUSPENDED)
    given(OPENED, OBJECTED).when(CloseLearning(outcome="cause_not_found", reason="no traces")).then_refused(Rule.LEARNING_SUSPENDED)


# ---- the end ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [c for c in ASKED if not isinstance(c, CompleteCorrection)], ids=lambda c: type(c).__name__)
def test_a_closed_learning_takes_nothing_more(command):
    given(OPENED, LearningClosed(generation=1, outcome="no_fault")).when(command).then_refused(Rule.CLOSED)


def test_closing_twice_alike_changes_nothing():
    given(OPENED, CLOSED).when(CloseLearning(outcome="no_correction_needed", reason="the form was replaced")).then()


def test_a_joined_correction_has_an_owner_and_a_due_date():
    assert JoinedCorrection(correction_id=PROBLEM, owner="person:ines", due_at=DUE + timedelta(days=1))
    for absent in ("owner", "due_at"):
        with pytest.raises(ValueError, match=absent):
            JoinedCorrection.model_validate({k: v for k, v in dict(CORRECTION).items() if k != absent})


def _after(*past):
    return fold(STREAM, past)
