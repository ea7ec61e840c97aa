"""No bad clock is believed, and none of them poisons a shard for ever."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.machine.clock import DIFFER_MAX, LEAP_MAX, Clock
from shared.machine.head import LONG_AGO, Stopped

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
A_BIT, TOO_FAR = timedelta(seconds=1), DIFFER_MAX + timedelta(seconds=1)


class Turned(Clock):
    """Its own two clocks are turned by hand."""

    own, passed = NOW, 1000.0

    def _own(self):
        return self.own

    def _passed(self):
        return self.passed

    def sleeps(self, how_long: timedelta, *, counted: bool = True):
        self.own += how_long
        self.passed += how_long.total_seconds() if counted else 0.0


@pytest.fixture
def clock():
    found = Turned()
    found.committed(found.now(LONG_AGO, NOW, None))
    return found


def test_time_is_the_databases_and_never_runs_backwards(clock):
    assert clock.now(NOW, NOW + A_BIT, None) == NOW + A_BIT
    assert clock.now(NOW, NOW - A_BIT, NOW) == NOW


@pytest.mark.parametrize("off", [TOO_FAR, -TOO_FAR])
def test_a_database_and_a_machine_that_differ_are_not_believed(clock, off):
    with pytest.raises(Stopped, match="this machine's"):
        clock.now(LONG_AGO, NOW + off, None)


def test_a_clock_that_was_set_back_is_not_believed(clock):
    clock.own -= TOO_FAR
    with pytest.raises(Stopped, match="decided at"):
        clock.now(NOW, NOW - TOO_FAR, None)


def test_a_record_from_the_future_is_not_believed(clock):
    with pytest.raises(Stopped, match="Kafka's clock"):
        clock.now(NOW, NOW, NOW + TOO_FAR)


def test_a_record_that_waited_long_tells_nothing_of_clocks(clock):
    assert clock.now(NOW, NOW + A_BIT, NOW - timedelta(days=9)) == NOW + A_BIT


def test_time_that_has_passed_is_no_leap_though_nothing_happened(clock):
    clock.sleeps(timedelta(days=3))
    assert clock.now(NOW, clock.own, None) == clock.own


def test_time_that_leapt_is_believed_only_where_kafka_says_the_same(clock):
    clock.sleeps(LEAP_MAX + A_BIT, counted=False)
    for elsewhere in (None, NOW):
        with pytest.raises(Stopped, match="leapt"):
            clock.now(NOW, clock.own, elsewhere)
    assert clock.now(NOW, clock.own, clock.own - A_BIT) == clock.own
