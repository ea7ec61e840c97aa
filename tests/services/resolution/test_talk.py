from datetime import timedelta
from uuid import UUID

import pytest

from services.resolution.case import OBJECTION, STREAM
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.resolution import (
    ChangeOwner,
    ClearMisunderstanding,
    CloseWithdrawn,
    ConfirmDelivery,
    DeliveryConfirmed,
    ExplanationGiven,
    GiveExplanation,
    MisunderstandingCleared,
    MisunderstandingRaised,
    NoteReply,
    PromiseBroken,
    PromiseMade,
    RecordReply,
    ReplyNoted,
    ReplyReceived,
    SuspendCase,
)
from shared.contract.said import decode
from shared.contract.values import PromiseTerms, Proof
from shared.machine.mind import Timer
from tests.services.resolution.said import (
    A_CLEARING,
    A_DECISION,
    A_MISUNDERSTANDING,
    A_PROMISE,
    AN_EXPLANATION,
    AN_OPENING,
    BROKEN,
    CALL,
    CLEARED,
    COMPLETED,
    CONFIRMED,
    DECIDED,
    DELIVERED,
    FIXED,
    HOUR,
    IN_HAND,
    KEEPS_IT,
    KEPT,
    LATER,
    LOAVES,
    NOW,
    OBJECTED,
    OFFERED,
    OPEN,
    RAISED,
    RENEGOTIATED,
    RENEGOTIATES_IT,
    STARTED,
    STEP,
    SUSPENDED,
    WINDOW,
    WITHDRAWN,
    after,
    context,
    due,
    given,
)

CASES = pytest.mark.parametrize


def test_a_misunderstanding_is_raised_once_and_cleared_once():
    given(*OPEN).when(A_MISUNDERSTANDING).then(RAISED)
    given(*OPEN, RAISED).when(A_MISUNDERSTANDING).then()
    other = A_MISUNDERSTANDING.model_copy(update={"meant": "Saturday."})
    given(*OPEN, RAISED).when(other).then(MisunderstandingRaised(**dict(other), generation=1))
    given(*OPEN, RAISED).when(A_CLEARING).then(CLEARED)
    given(*OPEN, RAISED, CLEARED).when(A_CLEARING).then()
    given(*OPEN, RAISED, CLEARED).when(A_DECISION).then(DECIDED)


def test_clearing_before_delivery_starts_no_time_to_object():
    given(*FIXED, RAISED).when(ClearMisunderstanding(proof=CALL)).then(MisunderstandingCleared(proof=CALL, generation=1))
    assert OBJECTION not in STREAM.timers(after(*FIXED, RAISED, CLEARED))


@CASES(("past", "made_at"), [(OPEN, "fix"), (FIXED, "deliver"), (IN_HAND, "deliver"), ((*IN_HAND, OBJECTED), "fix")])
def test_a_promise_says_in_which_stage_it_was_made(past, made_at):
    terms = PromiseTerms(
        promise_id=context("case").new_id("promise"), what=A_PROMISE.what, due_at=A_PROMISE.due_at, made_at=made_at
    )  # fmt: skip
    given(*past).when(A_PROMISE).then(PromiseMade(promise=terms))
    given(*past, PromiseMade(promise=terms)).when(A_PROMISE).then()


def test_a_promise_is_renegotiated_and_the_new_one_stands():
    given(*OPEN).when(RENEGOTIATES_IT).then(RENEGOTIATED)
    assert STREAM.timers(after(*OPEN, RENEGOTIATED))[f"promise/{LATER.promise_id}"] == Timer(LATER.due_at, 1)


def test_a_promise_is_broken_by_the_clock_and_only_at_its_own_time():
    given(*OPEN).when(due(STEP), now=STEP.due_at).then(BROKEN)
    given(*OPEN).when(due(STEP.model_copy(update={"due_at": NOW + HOUR})), now=NOW + HOUR).then()
    given(*OPEN).when(TimerDue(timer="something/else", due_at=NOW, generation=1)).then()


