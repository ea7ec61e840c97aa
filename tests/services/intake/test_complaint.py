from datetime import timedelta
from uuid import UUID

import pytest

from services.intake.complaint import STREAM
from shared.contract.intake import (
    AcceptOwnership,
    AcknowledgementSent,
    AssignOwner,
    Classify,
    ClearMisunderstanding,
    ComplaintClassified,
    CompleteOwnership,
    KeepPromise,
    MakePromise,
    MisunderstandingCleared,
    MisunderstandingRaised,
    NeedStated,
    NoteReply,
    OwnerAssigned,
    OwnershipAccepted,
    OwnershipTransferred,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    PromiseRenegotiated,
    RecordReply,
    RenegotiatePromise,
    ReopenComplaint,
    ReplyNoted,
    Withdraw,
)
from shared.contract.machine import TimerDue
from shared.contract.refusals import Rule
from shared.contract.values import PromiseTerms, Proof
from shared.machine.mind import Timer
from shared.obligations.promises import PROMISES_MAX, TIMER
from tests.services.intake.said import (
    A_MISUNDERSTANDING,
    A_NEED,
    ACCEPTED,
    ACKNOWLEDGED,
    AN_ACKNOWLEDGEMENT,
    ASKED,
    ASSIGNED,
    BY_CALL,
    BY_REPLY,
    CONFIRMED,
    DUE,
    HAND_OVER,
    LATER,
    LEARNED,
    MISUNDERSTOOD,
    NEED,
    NOW,
    OWNED,
    PROMISE_ID,
    PROMISED,
    READY,
    RECEIVED,
    REOPENED,
    REPLIED,
    REPLY_ID,
    TALK,
    TERMS,
    UNKNOWN,
    WITHDRAWN,
    context,
    fold,
    given,
)

HANDED_OVER = OwnershipTransferred(generation=1, giver="person:ines", **dict(HAND_OVER))
CLEARED = MisunderstandingCleared(proof=BY_CALL)
KEPT = PromiseKept(promise_id=PROMISE_ID, by="g1/intake/3/17")
BROKEN = PromiseBroken(promise_id=PROMISE_ID, due_at=DUE)
BECOMES = PromiseTerms(promise_id=context("complaint").new_id("promise"), what=TERMS.what, due_at=LATER, made_at="own")
RENEGOTIATED = PromiseRenegotiated(promise_id=PROMISE_ID, becomes=BECOMES, reason="She asked for Wednesday.", proof=BY_CALL)
RENEGOTIATE = RenegotiatePromise(promise_id=PROMISE_ID, due_at=LATER, reason="She asked for Wednesday.", proof=BY_CALL)
MISSING = {ACCEPTED: "owner", ACKNOWLEDGED: "acknowledgement", NEED: "need", PROMISED: "next_step"}


def by_name(command):
    return type(command).__name__


# ---- the invariants --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("absent", MISSING, ids=by_name)
def test_no_fix_before_ownership(absent):
    """It is owned, and so goes to fix, only with an accepting owner, an acknowledgement, a need and a next step with a date."""
    past = [event for event in READY if event is not absent]
    refusal = given(*past).when(CompleteOwnership()).then_refused(Rule.OWNERSHIP_INCOMPLETE)
    assert refusal.details == {"missing": [MISSING[absent]]}


def test_no_fix_before_ownership_and_the_refusal_says_all_that_is_missing():
    refusal = given(RECEIVED).when(CompleteOwnership()).then_refused(Rule.OWNERSHIP_INCOMPLETE)
    assert refusal.details == {"missing": ["owner", "acknowledgement", "need", "next_step"]}
    for words in ("assign an owner", "acknowledge it", "state it in their terms", "make a promise"):
        assert words in refusal.sentence


