"""A promise is made, kept, broken and renegotiated alike wherever it is held: each service only brings its own stored events."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.intake.complaint import STORED as OWN
from services.resolution.case import STORED as CASE
from shared.contract.conversation import KeepingAsked, PromiseAsked, RenegotiationAsked
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.values import PromiseTerms, Proof
from shared.obligations.promises import TIMER, booked, broken, open_ids, promised
from shared.obligations.proof import Moment
from tests.spec import NOW, context

DAY = timedelta(days=1)
TERMS = PromiseTerms(promise_id=UUID(int=1), what="A call.", due_at=NOW + DAY, made_at="own")
KEEP = KeepingAsked(promise_id=TERMS.promise_id, by="g1/intake/3/17")
MOVE = RenegotiationAsked(promise_id=TERMS.promise_id, due_at=NOW + 2 * DAY, reason="They asked.", proof=Proof(kind="call", ref="call/1"))
DUE = TimerDue(timer=f"{TIMER}{TERMS.promise_id}", due_at=TERMS.due_at)

stored = pytest.mark.parametrize("stored", [OWN, CASE], ids=["intake", "resolution"])


def asked(book, command, stored):
    return promised(book, command, stored, context(), made_at="own", replies={})


def ends(stored):
    """Each way in which a promise can end here."""
    book = booked({}, stored.made(promise=TERMS), Moment(1))
    return book, [*asked(book, KEEP, stored), *asked(book, MOVE, stored), *broken(book, DUE, stored)]


@stored
def test_what_is_said_is_said_in_the_events_of_the_service(stored):
    (made,) = asked({}, PromiseAsked(what="A call.", due_at=NOW + DAY), stored)
    assert type(made) is stored.made
    _, said = ends(stored)
    assert [type(event) for event in said] == [stored.kept, stored.renegotiated, stored.broken]
    assert {event.type.split(".")[0] for event in (made, *said)} == {"intake" if stored is OWN else "resolution"}


@stored
def test_whatever_ended_a_promise_nothing_ends_it_again(stored):
    book, said = ends(stored)
    for end in said:
        after = booked(book, end, Moment(1))
        assert TERMS.promise_id not in open_ids(after)
        assert broken(after, DUE, stored) == []
        for command, repeated in ((KEEP, stored.kept), (MOVE, stored.renegotiated)):
            found = asked(after, command, stored)
            if isinstance(end, repeated):
                assert found == []
            else:
                assert isinstance(found, Refusal)
                assert found.rule is Rule.PROMISE_ENDED


@stored
@pytest.mark.parametrize("by", [None, "the call of this noon", str(UUID(int=7))], ids=["nothing", "words", "an id that is no event's"])
def test_what_kept_a_promise_is_named_by_its_events_id(stored, by):
    book = booked({}, stored.made(promise=TERMS), Moment(1))
    refusal = asked(book, KEEP.model_copy(update={"by": by}), stored)
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.KEEPING_NEEDS_ITS_EVENT
