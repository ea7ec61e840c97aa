"""A card is the same whatever order the services' facts come in, and a later generation begins anew."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.projections.card import CARD, ENDED_MAX, Card, with_event
from shared.contract.catalogue import EVENTS
from shared.contract.said import decode
from tests.shared.contract.test_golden import GOLDEN

AT = datetime(2026, 3, 3, 9, tzinfo=UTC)


def golden(type_name, **fields):
    service = type_name.split(".")[0]
    event = decode(EVENTS[f"{type_name}.v1"], (GOLDEN / service / f"{type_name}.v1.json").read_bytes())
    return event.model_copy(update=fields)


def service_of(event):
    """Whose it is; what the machine says is taken for intake's here."""
    service = event.type.split(".")[0]
    return "intake" if service == "machine" else service


def card(*events, start=None):
    found = start or Card()
    for number, event in enumerate(events):
        found = with_event(found, service_of(event), event, AT + timedelta(minutes=number))
    return found


RECEIVED = golden("intake.ComplaintReceived")
OWNED = golden("intake.ComplaintOwned", generation=1)
OPENED = golden("resolution.CaseOpened", generation=1)
FIXED = golden("resolution.FixCompleted", generation=1)
DELIVERED = golden("resolution.Delivered", generation=1)
OBJECTED = golden("resolution.DeliveryObjected", generation=1)
CONFIRMED = golden("resolution.DeliveryConfirmed", generation=1)
LEARNED = golden("rootcause.LearningClosed", generation=1, outcome="corrected")
SETTLED = golden("intake.ComplaintSettled", generation=1, ending="confirmed", outcome="corrected")
WITHDRAWN = golden("intake.ComplaintWithdrawn", generation=1, released=())
OVERRULED = golden("intake.WithdrawalOverruled", generation=1)
REOPENED = golden("intake.ComplaintReopened", generation=2)


PARKED = golden("machine.InputParked")
STILL = PARKED.model_copy(update={"before": "parked"})
WAITS = golden("machine.InputWaiting")
TAKEN_UP = golden("machine.InputTakenUp")


@pytest.mark.parametrize(
    ("events", "parked"),
    [
        ((PARKED, WAITS, WAITS), 3),
        ((PARKED, WAITS, STILL), 2),
        ((PARKED, WAITS, TAKEN_UP, WAITS.model_copy(update={"behind": 0}), TAKEN_UP), 1),
        ((PARKED, TAKEN_UP), 0),
    ],
)
def test_what_was_settled_is_counted_as_parked_no_more(events, parked):
    assert card(RECEIVED, *events).sum_of("parked") == parked


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ((RECEIVED,), "own"),
        ((RECEIVED, OWNED, OPENED), "fix"),
        ((RECEIVED, OWNED, OPENED, FIXED), "deliver"),
        ((RECEIVED, OWNED, OPENED, FIXED, DELIVERED), "deliver"),
        ((RECEIVED, OWNED, OPENED, FIXED, DELIVERED, OBJECTED), "fix"),
        ((RECEIVED, OWNED, OPENED, FIXED, DELIVERED, CONFIRMED), "retrain"),
        ((RECEIVED, OWNED, OPENED, FIXED, DELIVERED, CONFIRMED, LEARNED), "retrain"),
        ((RECEIVED, OWNED, OPENED, FIXED, DELIVERED, CONFIRMED, LEARNED, SETTLED), "settled"),
        ((RECEIVED, WITHDRAWN), "retrain"),
        ((RECEIVED, OWNED, OPENED, FIXED, DELIVERED, WITHDRAWN, OVERRULED), "deliver"),
        ((RECEIVED, OWNED, OPENED, FIXED, DELIVERED, CONFIRMED, LEARNED, SETTLED, REOPENED), "own"),
    ],
)
def test_a_complaint_is_in_the_stage_that_its_facts_say(events, stage):
    assert card(*events).stage == stage


HELD = golden("intake.MisunderstandingRaised"), golden("intake.MisunderstandingCleared")
HELD_LATER = golden("resolution.MisunderstandingRaised"), golden("resolution.MisunderstandingCleared")
IN_ORDER = (
    (RECEIVED, *HELD, golden("intake.PromiseMade"), OWNED, REOPENED, golden("intake.ComplaintOwned", generation=2),
     golden("machine.CommandRefused")),
    (OPENED, golden("resolution.ObligationsTakenOver"), HELD_LATER[0], HELD_LATER[1], FIXED, DELIVERED, CONFIRMED,
     golden("resolution.CaseReopened", generation=2), golden("resolution.DecisionMade", generation=2), HELD_LATER[0]),
    (golden("rootcause.LearningOpened"), LEARNED, golden("rootcause.LearningClosed", generation=2, outcome="no_fault")),
)  # fmt: skip


@given(st.permutations([number for number, events in enumerate(IN_ORDER) for _ in events]))
def test_the_order_between_the_services_does_not_matter(turns):
    """Within a service the order is kept; here they are taken in at every turn that chance gives."""
    waiting = [list(events) for events in IN_ORDER]
    found = Card()
    for turn in turns:
        event = waiting[turn].pop(0)
        found = with_event(found, service_of(event), event, AT + timedelta(minutes=len(waiting[turn])))
    straight = Card()
    for events in IN_ORDER:
        for number, event in enumerate(events):
            straight = with_event(straight, service_of(event), event, AT + timedelta(minutes=len(events) - number - 1))
    assert CARD.dump_json(found) == CARD.dump_json(straight)
    assert (found.stage, found.held, found.own.generation) == ("fix", True, 2)