def test_what_is_still_promised_at_the_end_is_kept_or_broken():
    past = (*IN_HAND, CONFIRMED)
    assert not STREAM.is_closed(after(*past))
    given(*past).when(KEEPS_IT).then(KEPT)
    given(*past).when(due(LOAVES), now=LOAVES.due_at).then(PromiseBroken(promise_id=LOAVES.promise_id, due_at=LOAVES.due_at))
    assert STREAM.is_closed(after(*past, KEPT, PromiseBroken(promise_id=LOAVES.promise_id, due_at=LOAVES.due_at)))
    given(*past).when(A_PROMISE).then_refused(Rule.CLOSED)


def test_a_reply_is_heard_at_any_time_and_shows_the_customers_word_from_then_on():
    asked = RecordReply(text="It is all there.", channel="mail", ref="m-7")
    for past in (OPEN, (*OPEN, RAISED), (*IN_HAND, CONFIRMED), (*OPEN, WITHDRAWN), (*OPEN, SUSPENDED)):
        (heard,) = given(*past).when(asked).decided
        assert isinstance(heard, ReplyReceived)
        assert heard.received_at == NOW
        given(*past, heard).when(asked).then()
    confirm = ConfirmDelivery(proof=Proof(kind="reply", ref=str(heard.reply_id)))
    given(*IN_HAND).when(confirm).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF)
    given(*IN_HAND, heard).when(confirm).then(DeliveryConfirmed(generation=1, proof=confirm.proof, confirmed_at=NOW))


def test_ids_made_here_are_none_that_intake_made_under_the_same_stream_and_version():
    (heard,) = given(*OPEN).when(RecordReply(text="Hello?")).decided
    (made,) = given(*OPEN).when(A_PROMISE).decided
    assert not {heard.reply_id, made.promise.promise_id} & {context("complaint").new_id(what) for what in ("reply", "promise")}


def test_what_was_told_with_an_answer_once_is_told_again_word_for_word():
    """The state holds after a body was stored and read: its fingerprints are of what is stored."""
    for event in (DECIDED, OFFERED, STARTED, COMPLETED, DELIVERED, OBJECTED, RAISED):
        stored = decode(type(event), event.to_bytes())
        assert after(*OPEN, DECIDED, OFFERED, STARTED, COMPLETED, DELIVERED, stored) == after(
            *OPEN, DECIDED, OFFERED, STARTED, COMPLETED, DELIVERED, event
        )


@CASES("command", [ChangeOwner(generation=1, to="person:ravi"), SuspendCase(generation=2), CloseWithdrawn(generation=1), AN_OPENING])
@CASES("past", [(), OPEN, (*OPEN, RAISED), IN_HAND, (*IN_HAND, CONFIRMED), (*OPEN, WITHDRAWN), (*OPEN, SUSPENDED)], ids=len)
def test_a_fact_of_intakes_is_never_refused(command, past):
    assert not isinstance(given(*past).when(command).decided, Refusal)


def test_an_explanation_given_otherwise_is_another_one():
    explained = ExplanationGiven(generation=1, text=AN_EXPLANATION.text, channel="phone")
    asked = GiveExplanation(text="The plan was full.", channel="phone")
    given(*IN_HAND, explained).when(asked).then(ExplanationGiven(generation=1, text="The plan was full.", channel="phone"))


def test_an_open_case_is_not_closed():
    for past in ((), OPEN, IN_HAND, (*IN_HAND, CONFIRMED, SUSPENDED)):
        assert not STREAM.is_closed(after(*past))


def test_the_window_is_the_policys():
    assert timedelta(days=5) == WINDOW


def test_a_reply_that_is_recorded_with_intake_is_proof_here_too():
    known = Proof(kind="reply", ref=str(UUID(int=21)))
    given(*OPEN, RAISED).when(ClearMisunderstanding(proof=known)).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF)
    noted = ReplyNoted(reply_id=UUID(int=21), generation=1)
    given(*OPEN, RAISED).when(NoteReply(reply_id=UUID(int=21), generation=1)).then(noted)
    given(*OPEN, RAISED, noted).when(ClearMisunderstanding(proof=known)).then(MisunderstandingCleared(proof=known, generation=1))
    given(*OPEN, noted).when(NoteReply(reply_id=UUID(int=21), generation=1)).then()
    given().when(NoteReply(reply_id=UUID(int=21), generation=1)).then()
