"""Both halves of settled, in every order in which the other services' facts can come."""

from datetime import timedelta
from itertools import permutations

import pytest

from services.intake.complaint import STREAM
from shared.contract.intake import (
    ComplaintReopened,
    ComplaintSettled,
    CustomersEndingNoted,
    LearningNoted,
    NoteCustomersEnding,
    NoteLateWithdrawal,
    NoteLearning,
    NoteTimelyWithdrawal,
    ReopenComplaint,
    StaleFactIgnored,
    Withdraw,
    WithdrawalOverruled,
    WithdrawalStood,
)
from shared.contract.refusals import Refusal, Rule
from tests.services.intake.said import (
    BY_CALL,
    CONFIRMED,
    ENDED,
    HAND_OVER,
    LEARNED,
    NEED,
    NOW,
    OWNED,
    POLICY,
    PROMISE_ID,
    PROMISED,
    READY,
    RECEIVED,
    REOPENED,
    WITHDRAWN,
    context,
    fold,
    given,
)

CONFIRM = NoteCustomersEnding(generation=1, ending="confirmed", ended_at=ENDED)
LATE, TIMELY = NoteLateWithdrawal(generation=1), NoteTimelyWithdrawal(generation=1)
LEARN = NoteLearning(generation=1, outcome="corrected")
OVERRULED, STOOD = WithdrawalOverruled(generation=1), WithdrawalStood(generation=1)
SETTLED = ComplaintSettled(generation=1, ending="confirmed", outcome="corrected")
SETTLED_WITHDRAWN = ComplaintSettled(generation=1, ending="withdrawn", outcome="corrected")
REOPEN = ReopenComplaint(why="Sixty came.")


def told(*commands, past=(*READY, OWNED)):
    """Tells one after another; all that is said by it."""
    state, said = fold(STREAM, past), []
    for command in commands:
        decided = STREAM.decide(state, command, context())
        assert not isinstance(decided, Refusal), decided
        for event in decided:
            state = STREAM.evolve(state, event)
        said.extend(decided)
    return said


# ---- settled ---------------------------------------------------------------------------------------------------------------


def test_it_is_settled_only_with_both_endings_whichever_comes_first():
    given(*READY, OWNED).when(CONFIRM).then(CONFIRMED)
    given(*READY, OWNED, CONFIRMED).when(LEARN).then(LEARNED, SETTLED)
    given(*READY, OWNED).when(LEARN).then(LEARNED)
    given(*READY, OWNED, LEARNED).when(CONFIRM).then(CONFIRMED, SETTLED)


def test_assumed_is_an_ending_and_never_reported_as_confirmed():
    assume = NoteCustomersEnding(generation=1, ending="assumed", ended_at=ENDED)
    assumed = CustomersEndingNoted(generation=1, ending="assumed", ended_at=ENDED)
    given(*READY, OWNED, LEARNED).when(assume).then(assumed, SETTLED.model_copy(update={"ending": "assumed"}))
    given(*READY, OWNED, assumed).when(CONFIRM).then()


@pytest.mark.parametrize("fact", [CONFIRM, LEARN, LATE, TIMELY], ids=lambda fact: type(fact).__name__)
def test_what_is_known_already_changes_nothing(fact):
    for past in ((CONFIRMED, LEARNED, SETTLED), (WITHDRAWN, STOOD, LEARNED, SETTLED_WITHDRAWN)):
        given(*READY, OWNED, *past).when(fact).then()


def test_what_only_a_delivery_can_bring_has_no_effect_on_what_was_never_owned():
    for fact in (CONFIRM, LATE, TIMELY):
        given(*READY).when(fact).then()
        given(*READY, WITHDRAWN).when(fact).then()
    for fact in (CONFIRM, LATE, TIMELY, LEARN):
        given().when(fact).then()


# ---- withdrawn -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("past", [(RECEIVED,), (RECEIVED, NEED), READY], ids=["received", "told", "ready"])
def test_the_customer_takes_it_back_while_it_is_in_own_and_releases_what_was_promised(past):
    (event,) = given(*past).when(Withdraw(proof=BY_CALL, reason="The festival was called off.")).decided
    assert (event.generation, event.reason, event.withdrawn_at) == (1, "The festival was called off.", NOW)
    assert event.released == ((PROMISE_ID,) if PROMISED in past else ())
    assert STREAM.timers(fold(STREAM, (*past, event))) == {}
    given(*past, event).when(Withdraw(proof=BY_CALL)).then()
    given(*past, event).when(LEARN).then(LEARNED, SETTLED_WITHDRAWN)


def test_of_what_is_owned_a_withdrawal_settles_once_resolution_says_that_nothing_had_been_delivered():
    """It may have been delivered and learned before the customer took it back: then the withdrawal is not the ending."""
    given(*READY, OWNED).when(Withdraw(proof=BY_CALL)).then(WITHDRAWN)
    given(*READY, OWNED, LEARNED).when(Withdraw(proof=BY_CALL)).then(WITHDRAWN)
    given(*READY, OWNED, WITHDRAWN).when(LEARN).then(LEARNED)
    given(*READY, OWNED, WITHDRAWN).when(TIMELY).then(STOOD)
    given(*READY, OWNED, WITHDRAWN, LEARNED).when(TIMELY).then(STOOD, SETTLED_WITHDRAWN)
    given(*READY, OWNED, WITHDRAWN, STOOD).when(LEARN).then(LEARNED, SETTLED_WITHDRAWN)
    given(*READY, OWNED, WITHDRAWN, STOOD).when(Withdraw(proof=BY_CALL)).then()


