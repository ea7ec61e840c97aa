"""An event's id is written in one way and read back from that way only."""

import pytest

from shared.contract.envelope import EventPlace, event_id, event_place


def test_an_events_id_is_read_back_as_it_was_written():
    assert event_place(event_id("g1", "intake", 3, 1024)) == EventPlace("g1", "intake", 3, 1024)


@pytest.mark.parametrize(
    "ident",
    [
        "", "g1/intake/3", "g1/intake/3/1024/5", "g1/intake/03/1024", "g1/intake/3/01024", "g1/sales/3/1024", "1/intake/3/1024",
        "g1/intake/3/-1", "g1/intake/3/1024\n", " g1/intake/3/1024", "g1/intake/٣/1024", "g1/intake/²/1024", "g1/intake/3/" + "9" * 19,
    ],
)  # fmt: skip
def test_any_other_spelling_is_no_events_id(ident):
    assert event_place(ident) is None