@pytest.mark.parametrize("ended", [KEPT, BROKEN], ids=by_name)
def test_a_promise_that_has_ended_is_no_next_step(ended):
    refusal = given(*READY, ended).when(CompleteOwnership()).then_refused(Rule.OWNERSHIP_INCOMPLETE)
    assert refusal.details == {"missing": ["next_step"]}


def test_a_next_step_lies_ahead():
    given(*READY).when(CompleteOwnership(), now=DUE).then_refused(Rule.OWNERSHIP_INCOMPLETE)
    given(*READY).when(CompleteOwnership(), now=DUE - timedelta(microseconds=1)).then(OWNED)


def test_no_stage_moves_while_a_misunderstanding_is_raised_by_command_or_by_timer():
    given(*READY, MISUNDERSTOOD).when(CompleteOwnership()).then_refused(Rule.MISUNDERSTANDING_FIRST)
    given(*READY, MISUNDERSTOOD, CLEARED).when(CompleteOwnership()).then(OWNED)
    assert set(STREAM.timers(fold(STREAM, (*READY, MISUNDERSTOOD)))) == {f"{TIMER}{PROMISE_ID}"}, "no timer of ours moves a stage"


def test_while_a_misunderstanding_is_raised_contact_is_not_refused_and_no_clock_is_paused():
    given(RECEIVED, MISUNDERSTOOD).when(AN_ACKNOWLEDGEMENT).then(ACKNOWLEDGED)
    given(RECEIVED, MISUNDERSTOOD).when(A_NEED).then(NEED)
    given(*READY, MISUNDERSTOOD).when(KeepPromise(promise_id=PROMISE_ID, by="g1/intake/3/17")).then(KEPT)
    given(*READY, MISUNDERSTOOD).when(RENEGOTIATE).then(RENEGOTIATED)
    given(*READY, MISUNDERSTOOD).when(HAND_OVER).then(HANDED_OVER)
    given(*READY, MISUNDERSTOOD).when(Withdraw(proof=BY_CALL)).then(WITHDRAWN.model_copy(update={"released": (PROMISE_ID,)}))
    due = TimerDue(timer=f"{TIMER}{PROMISE_ID}", due_at=DUE)
    given(*READY, MISUNDERSTOOD).when(due, now=DUE).then(BROKEN)


def test_a_reopened_complaint_keeps_its_owner_and_starts_a_new_generation():
    past = (*READY, OWNED, CONFIRMED, LEARNED)
    given(*past).when(ReopenComplaint(why="Sixty came.")).then(REOPENED)
    refusal = given(*past, REOPENED).when(CompleteOwnership()).then_refused(Rule.OWNERSHIP_INCOMPLETE)
    assert refusal.details == {"missing": ["acknowledgement", "next_step"]}, "the owner and the need are carried"
    second = AcknowledgementSent(generation=2, **dict(AN_ACKNOWLEDGEMENT))
    given(*past, REOPENED).when(AN_ACKNOWLEDGEMENT).then(second)
    given(*past, REOPENED, second, PROMISED).when(CompleteOwnership()).then(OWNED.model_copy(update={"generation": 2}))


def test_timers_of_an_older_generation_do_nothing():
    withdrawn = WITHDRAWN.model_copy(update={"released": (PROMISE_ID,)})
    reopened = REOPENED.model_copy(update={"ending": "withdrawn"})
    for past in ((*READY, OWNED, CONFIRMED, REOPENED), (*READY, withdrawn, reopened)):
        assert STREAM.timers(fold(STREAM, past)) == {}
        given(*past).when(TimerDue(timer=f"{TIMER}{PROMISE_ID}", due_at=DUE, generation=1), now=DUE).then()
        again = PromiseMade(promise=TERMS.model_copy(update={"promise_id": UNKNOWN}))
        assert STREAM.timers(fold(STREAM, (*past, again))) == {f"{TIMER}{UNKNOWN}": Timer(DUE, 2)}


