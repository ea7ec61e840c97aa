from uuid import UUID

import pytest

from services.resolution.case import OBJECTION, STREAM
from shared.contract.refusals import Refusal, Rule
from shared.contract.resolution import (
    AnswerOffer,
    CaseOpened,
    CaseReopened,
    ChangeOwner,
    CloseWithdrawn,
    DecisionMade,
    ExplanationGiven,
    KeepPromise,
    MakeDecision,
    NoteReply,
    ObjectToDelivery,
    ObligationsTakenOver,
    OwnerChanged,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    RecordReply,
    RenegotiatePromise,
    ReplyNoted,
    ReplyReceived,
    StaleFactIgnored,
    SuspendCase,
)
from shared.contract.said import decode
from shared.contract.values import Proof
from shared.machine.mind import Timer
from shared.obligations.promises import PROMISES_MAX
from tests.services.resolution.said import (
    A_CLEARING,
    A_CONFIRMATION,
    A_DECISION,
    A_DECLINE,
    A_DELIVERY,
    A_MISUNDERSTANDING,
    A_PROMISE,
    A_START,
    ACTOR,
    AGAIN,
    AN_EXPLANATION,
    AN_OBJECTION,
    AN_OPENING,
    ASKED,
    ASSUMED,
    BROKEN,
    CALL,
    CLEARED,
    COMPLETED,
    CONFIRMED,
    DAY,
    DECIDED,
    DECLINED,
    DELIVERED,
    END_OF_WINDOW,
    EVIDENT,
    FIXED,
    IN_HAND,
    KEEPS_IT,
    KEPT,
    LATER,
    LOAVES,
    MOVES,
    NOW,
    OBJECTED,
    OFFERED,
    OPEN,
    OPENED,
    OTHER_OWNER,
    OWNED,
    RAISED,
    RENEGOTIATED,
    RENEGOTIATES_IT,
    REOPENED,
    REPLY,
    STARTED,
    STEP,
    SUSPENDED,
    TAKEN_OVER,
    WINDOW,
    WITHDRAWN,
    after,
    due,
    given,
    named,
)

CASES = pytest.mark.parametrize


# ---- the invariants ----------------------------------------------------------------------------------------------------------


@CASES("command", ASKED, ids=named)
@CASES("past", [(), (OTHER_OWNER,), (SUSPENDED,)], ids=["nothing", "a transfer", "a reopening"])
def test_no_fix_before_ownership(past, command):
    given(*past).when(command).then_refused(Rule.NO_FIX_BEFORE_OWNERSHIP)


@CASES("past", [OPEN, (*OPEN, DECIDED), (*OPEN, DECIDED, STARTED), (*IN_HAND, OBJECTED), (*FIXED, DELIVERED, EVIDENT)])
def test_no_delivery_before_a_fix(past):
    given(*past).when(A_DELIVERY).then_refused(Rule.NO_DELIVERY_BEFORE_FIX)


@CASES("past", [OPEN, FIXED, (*IN_HAND, OBJECTED)])
@CASES("command", [A_CONFIRMATION, ObjectToDelivery(reason="It is too late.")], ids=named)
def test_nothing_is_confirmed_or_objected_to_before_it_is_delivered(past, command):
    given(*past).when(command).then_refused(Rule.NOTHING_DELIVERED)


@CASES("past", [OPEN, FIXED, (*FIXED, RAISED), (*IN_HAND, OBJECTED), (*IN_HAND, OBJECTED, STARTED, COMPLETED), (*IN_HAND, RAISED)])
def test_no_explanation_before_delivered_or_while_an_objection_is_open(past):
    given(*past).when(AN_EXPLANATION).then_refused(Rule.NO_EXCUSE_BEFORE_DELIVERY)


@CASES("past", [IN_HAND, (*IN_HAND, CONFIRMED), (*IN_HAND, ASSUMED), (*IN_HAND, OBJECTED, STARTED, COMPLETED, DELIVERED)])
def test_an_explanation_is_given_once_the_customer_has_it_in_hand(past):
    explained = ExplanationGiven(generation=1, text=AN_EXPLANATION.text, channel="phone")
    given(*past).when(AN_EXPLANATION).then(explained)
    given(*past, explained).when(AN_EXPLANATION).then()


