"""A message counts once, for as long as it is remembered."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic_core import from_json

from shared.contract.envelope import shard_of
from shared.machine.answering import MESSAGES_REMEMBERED
from shared.machine.head import Outcome
from tests.shared.machine.bench import SHARDS, Bench, stream_in
from tests.shared.machine.tally import MIND, Add, Submit

HERE = stream_in(0)


@pytest.fixture
def bench():
    return Bench().began()


def body(row):
    return from_json(row.body)


@pytest.mark.parametrize("same_batch", [True, False])
def test_the_same_message_again_is_answered_with_where_the_answer_stands(bench, same_batch):
    first, again = bench.ask(Add(number=2), HERE), bench.ask(Add(number=2), HERE)
    if same_batch:
        (one, two), (event, repeated) = bench.batch(first, again)
    else:
        (one,), (event,) = bench.batch(first)
        (two,), (repeated,) = bench.batch(again)
    assert (two.outcome, two.refers) == (Outcome.REPEATED, one.entry)
    assert body(repeated) == {"command": Add.type, "entry": one.entry, "first_position": event.position, "events": 1}
    assert bench.total(HERE) == 2


def test_the_same_message_id_with_another_body_is_a_conflict(bench):
    bench.batch(bench.ask(Add(number=2), HERE))
    (row,), (event,) = bench.batch(bench.ask(Add(number=3), HERE))
    assert (row.outcome, body(event)["rule"]) == (Outcome.REFUSED, "message_id_conflict")
    assert bench.total(HERE) == 2


def test_two_senders_may_use_the_same_ids(bench):
    bench.batch(bench.ask(Add(number=2), HERE, source="/one"), bench.ask(Add(number=3), HERE, source="/two"))
    assert bench.total(HERE) == 5


def test_two_upstreams_that_do_not_say_who_they_are_may_use_the_same_ids():
    mind = replace(MIND, source_of=lambda command: f"the {command.ref} shop" if isinstance(command, Submit) else "")
    refs = [str(n) for n in range(100) if shard_of(mind.stream_of(Submit(ref=str(n), number=1)), SHARDS) == 1][:2]
    bench, there = Bench(mind=mind).began(), Bench(1, mind=mind).began()
    records = [bench.submit(Submit(ref=ref, number=2), "1", source="") for ref in refs]
    _, asked = bench.batch(*records)
    rows, _ = there.batch(*(there.passed_on(row) for row in asked))
    assert [row.outcome for row in rows] == [Outcome.ACCEPTED, Outcome.ACCEPTED]
    rows, _ = there.batch(*(there.submit(Submit(ref=ref, number=2), "1", source="") for ref in refs))
    assert [row.outcome for row in rows] == [Outcome.REPEATED, Outcome.REPEATED], "wherever they come in"


def test_messages_without_an_id_each_count(bench):
    bench.batch(bench.ask(Add(number=2), HERE, None), bench.ask(Add(number=2), HERE, None))
    assert bench.total(HERE) == 4


def test_a_message_is_remembered_for_so_long_and_then_counts_anew_for_the_service_and_for_a_replay(bench):
    bench.batch(bench.ask(Add(number=2), HERE))
    met_at = bench.now
    bench.now = met_at + MESSAGES_REMEMBERED - timedelta(seconds=1)  # a batch is a second later
    (row,) = bench.batch(bench.ask(Add(number=2), HERE))[0][-1:]
    assert (bench.now - met_at, row.outcome) == (MESSAGES_REMEMBERED, Outcome.REPEATED)
    for number in (2, 3):
        bench.now = met_at + (number - 1) * (MESSAGES_REMEMBERED + timedelta(minutes=1))
        (row,) = bench.batch(bench.ask(Add(number=number), HERE))[0][-1:]
        assert row.outcome == Outcome.ACCEPTED, "that it was repeated meanwhile does not count, nor does what it said then"
    (row,) = bench.batch(bench.ask(Add(number=3), HERE))[0][-1:]
    assert row.outcome == Outcome.REPEATED
    assert bench.total(HERE) == 7
    bench.replayed()
