"""What a projection takes in of a topic: each event once, in order, unchanged, and nothing that no relay wrote."""

from dataclasses import replace

import pytest

from shared.machine.head import Stopped
from shared.machine.projecting import Projector
from tests.shared.machine.bench import Bench, stream_in
from tests.shared.machine.tally import Heard

HERE = stream_in(0)


class Feed:
    def pause(self, shard):
        """Nothing is fetched here."""

    resume = pause


@pytest.fixture
def bench():
    return Bench()


def taken(records, seen=None):
    seen = {} if seen is None else seen
    return [one.row.position for one in Projector(0, Feed(), 10, None, ())._heard(records, seen)], seen


def test_each_event_is_taken_in_once_and_the_place_moves_on(bench):
    records = [bench.fact(Heard(number=1), HERE) for _ in range(3)]
    positions, seen = taken(records)
    assert positions == [1, 2, 3]
    assert (seen["resolution"].position, seen["resolution"].hash) == (3, bench.foreign[1])
    again = [replace(record, offset=record.offset + 3) for record in records]
    assert taken([*again, bench.fact(Heard(number=1), HERE)], seen)[0] == [4]


def test_what_no_relay_wrote_is_passed_over(bench):
    first = bench.fact(Heard(number=1), HERE)
    stray = bench.record(b"stray", "resolution.events")
    assert taken([first, stray, bench.fact(Heard(number=2), HERE)])[0] == [1, 2]


def test_a_missing_event_stops_the_shard(bench):
    first, _, third = (bench.fact(Heard(number=1), HERE) for _ in range(3))
    with pytest.raises(Stopped, match="events are missing"):
        taken([first, third])


@pytest.mark.parametrize("changed", [{"body": b'{"number":2}'}, {"actor": "person:other"}, {"version": 7}])
def test_a_changed_event_stops_the_shard(bench, changed):
    with pytest.raises(Stopped, match="was changed"):
        taken([bench.fact(Heard(number=1), HERE, **changed)])
