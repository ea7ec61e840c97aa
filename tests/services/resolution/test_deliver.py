from uuid import UUID

import pytest

from services.resolution.case import OBJECTION, STREAM
from shared.contract.refusals import Rule
from shared.contract.resolution import (
    CaseClosed,
    CloseWithdrawn,
    Delivered,
    KeepPromise,
    PromiseKept,
    RecordReply,
    RenegotiatePromise,
    SuspendCase,
    WithdrawalCameTooLate,
)
from shared.machine.mind import Timer
from tests.services.resolution.said import (
    A_COMPLETION,
    A_CONFIRMATION,
    A_DECISION,
    A_DELIVERY,
    A_START,
    AGAIN,
    AN_OBJECTION,
    AN_OPENING,
    ASKED,
    ASSUMED,
    BROKEN,
    CLEARED,
    COMPLETED,
    CONFIRMED,
    DECIDED,
    DELIVERED,
    DELIVERY_ID,
    END_OF_WINDOW,
    EVIDENT,
    FIXED,
    HOUR,
    IN_HAND,
    KEPT,
    LOAVES,
    NEW_EVIDENCE,
    NOW,
    OBJECTED,
    OPEN,
    RAISED,
    STARTED,
    STEP,
    SUSPENDED,
    WINDOW,
    WITHDRAWN,
    after,
    given,
    named,
)

CASES = pytest.mark.parametrize


# ---- delivering --------------------------------------------------------------------------------------------------------------


def test_a_delivery_is_compared_with_what_was_promised():
    still = DELIVERED.model_copy(update={"still_promised": (STEP.promise_id,)})
    kept = PromiseKept(promise_id=LOAVES.promise_id, by=str(DELIVERY_ID))
    given(*FIXED).when(A_DELIVERY).then(still, kept)
    given(*FIXED).when(A_DELIVERY.model_copy(update={"keeps": ()})).then(DELIVERED)
    given(*FIXED).when(A_DELIVERY.model_copy(update={"keeps": (LOAVES.promise_id, LOAVES.promise_id)})).then(still, kept)


def test_delivering_twice_the_same_changes_nothing():
    kept = PromiseKept(promise_id=LOAVES.promise_id, by=str(DELIVERY_ID))
    given(*IN_HAND, kept).when(A_DELIVERY, now=NOW + HOUR).then()
    given(*IN_HAND).when(A_DELIVERY).then_refused(Rule.WRONG_STAGE)
    given(*IN_HAND, kept).when(A_DELIVERY.model_copy(update={"what": "More of it."})).then_refused(Rule.WRONG_STAGE)


@CASES(
    ("past", "keeps", "now", "rule"),
    [
        ((), UUID(int=77), NOW, Rule.UNKNOWN_PROMISE),
        ((BROKEN,), STEP.promise_id, NOW, Rule.PROMISE_ENDED),
        ((), STEP.promise_id, STEP.due_at, Rule.PROMISE_PAST_DUE),
    ],
)
def test_a_delivery_that_cannot_keep_what_it_says_is_refused_whole(past, keeps, now, rule):
    given(*FIXED, *past).when(A_DELIVERY.model_copy(update={"keeps": (LOAVES.promise_id, keeps)}), now=now).then_refused(rule)


def test_a_promise_that_was_kept_before_is_not_kept_again_by_the_delivery():
    still = DELIVERED.model_copy(update={"still_promised": (LOAVES.promise_id,)})
    given(*FIXED, KEPT).when(A_DELIVERY.model_copy(update={"keeps": (STEP.promise_id,)})).then(still)


def test_the_customer_confirms_once():
    given(*IN_HAND).when(A_CONFIRMATION).then(CONFIRMED)
    given(*IN_HAND, CONFIRMED).when(A_CONFIRMATION).then()
    assert OBJECTION not in STREAM.timers(after(*IN_HAND, CONFIRMED))


def test_silence_until_the_end_of_the_window_is_taken_as_an_answer():
    assert STREAM.timers(after(*IN_HAND))[OBJECTION] == Timer(NOW + WINDOW, 1)
    given(*IN_HAND).when(END_OF_WINDOW, now=NOW + WINDOW).then(ASSUMED)
    given(*IN_HAND, ASSUMED).when(END_OF_WINDOW, now=NOW + WINDOW).then()
    assert OBJECTION not in STREAM.timers(after(*IN_HAND, ASSUMED))


def test_the_window_of_an_earlier_delivery_ends_nothing():
    later = DELIVERED.model_copy(update={"objection_until": NOW + WINDOW + HOUR})
    given(*IN_HAND, OBJECTED, STARTED, COMPLETED, later).when(END_OF_WINDOW, now=NOW + WINDOW).then()
    given(*IN_HAND, OBJECTED).when(END_OF_WINDOW, now=NOW + WINDOW).then()