@CASES("command", MOVES, ids=named)
@CASES("past", [OPEN, (*OPEN, DECIDED), (*OPEN, DECLINED, OFFERED), FIXED, IN_HAND], ids=len)
def test_no_stage_moves_by_command_while_a_misunderstanding_is_raised(past, command):
    given(*past, RAISED).when(command).then_refused(Rule.MISUNDERSTANDING_FIRST)


def test_no_stage_moves_by_timer_while_a_misunderstanding_is_raised():
    assert OBJECTION in STREAM.timers(after(*IN_HAND))
    assert OBJECTION not in STREAM.timers(after(*IN_HAND, RAISED))
    given(*IN_HAND, RAISED).when(END_OF_WINDOW, now=NOW + WINDOW).then()


def test_the_time_to_object_starts_again_when_the_misunderstanding_is_cleared():
    later = NOW + 3 * DAY
    cleared = CLEARED.model_copy(update={"objection_until": later + WINDOW})
    given(*IN_HAND, RAISED).when(A_CLEARING, now=later).then(cleared)
    assert STREAM.timers(after(*IN_HAND, RAISED, cleared))[OBJECTION] == Timer(later + WINDOW, 1)
    given(*IN_HAND, RAISED, cleared).when(END_OF_WINDOW, now=NOW + WINDOW).then()
    given(*IN_HAND, RAISED, cleared).when(AN_OBJECTION, now=NOW + WINDOW).then(OBJECTED)


def test_contact_goes_on_while_a_misunderstanding_is_raised_and_promises_break():
    for command in (command for command in ASKED if command not in (*MOVES, AN_EXPLANATION, A_MISUNDERSTANDING)):
        assert given(*OPEN, RAISED).when(command).decided, command
        assert not isinstance(given(*OPEN, RAISED).when(command).decided, Refusal), command
    given(*OPEN, RAISED).when(due(STEP), now=STEP.due_at).then(PromiseBroken(promise_id=STEP.promise_id, due_at=STEP.due_at))


@CASES("given_up", [{"counter_offer": None}, {"no_alternative": "The harvest failed."}], ids=["neither", "both"])
def test_a_decline_carries_a_counter_offer_or_the_reason_why_there_is_no_alternative(given_up):
    given(*OPEN).when(A_DECLINE.model_copy(update=given_up)).then_refused(Rule.DECLINE_NEEDS_ALTERNATIVE)


def test_a_blank_reason_for_no_alternative_is_none():
    blank = MakeDecision.model_validate({"verdict": "decline", "reasons": ("No flour.",), "no_alternative": " \n"})
    given(*OPEN).when(blank).then_refused(Rule.DECLINE_NEEDS_ALTERNATIVE)


@CASES("verdict", ["uphold", "uphold_in_part", "decline", "clarified"])
def test_a_decision_carries_its_reasons(verdict):
    given(*OPEN).when(MakeDecision(verdict=verdict, no_alternative="No flour.")).then_refused(Rule.DECISION_NEEDS_REASONS)


@CASES("past", [(*OPEN, DECIDED), FIXED, IN_HAND, (*IN_HAND, OBJECTED)])
def test_a_decision_is_overturned_only_with_new_evidence(past):
    other = MakeDecision(verdict="uphold_in_part", reasons=("The note is signed for 90.",))
    given(*past).when(other).then_refused(Rule.DECISION_STANDS)
    made = DecisionMade(generation=1, verdict="uphold_in_part", reasons=other.reasons, decided_by=ACTOR)
    given(*IN_HAND, EVIDENT).when(other).then(made)
    given(*IN_HAND, SUSPENDED, REOPENED).when(other).then(made.model_copy(update={"generation": 2}))