def test_what_an_older_generation_says_moves_nothing():
    reopened = card(RECEIVED, OWNED, OPENED, FIXED, DELIVERED, CONFIRMED, REOPENED)
    for late in (FIXED, DELIVERED, CONFIRMED, OBJECTED, LEARNED):
        assert card(late, start=reopened).stage == "own"


def test_a_card_that_was_never_received_is_not_listed_yet_and_then_it_is():
    early = card(golden("machine.CommandRefused"))
    assert early.received_at is None
    assert early.own.refusals == 1
    assert card(RECEIVED, start=early).received_at == RECEIVED.received_at


def test_promises_are_counted():
    made = golden("intake.PromiseMade")
    kept = golden("intake.PromiseKept", promise_id=made.promise.promise_id)
    broken = golden("resolution.PromiseBroken", promise_id=made.promise.promise_id)
    assert list(card(RECEIVED, made).promises) == [str(made.promise.promise_id)]
    assert (card(RECEIVED, made, kept).promises, card(RECEIVED, made, kept).own.kept) == ({}, 1)
    owned = golden("intake.ComplaintOwned", promises=(made.promise,))
    taken_over = golden("resolution.ObligationsTakenOver", promises=(made.promise,))
    assert list(card(RECEIVED, made, owned, taken_over).promises) == [str(made.promise.promise_id)], "it has one holder at a time"
    after = card(RECEIVED, made, owned, taken_over, broken)
    assert (after.promises, after.case.broken) == ({}, 1)


MADE = golden("intake.PromiseMade")
TERMS = MADE.promise
PROMISED = str(TERMS.promise_id)
TAKEN_OVER = golden("resolution.ObligationsTakenOver", promises=(TERMS,))


def states(found):
    return {key: one.state for key, one in found.book.items()}


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (golden("resolution.PromiseKept", promise_id=TERMS.promise_id), "kept"),
        (golden("resolution.PromiseBroken", promise_id=TERMS.promise_id), "broken"),
        (golden("resolution.PromiseRenegotiated", promise_id=TERMS.promise_id), "renegotiated"),
        (golden("resolution.CaseClosed", released=(TERMS.promise_id,)), "released"),
    ],
)
def test_a_promise_that_has_ended_is_still_told_and_how_it_ended(event, state):
    found = card(RECEIVED, MADE, OWNED, OPENED, TAKEN_OVER, event)
    assert states(found)[PROMISED] == state
    assert (found.book[PROMISED].what, found.book[PROMISED].due_at, found.book[PROMISED].made_at) == (
        TERMS.what,
        TERMS.due_at,
        TERMS.made_at,
    )
    assert PROMISED not in found.promises


def test_a_promise_that_was_renegotiated_goes_on_under_its_new_terms():
    event = golden("intake.PromiseRenegotiated", promise_id=TERMS.promise_id)
    found = card(RECEIVED, MADE, event)
    assert states(found) == {PROMISED: "renegotiated", str(event.becomes.promise_id): "open"}
    assert found.next_promise_at == event.becomes.due_at


def test_a_promise_is_told_while_it_is_handed_over_and_by_resolution_alone_afterwards():
    assert states(card(RECEIVED, MADE, OWNED)) == {PROMISED: "open"}
    assert states(card(RECEIVED, MADE, OWNED, OPENED)) == {}, "what resolution did not take over is not open"
    many = [
        golden("resolution.PromiseKept", promise_id=TERMS.promise_id),
        *(event for number in range(ENDED_MAX) for event in kept_one(number)),
    ]
    after = card(RECEIVED, MADE, OWNED, OPENED, TAKEN_OVER, *many)
    assert len(after.book) == ENDED_MAX, "the newest"
    assert PROMISED not in after.book
    assert after.case.kept == ENDED_MAX + 1
    assert (after.promises, after.next_promise_at) == ({}, None)


def kept_one(number):
    terms = TERMS.model_copy(update={"promise_id": UUID(int=number)})
    return golden("resolution.PromiseMade", promise=terms), golden("resolution.PromiseKept", promise_id=terms.promise_id)


def test_what_is_open_when_a_complaint_is_reopened_is_open_once():
    found = card(RECEIVED, MADE, OWNED, OPENED, TAKEN_OVER, FIXED, DELIVERED, CONFIRMED, REOPENED)
    assert list(found.promises) == [PROMISED]
    again = golden("intake.PromiseMade", promise=TERMS.model_copy(update={"promise_id": UUID(int=1)}))
    assert set(card(again, start=found).promises) == {PROMISED, str(UUID(int=1))}


def test_new_evidence_opens_the_decision_again_and_an_objection_alone_does_not():
    decided = card(RECEIVED, OWNED, OPENED, golden("resolution.DecisionMade", verdict="uphold"), FIXED, DELIVERED)
    for because, verdict in (("not_as_decided", "uphold"), ("new_evidence", None)):
        found = card(golden("resolution.DeliveryObjected", generation=1, because=because), start=decided)
        assert (found.stage, found.case.verdict) == ("fix", verdict)


@pytest.mark.parametrize("type_name", sorted(EVENTS))
def test_every_event_there_is_can_be_taken_in(type_name):
    before = card(RECEIVED)
    after = card(golden(type_name.removesuffix(".v1")), start=before)
    assert sum(part.events for part in after.parts) == 2
    assert CARD.validate_json(CARD.dump_json(after)) == after