@pytest.mark.parametrize(
    ("ended", "how"), [(KEPT, "kept"), (BROKEN, "broken"), (RENEGOTIATED, "renegotiated")], ids=["kept", "broken", "renegotiated"]
)
def test_a_promise_is_kept_broken_or_renegotiated_exactly_once(ended, how):
    past = (*READY, ended)
    due = TimerDue(timer=f"{TIMER}{PROMISE_ID}", due_at=DUE)
    given(*past).when(due, now=DUE).then()
    keep = KeepPromise(promise_id=PROMISE_ID, by="g1/intake/3/17")
    other = RENEGOTIATE.model_copy(update={"due_at": LATER + timedelta(days=1)})
    for command, same in ((keep, "kept"), (other, None)):
        if how == same:
            given(*past).when(command).then()
        else:
            refusal = given(*past).when(command).then_refused(Rule.PROMISE_ENDED)
            assert refusal.details["ended"] == how


def test_what_the_customer_has_told_once_is_never_asked_again():
    """Every transfer carries the whole story, and what was told and needed goes with the complaint."""
    given(*READY).when(HAND_OVER).then(HANDED_OVER)
    given(*READY).when(AssignOwner(owner="person:ravi")).then_refused(Rule.TRANSFER_INSTEAD)
    given(*READY, OWNED).when(AssignOwner(owner="person:ravi")).then_refused(Rule.TRANSFER_INSTEAD)
    for empty in ({"story": " "}, {"reason": ""}):
        with pytest.raises(ValueError, match="at least 1 character"):
            type(HAND_OVER).model_validate(dict(HAND_OVER) | empty)
    assert (
        fold(STREAM, (*READY, HANDED_OVER, OwnershipAccepted(generation=1, owner="person:ravi", taken_from="person:ines"))).need
        == A_NEED.need
    )


@pytest.mark.parametrize(
    ("past", "command"),
    [
        ((MISUNDERSTOOD,), ClearMisunderstanding()),
        ((), Withdraw()),
        ((PROMISED,), RENEGOTIATE),
        ((OWNED,), Withdraw()),
    ],
    ids=["clearing", "withdrawing", "renegotiating", "withdrawing later"],
)
@pytest.mark.parametrize("proof", [None, Proof(kind="reply", ref=str(UNKNOWN))], ids=["no proof", "a reply that was never recorded"])
def test_what_is_said_to_be_the_customers_word_names_their_reply_their_call_or_their_token(past, command, proof):
    past = (RECEIVED, *past, REPLIED)
    given(*past).when(command.model_copy(update={"proof": proof})).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF)
    for shown in (BY_REPLY, BY_CALL, Proof(kind="token", ref="t-1")):
        (event,) = given(*past).when(command.model_copy(update={"proof": shown})).decided
        assert event.proof == shown


@pytest.mark.parametrize(
    ("since", "command"), [(MISUNDERSTOOD, ClearMisunderstanding()), (PROMISED, RENEGOTIATE)], ids=["clearing", "renegotiating"]
)
def test_what_the_customer_said_is_no_word_of_theirs_about_what_came_up_after(since, command):
    asked = command.model_copy(update={"proof": BY_REPLY})
    refusal = given(RECEIVED, REPLIED, since).when(asked).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF)
    assert "came before" in refusal.sentence
    later = REPLIED.model_copy(update={"reply_id": UNKNOWN})
    (event,) = (
        given(RECEIVED, REPLIED, since, later)
        .when(command.model_copy(update={"proof": BY_REPLY.model_copy(update={"ref": str(UNKNOWN)})}))
        .decided
    )
    assert event.proof.ref == str(UNKNOWN)


def test_keeping_a_promise_names_the_event_that_kept_it():
    given(RECEIVED, PROMISED).when(KeepPromise(promise_id=PROMISE_ID)).then_refused(Rule.KEEPING_NEEDS_ITS_EVENT)
    given(RECEIVED, PROMISED).when(KeepPromise(promise_id=PROMISE_ID, by="g1/intake/3/17")).then(KEPT)