@CASES(
    ("past", "command"),
    [
        (IN_HAND, A_CONFIRMATION),
        ((*OPEN, DECLINED, OFFERED), AnswerOffer(answer="accepted")),
        ((*OPEN, DECLINED, OFFERED), AnswerOffer(answer="refused")),
        (OPEN, RenegotiatePromise(promise_id=STEP.promise_id, due_at=NOW + 3 * DAY, reason="They are away.")),
        ((*OPEN, RAISED), A_CLEARING),
    ],
)
def test_what_is_said_to_be_the_customers_word_names_what_shows_it(past, command):
    unproven = command.model_copy(update={"proof": None})
    given(*past).when(unproven).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF)
    unknown = command.model_copy(update={"proof": Proof(kind="reply", ref=str(UUID(int=99)))})
    given(*past).when(unknown).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF)
    said_since = ReplyReceived(reply_id=UUID(int=12), generation=1, text="So it is.", received_at=NOW)
    for proof in (CALL, Proof(kind="reply", ref=str(UUID(int=12))), Proof(kind="token", ref="t-1")):
        (event,) = given(*past, said_since).when(command.model_copy(update={"proof": proof})).decided
        assert event.proof == proof


@CASES(
    ("since", "command"),
    [
        ((DECIDED, STARTED, COMPLETED, DELIVERED), A_CONFIRMATION),
        ((DECIDED, STARTED, COMPLETED, DELIVERED, OBJECTED, STARTED, COMPLETED, DELIVERED), A_CONFIRMATION),
        ((DECIDED, STARTED, COMPLETED, DELIVERED, RAISED, CLEARED), A_CONFIRMATION),
        ((OFFERED,), AnswerOffer(answer="accepted")),
        ((OFFERED,), AnswerOffer(answer="refused")),
        ((RAISED,), A_CLEARING),
        ((PromiseMade(promise=LATER),), RENEGOTIATES_IT.model_copy(update={"promise_id": LATER.promise_id, "due_at": NOW + 4 * DAY})),
    ],
    ids=[
        "confirming",
        "confirming after an objection",
        "confirming what was misunderstood",
        "accepting",
        "refusing",
        "clearing",
        "renegotiating",
    ],
)
def test_what_the_customer_said_is_no_word_of_theirs_about_what_came_up_after(since, command):
    """Or "No, this is not it" would confirm the next delivery."""

    def heard(number):
        return ReplyReceived(reply_id=UUID(int=number), text="No.", received_at=NOW, generation=1)

    for n in range(len(since) - (CLEARED in since)):  # what cleared it up may say as well that all is there
        said = (*OPEN, *since[:n], heard(12), *since[n:])
        for old in (REPLY, UUID(int=12)):
            asked = command.model_copy(update={"proof": Proof(kind="reply", ref=str(old))})
            assert "came before" in given(*said).when(asked).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF).sentence
        asked = command.model_copy(update={"proof": Proof(kind="reply", ref=str(UUID(int=13)))})
        (event,) = given(*said, heard(13)).when(asked).decided
        assert event.proof == asked.proof


def test_what_intake_heard_before_and_tells_of_after_is_let_pass():
    told = ReplyNoted(reply_id=UUID(int=12), generation=1)
    proof = Proof(kind="reply", ref=str(UUID(int=12)))
    assert not isinstance(given(*IN_HAND, told).when(A_CONFIRMATION.model_copy(update={"proof": proof})).decided, Refusal)


def test_a_promise_is_kept_by_the_event_that_is_named():
    given(*OPEN).when(KeepPromise(promise_id=STEP.promise_id)).then_refused(Rule.KEEPING_NEEDS_ITS_EVENT)
    given(*OPEN).when(KeepPromise(promise_id=STEP.promise_id, by="g1/resolution/3/17")).then(
        PromiseKept(promise_id=STEP.promise_id, by="g1/resolution/3/17")
    )


@CASES("end", [KEPT, BROKEN, RENEGOTIATED, WITHDRAWN], ids=named)
def test_a_promise_is_kept_broken_or_renegotiated_exactly_once(end):
    past = (*OPEN, end)
    for command in (KEEPS_IT, RENEGOTIATES_IT):
        if (command, end) in ((KEEPS_IT, KEPT), (RENEGOTIATES_IT, RENEGOTIATED)):
            given(*past).when(command).then()
        else:
            given(*past).when(command).then_refused(Rule.PROMISE_ENDED)
    given(*past).when(due(STEP), now=STEP.due_at).then()
    assert f"promise/{STEP.promise_id}" not in STREAM.timers(after(*past))


