"""How old the oldest record is that waits, and when nothing is done although there is something to do."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from shared.clock import CLOCKS
from shared.machine.progress import HUNG_SECONDS, STALLED_SECONDS, Lag, Progress
from tests.shared.machine.bench import Record

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Hands:
    """A clock that is set by hand."""

    def __init__(self):
        self.at = 0.0

    def now(self):
        return BEGAN + timedelta(seconds=self.at)

    def passed(self):
        return self.at


@pytest.fixture
def hands():
    found = Hands()
    with set_to(found):
        yield found


@contextmanager
def set_to(clocks):
    token = CLOCKS.set(clocks)
    try:
        yield
    finally:
        CLOCKS.reset(token)


def seconds(at: float) -> float:
    return (BEGAN + timedelta(seconds=at)).timestamp()


def appended(at: float, offset: int = 0, topic: str = "t") -> Record:
    return Record(topic, 0, offset, b"", timestamp=int(seconds(at) * 1000))


@pytest.fixture
def progress(hands):
    found = Progress()
    found.begin(["t"])
    return found


def test_where_nothing_waits_there_is_no_lag(progress, hands):
    progress.heard({"t": 5}, seconds(0), {"t": 5})
    hands.at = 100
    assert progress.lags({"t": 5}, [], {}) == {"t": Lag(0, 0.0)}


def test_a_record_in_hand_is_as_old_as_kafka_says(progress, hands):
    hands.at = 12
    assert progress.lags({"t": 5}, [appended(2, 5), appended(9, 6)], {"t": 7}) == {"t": Lag(2, 10.0)}


def test_a_record_that_was_not_fetched_is_younger_than_the_last_time_there_was_none(progress, hands):
    progress.heard({"t": 5}, seconds(30), {"t": 5})
    hands.at = 40
    progress.heard({"t": 8}, seconds(40), {"t": 5})
    assert progress.lags({"t": 5}, [], {}) == {"t": Lag(3, 10.0)}


def test_and_younger_than_the_last_that_was_taken_in(progress, hands):
    progress.heard({"t": 8}, seconds(0), {"t": 5})
    progress.taken([appended(35, 5), appended(36, 6)])
    hands.at = 40
    assert progress.lags({"t": 7}, [], {}) == {"t": Lag(1, 4.0)}


def test_a_sender_s_own_time_says_nothing_of_age(progress, hands):
    sent = Record("t", 0, 5, b"", timestamp=1_000, timestamp_type=0)
    hands.at = 3
    assert progress.lags({"t": 5}, [sent], {"t": 6}) == {"t": Lag(1, 3.0)}


def test_idle_is_not_stalled(progress, hands):
    for at in range(0, 1000, 2):
        hands.at = at
        progress.heard({"t": 5}, seconds(at), {"t": 5})
        assert progress.stalled({"t": 5}, 0) is None


def test_busy_is_not_stalled(progress, hands):
    for at in range(0, 1000, 2):
        hands.at = at
        progress.heard({"t": 10_000}, seconds(at), {"t": at})
        progress.taken([appended(0, at)])
        assert progress.stalled({"t": at}, 500) is None
        assert not progress.hung({"t": at}, 0)


@pytest.mark.parametrize(("fetched", "words"), [(0, "has given it none"), (7, "7 records are in hand")])
def test_who_has_something_to_do_and_does_nothing_is_stalled(progress, hands, fetched, words):
    progress.heard({"t": 9}, seconds(0), {"t": 5})
    hands.at = STALLED_SECONDS
    assert progress.stalled({"t": 5}, fetched) is None
    hands.at = STALLED_SECONDS + 1
    assert words in progress.stalled({"t": 5}, fetched)[1]
    hands.at = HUNG_SECONDS + 1
    assert progress.hung({"t": 5}, fetched) == (not fetched)


def test_timers_that_fire_do_not_hide_that_nothing_is_fetched(progress, hands):
    for at in range(int(STALLED_SECONDS) + 2):
        hands.at = at
        progress.heard({"t": 9}, seconds(at), {"t": 5})
        progress.working_since = hands.at
        progress.working_since = None
    assert progress.stalled({"t": 5}, 0) is not None