# ---- what is not there, what is resolution's, what has ended ---------------------------------------------------------------


@pytest.mark.parametrize("command", ASKED, ids=by_name)
def test_what_was_never_received_takes_nothing(command):
    refusal = given().when(command).then_refused(Rule.UNKNOWN_STREAM)
    assert "submit it first" in refusal.sentence


@pytest.mark.parametrize("command", TALK, ids=by_name)
def test_once_it_is_owned_the_talk_with_the_customer_is_resolutions(command):
    refusal = given(*READY, OWNED).when(command).then_refused(Rule.WRONG_STAGE)
    assert "ask resolution" in refusal.sentence


@pytest.mark.parametrize("command", [c for c in ASKED if not isinstance(c, RecordReply | Withdraw | ReopenComplaint)], ids=by_name)
def test_what_has_ended_for_the_customer_takes_nothing_but_what_opens_it_again(command):
    for past in ((*READY, WITHDRAWN), (*READY, OWNED, WITHDRAWN), (*READY, OWNED, CONFIRMED), (*READY, OWNED, CONFIRMED, LEARNED)):
        refusal = given(*past).when(command).then_refused(Rule.CLOSED)
        assert "reopen it" in refusal.sentence


def test_from_owned_on_the_promises_are_resolutions_and_our_timers_for_them_do_nothing():
    assert STREAM.timers(fold(STREAM, READY)) == {f"{TIMER}{PROMISE_ID}": Timer(DUE, 1)}
    assert STREAM.timers(fold(STREAM, (*READY, OWNED))) == {}
    given(*READY, OWNED).when(TimerDue(timer=f"{TIMER}{PROMISE_ID}", due_at=DUE), now=DUE).then()


# ---- ownership -------------------------------------------------------------------------------------------------------------


def test_an_owner_is_asked_and_another_one_where_they_have_not_accepted():
    given(RECEIVED).when(AssignOwner(owner="person:ines")).then(ASSIGNED)
    given(RECEIVED, ASSIGNED).when(AssignOwner(owner="person:ines")).then()
    given(RECEIVED, ASSIGNED).when(AssignOwner(owner="person:ravi")).then(OwnerAssigned(owner="person:ravi"))
    given(RECEIVED, ASSIGNED, ACCEPTED).when(AssignOwner(owner="person:ines")).then()


def test_only_whoever_was_asked_accepts():
    given(RECEIVED).when(AcceptOwnership(by="person:ines")).then_refused(Rule.NO_OWNER)
    given(RECEIVED, ASSIGNED).when(AcceptOwnership(by="person:ravi")).then_refused(Rule.NOT_THE_OWNER)
    given(RECEIVED, ASSIGNED).when(AcceptOwnership(), actor="person:ravi").then_refused(Rule.NOT_THE_OWNER)
    given(RECEIVED, ASSIGNED).when(AcceptOwnership(), actor="person:ines").then(ACCEPTED)
    given(RECEIVED, ASSIGNED).when(AcceptOwnership(by="person:ines"), actor="person:ravi").then(ACCEPTED)
    given(RECEIVED, ASSIGNED, ACCEPTED).when(AcceptOwnership(by="person:ines")).then()
    given(RECEIVED, ASSIGNED, ACCEPTED).when(AcceptOwnership(by="person:ravi")).then_refused(Rule.NOT_THE_OWNER)