@CASES("command", [END_OF_WINDOW, due(STEP), due(LOAVES)], ids=["objection", "step", "loaves"])
def test_timers_of_an_older_generation_do_nothing(command):
    given(*IN_HAND, SUSPENDED).when(command, now=NOW + WINDOW).then()
    given(*IN_HAND, SUSPENDED, REOPENED).when(command, now=NOW + WINDOW).then()
    assert OBJECTION not in STREAM.timers(after(*IN_HAND, SUSPENDED))
    assert {timer.generation for timer in STREAM.timers(after(*IN_HAND, SUSPENDED)).values()} == {2}


# ---- opening -----------------------------------------------------------------------------------------------------------------


def test_what_is_owned_opens_a_case_which_takes_over_what_was_promised():
    given().when(AN_OPENING).then(OPENED, TAKEN_OVER)
    given(*OPEN).when(AN_OPENING).then()
    given(*OPEN).when(AN_OPENING.model_copy(update={"owner": "person:ravi"})).then()
    assert STREAM.timers(after(*OPEN)) == {
        f"promise/{STEP.promise_id}": Timer(STEP.due_at, 1),
        f"promise/{LOAVES.promise_id}": Timer(LOAVES.due_at, 1),
    }


def test_a_reopened_case_waits_until_it_is_owned_again_and_begins_anew():
    given(*IN_HAND).when(SuspendCase(generation=2)).then(SUSPENDED)
    given(*IN_HAND, SUSPENDED).when(SuspendCase(generation=2)).then()
    step = STEP.model_copy(update={"promise_id": UUID(int=5)})
    opening = AN_OPENING.model_copy(update=AGAIN | {"next_step": step, "promises": (step,)})
    reopened = CaseReopened(**AGAIN | {"next_step": step})
    given(*IN_HAND, SUSPENDED).when(opening).then(reopened, ObligationsTakenOver(generation=2, promises=(step,), replies=(REPLY,)))
    given(*IN_HAND, SUSPENDED, reopened).when(A_START).then_refused(Rule.DECIDE_FIRST)
    given(*IN_HAND, SUSPENDED, reopened).when(A_DELIVERY).then_refused(Rule.NO_DELIVERY_BEFORE_FIX)
    given(*IN_HAND, SUSPENDED, reopened).when(AN_EXPLANATION).then_refused(Rule.NO_EXCUSE_BEFORE_DELIVERY)


def test_an_ownership_that_overtakes_its_reopening_is_not_held_up_by_it():
    opening = AN_OPENING.model_copy(update=AGAIN | {"promises": ()})
    past = (*OPEN, RAISED, OTHER_OWNER)
    given(*past).when(opening).then(REOPENED, ObligationsTakenOver(generation=2, promises=(), replies=(REPLY,)))
    given(*past, REOPENED).when(SuspendCase(generation=2)).then()
    given(*past, REOPENED).when(A_DECISION).then(DECIDED.model_copy(update={"generation": 2}))


def test_one_that_was_reopened_before_it_was_ever_owned_is_opened():
    opening = AN_OPENING.model_copy(update=AGAIN)
    given(SUSPENDED).when(opening).then(CaseOpened(**AGAIN), TAKEN_OVER.model_copy(update={"generation": 2}))
    given(WITHDRAWN.model_copy(update={"released": ()}), SUSPENDED).when(opening).then(
        CaseOpened(**AGAIN), TAKEN_OVER.model_copy(update={"generation": 2})
    )


@CASES("command", ASKED, ids=named)
def test_a_reopened_case_waits_but_for_promises_and_the_customers_voice(command):
    asked = given(*IN_HAND, SUSPENDED).when(command)
    if isinstance(command, KeepPromise | RenegotiatePromise | RecordReply):
        assert asked.decided
        assert not isinstance(asked.decided, Refusal)
    else:
        assert "reopened" in asked.then_refused(Rule.NO_FIX_BEFORE_OWNERSHIP).sentence