def test_a_withdrawal_that_came_too_late_is_overruled_and_the_deliverys_ending_counts():
    given(*READY, OWNED, WITHDRAWN).when(LATE).then(OVERRULED)
    given(*READY, OWNED, WITHDRAWN, OVERRULED).when(CONFIRM).then(CONFIRMED)
    given(*READY, OWNED, WITHDRAWN).when(CONFIRM).then(OVERRULED, CONFIRMED)
    given(*READY, OWNED, WITHDRAWN, OVERRULED, CONFIRMED).when(LATE).then()
    given(*READY, OWNED, WITHDRAWN, OVERRULED).when(HAND_OVER).then(*given(*READY, OWNED).when(HAND_OVER).decided)


@pytest.mark.parametrize(
    "order", list(permutations((CONFIRM, LATE, LEARN))), ids=lambda order: "-".join(type(one).__name__ for one in order)
)
def test_in_every_order_a_delivery_that_forestalled_the_withdrawal_settles_as_delivered(order):
    said = told(*order, past=(*READY, OWNED, WITHDRAWN))
    assert said.count(OVERRULED) == 1
    assert said[-1] == SETTLED
    assert [event for event in said if isinstance(event, ComplaintSettled)] == [SETTLED]


TAKE_BACK = Withdraw(proof=BY_CALL)


@pytest.mark.parametrize("order", [(TAKE_BACK, TIMELY, LEARN), (TAKE_BACK, LEARN, TIMELY), (LEARN, TAKE_BACK, TIMELY)])
def test_in_every_order_that_can_be_a_withdrawal_in_time_settles_as_withdrawn(order):
    said = told(*order)
    assert said[-1] == SETTLED_WITHDRAWN
    assert [event for event in said if isinstance(event, ComplaintSettled)] == [SETTLED_WITHDRAWN]


def test_it_is_too_late_to_withdraw_what_was_confirmed_or_assumed():
    refusal = given(*READY, OWNED, CONFIRMED).when(Withdraw(proof=BY_CALL)).then_refused(Rule.WITHDRAWAL_TOO_LATE)
    assert "reopen it" in refusal.sentence


def test_what_was_overruled_may_be_withdrawn_again_where_the_delivery_was_objected_to():
    given(*READY, OWNED, WITHDRAWN, OVERRULED).when(Withdraw(proof=BY_CALL)).then(WITHDRAWN)
    given(*READY, OWNED, WITHDRAWN, OVERRULED, WITHDRAWN).when(TIMELY).then(STOOD)


# ---- reopened --------------------------------------------------------------------------------------------------------------


def test_it_is_reopened_within_the_window_from_the_customers_ending():
    last = ENDED + POLICY.reopen_window
    for past in ((CONFIRMED,), (CONFIRMED, LEARNED, SETTLED)):
        given(*READY, OWNED, *past).when(REOPEN, now=last).then(REOPENED)
        given(*READY, OWNED, *past).when(REOPEN, now=last + timedelta(microseconds=1)).then_refused(Rule.REOPEN_WINDOW_PASSED)
    withdrawn = REOPENED.model_copy(update={"ending": "withdrawn"})
    given(*READY, WITHDRAWN).when(REOPEN).then(withdrawn)
    bare = ComplaintReopened(generation=2, why="Sixty came.", ending="withdrawn")
    given(RECEIVED, WITHDRAWN).when(REOPEN).then(bare)


def test_what_has_not_ended_for_the_customer_is_not_reopened():
    for past in ((RECEIVED,), READY, (*READY, OWNED), (*READY, OWNED, LEARNED), (*READY, OWNED, WITHDRAWN, OVERRULED)):
        given(*past).when(REOPEN).then_refused(Rule.NOT_ENDED)
    given(*READY, OWNED, CONFIRMED, REOPENED).when(REOPEN).then_refused(Rule.NOT_ENDED)


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        (CONFIRM, "confirmed"),
        (CONFIRM.model_copy(update={"ending": "assumed"}), "assumed"),
        (LATE, "late_withdrawal"),
        (TIMELY, "timely_withdrawal"),
        (LEARN, "learned"),
    ],
)
def test_a_fact_of_another_generation_has_no_effect(fact, name):
    past = (*READY, OWNED, CONFIRMED, REOPENED)
    given(*past).when(fact).then(StaleFactIgnored(fact=name, generation=1, current=2))
    ahead = fact.model_copy(update={"generation": 3})
    given(*past).when(ahead).then(StaleFactIgnored(fact=name, generation=3, current=2))


def test_the_endings_of_an_earlier_generation_do_not_settle_a_later_one():
    second = (PROMISED, OWNED.model_copy(update={"generation": 2}))
    noted = CustomersEndingNoted(generation=2, ending="confirmed", ended_at=ENDED)
    learned = LearningNoted(generation=2, outcome="no_fault")
    for first in ((CONFIRMED, REOPENED), (LEARNED, CONFIRMED, SETTLED, REOPENED), (CONFIRMED, LEARNED, SETTLED, REOPENED)):
        past = (*READY, OWNED, *first, *second)
        given(*past).when(CONFIRM.model_copy(update={"generation": 2})).then(noted)
        given(*past).when(NoteLearning(generation=2, outcome="no_fault")).then(learned)
        given(*past, learned).when(CONFIRM.model_copy(update={"generation": 2})).then(
            noted, ComplaintSettled(generation=2, ending="confirmed", outcome="no_fault")
        )


# ---- what the machine may forget first -------------------------------------------------------------------------------------


def test_it_is_closed_once_it_is_settled_and_not_when_it_is_open_again():
    settled = (*READY, OWNED, CONFIRMED, LEARNED, SETTLED)
    for n in range(len(settled)):
        assert not STREAM.is_closed(fold(STREAM, settled[:n]))
    assert STREAM.is_closed(fold(STREAM, settled))
    assert not STREAM.is_closed(fold(STREAM, (*settled, REOPENED)))
