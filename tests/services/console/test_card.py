"""A card is the same whatever order the services' facts come in, and a later generation begins anew."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.projections.card import CARD, Card, with_event
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


@pytest.mark.parametrize("type_name", sorted(EVENTS))
def test_every_event_there_is_can_be_taken_in(type_name):
    before = card(RECEIVED)
    after = card(golden(type_name.removesuffix(".v1")), start=before)
    assert sum(part.events for part in after.parts) == 2
    assert CARD.validate_json(CARD.dump_json(after)) == after