def test_whoever_it_is_handed_to_is_asked_and_until_they_accept_it_is_whose_it_was():
    accepted = OwnershipAccepted(generation=1, owner="person:ravi", taken_from="person:ines")
    given(*READY, HANDED_OVER).when(AcceptOwnership(by="person:ravi")).then(accepted)
    given(*READY, HANDED_OVER).when(AcceptOwnership(by="person:ines")).then_refused(Rule.NOT_THE_OWNER)
    refusal = given(*READY, HANDED_OVER).when(CompleteOwnership()).then_refused(Rule.OWNERSHIP_INCOMPLETE)
    assert refusal.details == {"missing": ["owner"]}
    given(*READY, HANDED_OVER, accepted).when(CompleteOwnership()).then(OWNED.model_copy(update={"owner": "person:ravi"}))
    withdrawn = WITHDRAWN.model_copy(update={"released": (PROMISE_ID,)})
    given(*READY, HANDED_OVER).when(Withdraw(proof=BY_CALL)).then(withdrawn)
    given(*READY, HANDED_OVER, accepted).when(Withdraw(proof=BY_CALL)).then(withdrawn.model_copy(update={"owner": "person:ravi"}))


def test_what_is_handed_over_may_be_handed_on_and_back():
    given(*READY, HANDED_OVER).when(HAND_OVER).then()
    on = HAND_OVER.model_copy(update={"to": "person:mira"})
    given(*READY, HANDED_OVER).when(on).then(HANDED_OVER.model_copy(update={"giver": "person:ravi", "to": "person:mira"}))
    back = HANDED_OVER.model_copy(update={"giver": "person:ravi", "to": "person:ines"})
    given(*READY, HANDED_OVER).when(HAND_OVER.model_copy(update={"to": "person:ines"})).then(back)
    given(*READY, HANDED_OVER, back).when(CompleteOwnership()).then(OWNED)
    given(*READY).when(HAND_OVER.model_copy(update={"to": "person:ines"})).then()


def test_what_nobody_owns_cannot_be_handed_over():
    given(RECEIVED).when(HAND_OVER).then_refused(Rule.NO_OWNER)
    given(RECEIVED, ASSIGNED).when(HAND_OVER).then_refused(Rule.NO_OWNER)


def test_it_may_be_handed_over_and_accepted_until_it_has_ended():
    given(*READY, OWNED).when(HAND_OVER).then(HANDED_OVER)
    given(*READY, OWNED, HANDED_OVER).when(AcceptOwnership(by="person:ravi")).then(
        OwnershipAccepted(generation=1, owner="person:ravi", taken_from="person:ines")
    )
    reopened = given(*READY, OWNED, HANDED_OVER, CONFIRMED, REOPENED)
    assert reopened.when(CompleteOwnership()).then_refused(Rule.OWNERSHIP_INCOMPLETE).details["missing"][0] == "owner"


def test_it_is_owned_once():
    given(*READY).when(CompleteOwnership()).then(OWNED)
    given(*READY, OWNED).when(CompleteOwnership()).then()
    given(*READY, OWNED, HANDED_OVER).when(CompleteOwnership()).then()


def test_what_is_owned_carries_every_open_promise_and_the_one_due_first_is_the_next_step():
    later = TERMS.model_copy(update={"promise_id": UNKNOWN, "due_at": LATER})
    past = (*READY[:-1], PromiseMade(promise=later), PROMISED, REPLIED)
    owned = OWNED.model_copy(update={"promises": (TERMS, later), "replies": (REPLY_ID,)})
    given(*past).when(CompleteOwnership()).then(owned)
    given(*past).when(CompleteOwnership(next_step=UNKNOWN)).then(owned.model_copy(update={"next_step": later}))
    given(*past, KEPT).when(CompleteOwnership()).then(owned.model_copy(update={"next_step": later, "promises": (later,)}))
    refusal = given(*past, KEPT).when(CompleteOwnership(next_step=PROMISE_ID)).then_refused(Rule.OWNERSHIP_INCOMPLETE)
    assert refusal.details == {"missing": ["next_step"]}
    assert "named as the next step" in refusal.sentence


# ---- what is said to and about the customer --------------------------------------------------------------------------------