def test_what_was_promised_before_a_reopening_is_still_promised_and_breaks():
    past = (*OPEN, KEPT, SUSPENDED, REOPENED)
    assert STREAM.timers(after(*past)) == {f"promise/{LOAVES.promise_id}": Timer(LOAVES.due_at, 2)}
    given(*past).when(due(LOAVES, 2), now=LOAVES.due_at).then(PromiseBroken(promise_id=LOAVES.promise_id, due_at=LOAVES.due_at))


def test_what_ended_before_a_reopening_does_not_count_against_new_promises():
    """Those that are open do: there is a limit to what one case can hold."""
    many = [STEP.model_copy(update={"promise_id": UUID(int=n)}) for n in range(1, PROMISES_MAX + 1)]
    full = (OPENED, TAKEN_OVER.model_copy(update={"promises": tuple(many)}))
    ended = [PromiseKept(promise_id=one.promise_id, by="g1/resolution/3/17") for one in many]
    given(*full, *ended).when(A_PROMISE).then_refused(Rule.TOO_MANY)
    (made,) = given(*full, *ended[1:], SUSPENDED, REOPENED).when(A_PROMISE).decided
    assert isinstance(made, PromiseMade)
    given(*full, SUSPENDED, REOPENED).when(A_PROMISE).then_refused(Rule.TOO_MANY)


def test_however_many_promises_are_open_it_can_be_delivered_and_taken_back():
    past = []
    for generation in range(1, 13):
        many = tuple(STEP.model_copy(update={"promise_id": UUID(int=1000 * generation + n)}) for n in range(PROMISES_MAX))
        past += [OPENED.model_copy(update={"generation": generation}), ObligationsTakenOver(generation=generation, promises=many)]
    past += [event.model_copy(update={"generation": generation}) for event in (DECIDED, STARTED, COMPLETED)]
    (delivered,) = given(*past).when(A_DELIVERY.model_copy(update={"keeps": ()})).decided
    assert len(delivered.still_promised) == 12 * PROMISES_MAX
    (closed,) = given(*past).when(CloseWithdrawn(generation=generation)).decided
    assert len(closed.released) == 12 * PROMISES_MAX
    for event in (delivered, closed):
        assert decode(type(event), event.to_bytes()) == event


def test_what_the_customer_said_before_a_reopening_still_shows_their_word_about_what_was_promised_then():
    past = (*OPEN, ReplyReceived(reply_id=UUID(int=12), generation=1, text="They are away.", received_at=NOW), SUSPENDED, REOPENED)
    for known in (REPLY, UUID(int=12)):
        proof = Proof(kind="reply", ref=str(known))
        assert not isinstance(given(*past).when(RENEGOTIATES_IT.model_copy(update={"proof": proof})).decided, Refusal)


STEP_TOO = STEP.model_copy(update={"promise_id": UUID(int=6)})
AGAIN_TAKEN_OVER = ObligationsTakenOver(generation=2, promises=(STEP_TOO,))


@CASES(
    ("since", "command"),
    [
        ([event.model_copy(update={"generation": 2}) for event in (DECIDED, STARTED, COMPLETED, DELIVERED)], A_CONFIRMATION),
        ((OFFERED,), AnswerOffer(answer="accepted")),
        ((OFFERED,), AnswerOffer(answer="refused")),
        ((RAISED.model_copy(update={"generation": 2}),), A_CLEARING),
        ((), RENEGOTIATES_IT.model_copy(update={"promise_id": STEP_TOO.promise_id})),
    ],
    ids=["confirming", "accepting", "refusing", "clearing", "renegotiating"],
)
def test_what_the_customer_said_before_a_reopening_is_no_word_of_theirs_about_what_came_up_since(since, command):
    """Or the answer to one delivery would confirm another."""
    early = ReplyReceived(reply_id=UUID(int=12), text="It is all there.", received_at=NOW, generation=1)
    past = (*OPEN, early, SUSPENDED, REOPENED, AGAIN_TAKEN_OVER, *since)
    for old in (REPLY, UUID(int=12)):
        asked = command.model_copy(update={"proof": Proof(kind="reply", ref=str(old))})
        assert "opened again" in given(*past).when(asked).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF).sentence
    late = early.model_copy(update={"reply_id": UUID(int=13), "generation": 2})
    asked = command.model_copy(update={"proof": Proof(kind="reply", ref=str(late.reply_id))})
    (event,) = given(*past, late).when(asked).decided
    assert event.proof == asked.proof
    assert getattr(event, "generation", 2) == 2