def test_an_objection_goes_back_to_fix_with_the_decision_kept():
    given(*IN_HAND).when(AN_OBJECTION).then(OBJECTED)
    given(*IN_HAND, OBJECTED).when(AN_OBJECTION).then()
    given(*IN_HAND, OBJECTED).when(A_COMPLETION).then_refused(Rule.FIX_NOT_STARTED)
    given(*IN_HAND, OBJECTED).when(A_START).then(STARTED)
    (again, _) = given(*IN_HAND, OBJECTED, STARTED, COMPLETED).when(A_DELIVERY).decided
    assert isinstance(again, Delivered)
    given(*IN_HAND, OBJECTED, STARTED, COMPLETED, DELIVERED).when(AN_OBJECTION).then(OBJECTED)


def test_an_objection_with_new_evidence_opens_the_decision_again():
    given(*IN_HAND).when(NEW_EVIDENCE).then(EVIDENT)
    given(*IN_HAND, EVIDENT).when(A_START).then_refused(Rule.DECIDE_FIRST)
    given(*IN_HAND, EVIDENT).when(A_DECISION).then(DECIDED)


@CASES("past", [(*IN_HAND, OBJECTED), (*IN_HAND, OBJECTED, STARTED, COMPLETED)])
def test_new_evidence_is_heard_while_another_objection_is_open(past):
    given(*past).when(NEW_EVIDENCE).then(EVIDENT)
    given(*past, EVIDENT).when(NEW_EVIDENCE).then()
    given(*past, EVIDENT).when(A_DELIVERY).then_refused(Rule.NO_DELIVERY_BEFORE_FIX)
    more = NEW_EVIDENCE.model_copy(update={"reason": "And here is the invoice."})
    given(*past, EVIDENT).when(more).then_refused(Rule.NOTHING_DELIVERED)


@CASES("ending", [CONFIRMED, ASSUMED], ids=named)
def test_an_objection_after_the_ending_is_told_to_reopen_within_the_window(ending):
    refusal = given(*IN_HAND, ending).when(AN_OBJECTION).then_refused(Rule.CLOSED)
    assert "reopen the complaint in intake within 30 days" in refusal.sentence


def test_an_assumed_ending_is_never_taken_for_a_confirmed_one():
    given(*IN_HAND, ASSUMED).when(A_CONFIRMATION).then_refused(Rule.CLOSED)


# ---- withdrawing -------------------------------------------------------------------------------------------------------------


@CASES("past", [OPEN, (*OPEN, RAISED), FIXED, (*IN_HAND, OBJECTED), (*IN_HAND, RAISED)], ids=len)
def test_a_withdrawal_before_the_customer_has_it_in_hand_closes_the_case_and_releases_us(past):
    given(*past).when(CloseWithdrawn(generation=1)).then(WITHDRAWN)
    given(*past, WITHDRAWN).when(CloseWithdrawn(generation=1)).then()
    assert STREAM.timers(after(*past, WITHDRAWN)) == {}
    assert STREAM.is_closed(after(*past, WITHDRAWN))


@CASES(
    "past", [IN_HAND, (*IN_HAND, CONFIRMED), (*IN_HAND, ASSUMED), (*IN_HAND, RAISED, CLEARED), (*IN_HAND, OBJECTED, *FIXED[2:], DELIVERED)]
)
def test_a_withdrawal_of_what_was_delivered_came_too_late_and_each_is_answered(past):
    too_late = WithdrawalCameTooLate(generation=1)
    given(*past).when(CloseWithdrawn(generation=1)).then(too_late)
    given(*past, too_late).when(CloseWithdrawn(generation=1)).then(too_late)
    assert after(*past, too_late) == after(*past)


def test_a_withdrawal_in_own_is_remembered_whichever_is_heard_first():
    nothing_released = CaseClosed(generation=1, because="withdrawn")
    given().when(CloseWithdrawn(generation=1)).then(nothing_released)
    given(nothing_released).when(AN_OPENING).then()
    given(*IN_HAND, SUSPENDED).when(CloseWithdrawn(generation=2)).then(WITHDRAWN.model_copy(update={"generation": 2}))
    given(*IN_HAND).when(CloseWithdrawn(generation=2)).then(WITHDRAWN.model_copy(update={"generation": 2}))
    closed_ahead = (*IN_HAND, WITHDRAWN.model_copy(update={"generation": 2}))
    given(*closed_ahead).when(SuspendCase(generation=2)).then()
    given(*closed_ahead).when(AN_OPENING.model_copy(update=AGAIN)).then()
    given(*closed_ahead).when(SuspendCase(generation=3)).then(SUSPENDED.model_copy(update={"generation": 3}))


@CASES("command", [one for one in ASKED if not isinstance(one, KeepPromise | RenegotiatePromise | RecordReply)], ids=named)
def test_a_withdrawn_case_takes_nothing_more(command):
    given(*OPEN, WITHDRAWN).when(command).then_refused(Rule.CLOSED)
    given(WITHDRAWN.model_copy(update={"released": ()})).when(command).then_refused(Rule.CLOSED)