def test_what_is_so_already_changes_nothing():
    given(RECEIVED).when(AN_ACKNOWLEDGEMENT).then(ACKNOWLEDGED)
    given(RECEIVED, ACKNOWLEDGED).when(AN_ACKNOWLEDGEMENT).then()
    other = AN_ACKNOWLEDGEMENT.model_copy(update={"channel": "letter"})
    given(RECEIVED, ACKNOWLEDGED).when(other).then(AcknowledgementSent(generation=1, **dict(other)))
    given(RECEIVED, NEED).when(A_NEED).then()
    given(RECEIVED, NEED).when(A_NEED.model_copy(update={"expected_by": LATER})).then(NeedStated(**dict(A_NEED) | {"expected_by": LATER}))
    given(RECEIVED, MISUNDERSTOOD).when(A_MISUNDERSTANDING).then()
    given(RECEIVED).when(ClearMisunderstanding()).then()


def test_it_is_classified_by_the_policys_kinds():
    classify = Classify(product="rolls", defect_kind="delivery", severity="high", central=True)
    classified = ComplaintClassified(**dict(classify))
    given(RECEIVED).when(classify).then(classified)
    given(RECEIVED, classified).when(classify).then()
    given(*READY, OWNED).when(classify).then(classified)
    given(RECEIVED).when(classify.model_copy(update={"defect_kind": "karma"})).then_refused(Rule.UNKNOWN_DEFECT_KIND)
    given(*READY, classified).when(CompleteOwnership()).then(OWNED.model_copy(update={"product": "rolls"}))


def test_another_misunderstanding_takes_the_place_of_the_first_and_the_customer_clears_up_the_whole():
    other = A_MISUNDERSTANDING.model_copy(update={"meant": "Neither comes today."})
    raised = MisunderstandingRaised(**dict(other))
    given(RECEIVED, MISUNDERSTOOD).when(other).then(raised)
    cleared = MisunderstandingCleared(now_understood="Money today, loaves on Saturday.", proof=BY_CALL)
    clear = ClearMisunderstanding(now_understood="Money today, loaves on Saturday.", proof=BY_CALL)
    given(RECEIVED, MISUNDERSTOOD, raised).when(clear).then(cleared)
    given(RECEIVED, MISUNDERSTOOD, raised, cleared).when(clear).then()


def test_a_promise_is_made_in_own_with_a_date_ahead_and_once():
    make = MakePromise(what=TERMS.what, due_at=DUE)
    made = PromiseMade(promise=TERMS.model_copy(update={"promise_id": context("complaint").new_id("promise")}))
    given(RECEIVED).when(make).then(made)
    given(RECEIVED, made).when(make).then()
    given(RECEIVED).when(make, now=DUE).then_refused(Rule.PROMISE_ALREADY_DUE)
    many = [PromiseMade(promise=TERMS.model_copy(update={"promise_id": context(version=n).new_id("p")})) for n in range(PROMISES_MAX)]
    given(RECEIVED, *many).when(MakePromise(what="more", due_at=DUE)).then_refused(Rule.TOO_MANY)


def test_a_promise_is_broken_by_the_clock_and_renegotiated_before_it_is_due():
    due = TimerDue(timer=f"{TIMER}{PROMISE_ID}", due_at=DUE)
    given(*READY).when(due, now=DUE).then(BROKEN)
    given(*READY).when(RENEGOTIATE).then(RENEGOTIATED)
    given(*READY, RENEGOTIATED).when(RENEGOTIATE).then()
    given(*READY).when(RENEGOTIATE, now=DUE).then_refused(Rule.PROMISE_PAST_DUE)
    assert STREAM.timers(fold(STREAM, (*READY, RENEGOTIATED))) == {f"{TIMER}{BECOMES.promise_id}": Timer(LATER, 1)}
    given(*READY).when(KeepPromise(promise_id=UNKNOWN, by="g1/intake/3/17")).then_refused(Rule.UNKNOWN_PROMISE)