def test_a_reply_that_intake_tells_of_late_is_of_the_generation_in_which_it_was_received():
    asked = A_CLEARING.model_copy(update={"proof": Proof(kind="reply", ref=str(UUID(int=21)))})
    for told in ((SUSPENDED, REOPENED), (SUSPENDED,)):
        (noted,) = given(*OPEN, *told).when(NoteReply(reply_id=UUID(int=21), generation=1)).decided
        assert noted == ReplyNoted(reply_id=UUID(int=21), generation=1)
    given(*OPEN, SUSPENDED, REOPENED, noted, RAISED).when(asked).then_refused(Rule.CUSTOMERS_WORD_NEEDS_PROOF)


def test_what_it_is_about_is_remembered_where_a_later_ownership_does_not_say():
    unsaid = REOPENED.model_copy(update={"product": None})
    again = [event.model_copy(update={"generation": 2}) for event in (DECIDED, STARTED, COMPLETED)]
    (delivered, *_) = given(*OPEN, unsaid, *again).when(A_DELIVERY).decided
    assert delivered.product == "bread"


def test_a_promise_that_we_have_is_not_taken_over_again():
    given(*OPEN, BROKEN).when(AN_OPENING.model_copy(update=AGAIN)).then(
        REOPENED, ObligationsTakenOver(generation=2, promises=(), replies=(REPLY,))
    )


@CASES(
    ("command", "fact"),
    [
        (AN_OPENING, "owned"),
        (SuspendCase(generation=1), "reopened"),
        (CloseWithdrawn(generation=1), "withdrawn"),
        (ChangeOwner(generation=1, to="person:ravi"), "transferred"),
    ],
)
def test_a_fact_of_an_older_generation_has_no_effect(command, fact):
    for past in ((SUSPENDED,), (*IN_HAND, SUSPENDED), (*OPEN, SUSPENDED, REOPENED)):
        given(*past).when(command).then(StaleFactIgnored(fact=fact, generation=1, current=2))


# ---- the owner ---------------------------------------------------------------------------------------------------------------


def test_the_last_transfer_names_the_owner_whatever_the_ownership_says():
    given().when(ChangeOwner(generation=1, to="person:ravi")).then(OTHER_OWNER)
    given(OTHER_OWNER).when(ChangeOwner(generation=1, to="person:ravi")).then()
    given(OTHER_OWNER).when(AN_OPENING).then(CaseOpened(**OWNED | {"owner": "person:ravi"}), TAKEN_OVER)
    given(OTHER_OWNER, *OPEN, SUSPENDED).when(AN_OPENING.model_copy(update=AGAIN)).then(
        REOPENED, ObligationsTakenOver(generation=2, promises=(), replies=(REPLY,))
    )


def test_a_transfer_that_overtakes_the_reopening_names_the_owner_of_the_next_ownership():
    ahead = OwnerChanged(generation=2, to="person:kim")
    (reopened, _) = given(*OPEN, ahead, SUSPENDED).when(AN_OPENING.model_copy(update=AGAIN)).decided
    assert reopened.owner == "person:kim"


def test_a_transfer_that_was_overtaken_by_a_later_one_has_no_effect():
    ahead = OwnerChanged(generation=3, to="person:kim")
    given(*OPEN, ahead).when(ChangeOwner(generation=2, to="person:ravi")).then(
        StaleFactIgnored(fact="transferred", generation=2, current=3)
    )


def test_a_delivery_names_its_owner():
    (delivered, _) = given(*OPEN, OTHER_OWNER, DECIDED, STARTED, COMPLETED).when(A_DELIVERY).decided
    assert delivered.owner == "person:ravi"
