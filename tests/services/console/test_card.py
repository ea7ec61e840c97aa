"""A card is the same whatever order the services' facts come in, and a later generation begins anew."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from services.console.projections.card import CARD, Card, with_event
from shared.contract.catalogue import EVENTS
from shared.contract.said import decode
from tests.shared.contract.test_golden import GOLDEN

AT = datetime(2026, 3, 3, 9, tzinfo=UTC)


def golden(type_name, **fields):
    service = type_name.split(".")[0]
    event = decode(EVENTS[f"{type_name}.v1"], (GOLDEN / service / f"{type_name}.v1.json").read_bytes())
    return event.model_copy(update=fields)


def card(*events, start=None):
    found = start or Card()
    for number, event in enumerate(events):
        found = with_event(found, event, AT + timedelta(minutes=number))
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


def test_the_order_between_the_services_does_not_matter():
    """Within a service the order is kept; here one stretch of each, in every order of the three."""
    stretches = ((RECEIVED, OWNED), (OPENED, FIXED, DELIVERED, CONFIRMED), (LEARNED,))
    cards = {CARD.dump_json(with_same_time(card(*(event for stretch in order for event in stretch)))) for order in permutations(stretches)}
    assert len(cards) == 1


def with_same_time(found):
    return CARD.validate_python({**{name: getattr(found, name) for name in Card.__dataclass_fields__}, "updated_at": AT})


def test_what_an_older_generation_says_moves_nothing():
    reopened = card(RECEIVED, OWNED, OPENED, FIXED, DELIVERED, CONFIRMED, REOPENED)
    for late in (FIXED, DELIVERED, CONFIRMED, OBJECTED, LEARNED):
        assert card(late, start=reopened).stage == "own"


def test_a_card_that_was_never_received_is_not_listed_yet_and_then_it_is():
    early = card(golden("machine.CommandRefused"))
    assert early.received_at is None
    assert early.refusals == 1
    assert card(RECEIVED, start=early).received_at == RECEIVED.received_at


def test_promises_are_counted():
    made = golden("intake.PromiseMade")
    kept = golden("intake.PromiseKept", promise_id=made.promise.promise_id)
    broken = golden("resolution.PromiseBroken", promise_id=made.promise.promise_id)
    assert list(card(RECEIVED, made).promises) == [str(made.promise.promise_id)]
    assert (card(RECEIVED, made, kept).promises, card(RECEIVED, made, kept).kept) == ({}, 1)
    assert (card(RECEIVED, made, broken).promises, card(RECEIVED, made, broken).broken) == ({}, 1)


@pytest.mark.parametrize("type_name", sorted(EVENTS))
def test_every_event_there_is_can_be_taken_in(type_name):
    before = card(RECEIVED)
    after = card(golden(type_name.removesuffix(".v1")), start=before)
    assert after.events == before.events + 1
    assert CARD.validate_json(CARD.dump_json(after)) == after