def test_a_reply_is_recorded_at_any_stage_and_once_where_it_has_a_reference():
    answer = RecordReply(text="Yes, that is so.", ref="mail/77")
    for past in ((RECEIVED,), (*READY, OWNED), (*READY, OWNED, CONFIRMED, LEARNED)):
        (event,) = given(*past).when(answer).decided
        given(*past, event).when(answer, version=9).then()
        proof = Proof(kind="reply", ref=str(event.reply_id))
        if CONFIRMED not in past:
            (withdrawn,) = given(*past, event).when(Withdraw(proof=proof)).decided
            assert (withdrawn.proof, withdrawn.withdrawn_at) == (proof, NOW)


def test_a_reply_that_is_recorded_with_resolution_is_proof_here_too():
    known = Proof(kind="reply", ref=str(UUID(int=21)))
    given(RECEIVED).when(Withdraw(proof=known)).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF)
    noted = ReplyNoted(reply_id=UUID(int=21), generation=1)
    given(RECEIVED).when(NoteReply(reply_id=UUID(int=21), generation=1)).then(noted)
    given(RECEIVED, noted).when(NoteReply(reply_id=UUID(int=21), generation=1)).then()
    given().when(NoteReply(reply_id=UUID(int=21), generation=1)).then()
    given(*READY, OWNED, CONFIRMED, REOPENED).when(NoteReply(reply_id=UUID(int=21), generation=1)).then(noted)
    (withdrawn,) = given(RECEIVED, noted).when(Withdraw(proof=known)).decided
    assert withdrawn.proof == known


@pytest.mark.parametrize(
    ("since", "command"),
    [((), Withdraw()), ((MISUNDERSTOOD,), ClearMisunderstanding()), ((PROMISED,), RENEGOTIATE)],
    ids=["withdrawing", "clearing", "renegotiating"],
)
def test_what_the_customer_said_before_a_reopening_is_no_word_of_theirs_about_what_came_up_since(since, command):
    noted = ReplyNoted(reply_id=UUID(int=21), generation=1)
    past = (*READY, REPLIED, OWNED, CONFIRMED, REOPENED, noted, *since)
    for old in (REPLY_ID, UUID(int=21)):
        asked = command.model_copy(update={"proof": Proof(kind="reply", ref=str(old))})
        assert "opened again" in given(*past).when(asked).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF).sentence
    for new in (
        REPLIED.model_copy(update={"reply_id": UUID(int=22), "generation": 2}),
        noted.model_copy(update={"reply_id": UUID(int=22), "generation": 2}),
    ):
        asked = command.model_copy(update={"proof": Proof(kind="reply", ref=str(UUID(int=22)))})
        (event,) = given(*past, new).when(asked).decided
        assert event.proof == asked.proof


def test_what_is_owned_again_carries_what_the_customer_said_since_it_was_reopened_and_no_reply_is_recorded_twice():
    answer = RecordReply(text="Yes, that is so.", ref="mail/77")
    (first,) = given(*READY).when(answer).decided
    assert first.generation == 1
    past = (*READY, first, OWNED, CONFIRMED, REOPENED)
    given(*past).when(answer, version=9).then()
    (second,) = given(*past).when(answer.model_copy(update={"ref": "mail/78"}), version=9).decided
    assert second.generation == 2
    ready = (AcknowledgementSent(generation=2, **dict(AN_ACKNOWLEDGEMENT)), PROMISED)
    (owned,) = given(*past, second, *ready).when(CompleteOwnership()).decided
    assert owned.replies == (second.reply_id,)


@pytest.mark.parametrize("by", [None, "the call of this noon", "intake/3/17", "g1/sales/3/17", "g1/intake/3"])
def test_a_promise_is_kept_by_an_event_and_not_by_words(by):
    given(*READY).when(KeepPromise(promise_id=PROMISE_ID, by=by)).then_refused(Rule.KEEPING_NEEDS_ITS_EVENT)
