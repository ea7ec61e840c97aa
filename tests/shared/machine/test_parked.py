"""Parked inputs, settled: decided again or given up, with all that waited behind them, and the same by a replay."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic_core import from_json

from shared.contract.machine import DiscardParked, RetryParked, TimerDue
from shared.machine import deciding
from shared.machine.fault import ProofFailed
from shared.machine.head import LONG_AGO, Outcome
from shared.machine.held import AGAIN
from shared.machine.mind import Timer
from tests.shared.machine import tally
from tests.shared.machine.bench import Bench, stream_in
from tests.shared.machine.tally import MIND, TALLY, Add, Heard, Submit, Unheard, headers

HERE, ALSO_HERE, ELSEWHERE = stream_in(0), stream_in(0, 1), stream_in(1)
HOW = "the fault is mended"


def decide(state, command, context):
    return [tally.Added(number=13)] if command == Add(number=13) else tally.decide(state, command, context)


MENDED = replace(MIND, streams={"tally": replace(TALLY, decide=decide)})


@pytest.fixture
def bench():
    """Every history here must come out the same when it is replayed."""
    found = Bench().began()
    yield found
    found.replayed()


def body(row):
    return from_json(row.body)


def types(rows):
    return [row.type.split(".")[1] for row in rows]


def ask(bench, command, message_id="op", actor="person:ines"):
    return bench.record(command.to_bytes(), headers=headers(command, None, message_id, actor=actor))


def retry(bench, entry, corrected=None, **more):
    return ask(bench, RetryParked(shard=bench.shard, entry=entry, reason=HOW, body=corrected), **more)


def discard(bench, entry, **more):
    return ask(bench, DiscardParked(shard=bench.shard, entry=entry, reason=HOW), **more)


def parked(bench, number=13, stream=HERE, message_id="bad"):
    """The entry of an input on which the mind fails."""
    (row,), _ = bench.batch(bench.ask(Add(number=number), stream, message_id))
    assert row.outcome == Outcome.PARKED
    return row.entry


def waiting(bench, *numbers, stream=HERE):
    rows, _ = bench.batch(*(bench.ask(Add(number=number), stream, f"w{n}") for n, number in enumerate(numbers)))
    assert {row.outcome for row in rows} == {Outcome.WAITING}
    return [row.entry for row in rows]


def unreadable(bench, value=b"{", stream=HERE, message_id="u"):
    (row,), _ = bench.batch(replace(bench.ask(Add(number=1), stream, message_id), value=value))
    assert row.outcome == Outcome.PARKED
    return row.entry


def live(bench, stream=HERE):
    return bench.known.streams["tally", stream]


# ---- again -----------------------------------------------------------------------------------------------------------------


def test_retried_after_the_fault_was_mended_it_is_decided_and_who_sent_it_is_answered(bench):
    entry = parked(bench)
    bench.mind = MENDED
    (asked, again), (retried, added, taken_up) = bench.batch(retry(bench, entry))
    assert (asked.outcome, asked.refers, retried.type) == (Outcome.ACCEPTED, entry, "machine.ParkedRetried.v1")
    assert (retried.message_id, retried.actor, body(retried)) == ("op", "person:ines", {"entry": entry, "reason": HOW, "corrected": False})
    assert retried.correlation == HERE, "the complaint's story tells of it"
    assert (again.again, again.outcome, again.refers, again.message_id) == (True, Outcome.ACCEPTED, entry, "bad")
    assert (again.body, again.headers, again.key) == (None, b"", None), "what was received stands where it was received"
    assert (added.type, added.message_id, added.entry) == ("intake.Added.v1", "bad", again.entry)
    assert (taken_up.stream, taken_up.correlation, body(taken_up)) == (HERE, HERE, {"entry": entry, "before": "parked"})
    assert (bench.total(HERE), live(bench).parked) == (13, 0)


def test_those_that_waited_are_decided_after_it_in_order(bench):
    entry = parked(bench)
    waited = waiting(bench, 1, -1, 2)
    bench.mind = MENDED
    bench.batch(retry(bench, entry))
    assert bench.last.timers(live(bench)) == {AGAIN: Timer(LONG_AGO, 3)}, "who has the shard goes on with them"
    rows, facts = bench.batch(go_on=[HERE])
    assert [(row.refers, row.outcome) for row in rows] == list(zip(waited, ["accepted", "refused", "accepted"], strict=True))
    assert [(row.message_id, row.type.split(".")[1]) for row in facts] == [
        ("w0", "Added"), ("w0", "InputTakenUp"), ("w1", "CommandRefused"), ("w1", "InputTakenUp"), ("w2", "Added"), ("w2", "InputTakenUp"),
    ]  # fmt: skip
    assert (bench.total(HERE), live(bench).waiting, bench.last.timers(live(bench))) == (16, 0, {})
    (row,), _ = bench.batch(bench.ask(Add(number=1), HERE, "later"))
    assert row.outcome == Outcome.ACCEPTED


def test_what_comes_while_those_that_waited_are_decided_waits_behind_them(bench):
    entry = parked(bench)
    waiting(bench, 1, 2)
    bench.mind = MENDED
    bench.batch(retry(bench, entry))
    rows, (_, _, waits) = bench.batch(bench.ask(Add(number=3), HERE, "later"), go_on=[HERE], most=1)
    assert [row.outcome for row in rows] == [Outcome.ACCEPTED, Outcome.WAITING]
    assert body(waits)["behind"] == 0
    rows, _ = bench.batch(go_on=[HERE])
    assert [row.message_id for row in rows] == ["w1", "later"]
    assert bench.total(HERE) == 19


def test_what_is_ignored_beside_one_that_is_settled_does_not_come_between(bench):
    (row,), _ = bench.batch(bench.fact(Heard(number=13), HERE))
    assert row.outcome == Outcome.PARKED
    rows, _ = bench.batch(bench.fact(Unheard(), HERE), discard(bench, row.entry))
    assert [(one.outcome, bool(one.again)) for one in rows] == [("accepted", False), ("refused", True), ("ignored", False)]


def test_a_retry_may_carry_another_body_and_both_are_in_the_journal(bench):
    entry = parked(bench)
    (asked, again), (retried, _, _) = bench.batch(retry(bench, entry, '{"number":5}'))
    assert (again.outcome, again.body, body(asked)["body"]) == (Outcome.ACCEPTED, b'{"number":5}', '{"number":5}')
    assert body(retried)["corrected"]
    assert bench.journal[entry - 1].body == b'{"number":13}'
    assert bench.total(HERE) == 5


def test_on_what_the_mind_fails_again_stays_parked_under_its_entry_and_the_rest_wait_on(bench):
    entry = parked(bench)
    waiting(bench, 1)
    (_, again), (_, still) = bench.batch(retry(bench, entry))
    assert (again.outcome, still.type, body(still)["entry"], body(still)["before"]) == ("parked", "machine.InputParked.v1", entry, "parked")
    assert (live(bench).parked, live(bench).waiting) == (entry, 1)
    assert bench.last.timers(live(bench)) == {}
    bench.mind = MENDED
    bench.batch(retry(bench, entry, message_id="op2"))
    bench.batch(go_on=[HERE])
    assert bench.total(HERE) == 14


def test_where_one_that_waited_fails_the_rest_wait_on_behind_it(bench):
    entry = parked(bench)
    first, second, third = waiting(bench, 1, 13, 2)
    bench.batch(retry(bench, entry, '{"number":5}'))
    rows, facts = bench.batch(go_on=[HERE])
    assert [(row.refers, row.outcome) for row in rows] == [(first, Outcome.ACCEPTED), (second, Outcome.PARKED)]
    assert (body(facts[-1])["entry"], body(facts[-1])["before"]) == (second, "waiting")
    assert (live(bench).parked, live(bench).waiting, bench.total(HERE)) == (second, 1, 6)
    bench.batch(discard(bench, second, message_id="op2"))
    (row,), _ = bench.batch(go_on=[HERE])
    assert (row.refers, bench.total(HERE)) == (third, 8)


def test_what_the_process_dies_of_while_those_that_waited_are_decided_is_parked_unasked(bench):
    entry = parked(bench)
    (waited,) = waiting(bench, 1)
    bench.batch(discard(bench, entry))
    (row,), _ = bench.batch(go_on=[HERE], fatal=True)
    assert (row.refers, row.reason, live(bench).parked) == (waited, f"process_died: {deciding.FATAL}", waited)


def test_a_fact_of_others_and_a_timer_are_decided_again_too():
    bench = Bench(mind=replace(MIND, translate=lambda _: 1 / 0)).began()
    (row,), _ = bench.batch(bench.fact(Heard(number=4), HERE))
    bench.mind = MIND
    bench.batch(retry(bench, row.entry))
    assert (bench.total(HERE), bench.head.seen["resolution/0"].position) == (4, 1)
    bench.batch(bench.ask(Add(number=1, wake_in_seconds=5), HERE))
    due = TimerDue(timer="wake", due_at=bench.last.timers(live(bench))["wake"].due_at)
    bench.now = due.due_at
    bench.mind = replace(MIND, streams={"tally": replace(TALLY, decide=lambda *_: 1 / 0)})
    (row,), _ = bench.batch(fire=[(due, HERE)])
    assert row.outcome == Outcome.PARKED
    (refused,), _ = bench.batch(discard(bench, row.entry, message_id="op2"))
    assert (refused.outcome, refused.reason) == (Outcome.REFUSED, "stands_as_it_is")
    bench.mind = MIND
    _, facts = bench.batch(retry(bench, row.entry, message_id="op3"))
    assert types(facts) == ["ParkedRetried", "Woken", "InputTakenUp"]
    assert bench.last.timers(live(bench)) == {}
    bench.replayed()


def test_a_fact_that_is_no_concern_any_more_is_settled_all_the_same():
    bench = Bench(mind=replace(MIND, translate=lambda _: 1 / 0)).began()
    (row,), _ = bench.batch(bench.fact(Heard(number=4), HERE))
    bench.mind = replace(MIND, translate=lambda _: None)
    (_, again), facts = bench.batch(retry(bench, row.entry))
    assert (again.outcome, types(facts)) == (Outcome.ACCEPTED, ["ParkedRetried", "InputTakenUp"])
    assert live(bench).parked == 0
    bench.replayed(bench.mind)


# ---- given up --------------------------------------------------------------------------------------------------------------


def test_what_is_given_up_is_refused_to_who_sent_it_with_the_reason_and_the_rest_is_decided(bench):
    entry = parked(bench)
    waiting(bench, 1)
    (asked, again), (discarded, refused, taken_up) = bench.batch(discard(bench, entry))
    assert (asked.outcome, again.outcome, again.reason) == (Outcome.ACCEPTED, Outcome.REFUSED, "given_up")
    assert (discarded.type, discarded.message_id) == ("machine.ParkedDiscarded.v1", "op")
    assert (refused.message_id, body(refused)["rule"], body(refused)["why"]) == ("bad", "given_up", HOW)
    assert taken_up.type == "machine.InputTakenUp.v1"
    bench.batch(go_on=[HERE])
    assert bench.total(HERE) == 1


# ---- unreadable ------------------------------------------------------------------------------------------------------------


def test_what_could_not_be_read_is_decided_with_a_body_that_can_be(bench):
    entry = unreadable(bench)
    (_, again), facts = bench.batch(retry(bench, entry, '{"number":5}'))
    assert (again.outcome, again.message_id, types(facts)) == ("accepted", "u", ["ParkedRetried", "Added", "InputTakenUp"])
    assert bench.total(HERE) == 5


def test_a_submission_that_nobody_could_read_goes_where_it_belongs_once_it_is_corrected(bench):
    refs = {bench.reader.shard_of(MIND.stream_of(Submit(ref=str(n), number=1))): str(n) for n in range(100)}
    for message_id, shard, outcome in (("s1", 0, Outcome.ACCEPTED), ("s2", 1, Outcome.PASSED_ON)):
        submitted = bench.submit(Submit(ref="x", number=1), message_id)
        (row,), (is_parked,) = bench.batch(replace(submitted, value=b"{"))
        assert is_parked.kind == "shard"
        (_, again), facts = bench.batch(
            retry(bench, row.entry, Submit(ref=refs[shard], number=2).to_bytes().decode(), message_id=f"op{shard}")
        )
        assert again.outcome == outcome
        assert (facts[-1].type, facts[-1].kind) == ("machine.InputTakenUp.v1", "shard")
        assert facts[-1].correlation == is_parked.correlation, "it is no complaint's story that it was parked"
    (passed_on,) = [row for row in bench.ledger if row.target]
    there = Bench(1).began()
    (row,), (added,) = there.batch(there.passed_on(passed_on))
    assert (row.outcome, added.message_id) == (Outcome.ACCEPTED, "s2")


def test_what_still_cant_be_read_stays_parked_and_stops_nobody(bench):
    entry = unreadable(bench)
    (_, again), (_, still) = bench.batch(retry(bench, entry, "{{"))
    assert (again.outcome, body(still)["cause"], body(still)["before"], again.body) == ("parked", "undecodable", "parked", b"{{")
    (row,), _ = bench.batch(bench.ask(Add(number=1), HERE, "m"))
    assert row.outcome == Outcome.ACCEPTED
    bench.batch(discard(bench, entry, message_id="op2"))
    assert entry not in bench.known.held


def test_a_stopped_stream_stays_stopped_where_the_other_body_cant_be_read(bench):
    entry = parked(bench)
    waiting(bench, 1)
    (_, again), _ = bench.batch(retry(bench, entry, "{{"))
    assert (again.outcome, live(bench).parked, live(bench).waiting) == (Outcome.PARKED, entry, 1)


def test_what_could_not_be_read_and_then_the_mind_fails_on_stops_its_stream(bench):
    entry = unreadable(bench)
    bench.batch(retry(bench, entry, '{"number":13}'))
    assert live(bench).parked == entry
    waiting(bench, 1)
    bench.batch(discard(bench, entry, message_id="op2"))
    bench.batch(go_on=[HERE])
    assert bench.total(HERE) == 1


def test_what_belonged_to_nobody_and_then_the_mind_fails_on_is_held_by_its_stream():
    bench = Bench(mind=replace(MIND, streams={"tally": replace(TALLY, decide=lambda *_: 1 / 0)})).began()
    ref = next(str(n) for n in range(100) if bench.reader.shard_of(MIND.stream_of(Submit(ref=str(n), number=1))) == 0)
    (row,), _ = bench.batch(replace(bench.submit(Submit(ref=ref, number=1)), value=b"{"))
    corrected = Submit(ref=ref, number=2).to_bytes().decode()
    _, (_, is_parked, taken_up) = bench.batch(retry(bench, row.entry, corrected))
    assert (is_parked.kind, "before" in body(is_parked), taken_up.kind) == ("tally", False, "shard")
    stream = MIND.stream_of(Submit(ref=ref, number=1))
    assert live(bench, stream).parked == row.entry
    bench.mind = MIND
    bench.batch(retry(bench, row.entry, corrected, message_id="op2"))
    assert (bench.total(stream), live(bench, stream).parked) == (2, 0)
    bench.replayed(MIND)


def test_what_could_not_be_read_does_not_overtake_what_waits(bench):
    entry = unreadable(bench)
    stops = parked(bench)
    waiting(bench, 1)
    (_, again), (_, still) = bench.batch(retry(bench, entry, '{"number":5}'))
    assert (again.outcome, body(still)["cause"], live(bench).parked) == (Outcome.PARKED, "out_of_turn", stops)
    assert f"journal entry {stops}" in body(still)["reason"]
    bench.batch(discard(bench, stops, message_id="op2"), retry(bench, entry, '{"number":5}', message_id="op3"))
    assert entry in bench.known.held, "those that waited go first"
    bench.batch(go_on=[HERE])
    bench.batch(retry(bench, entry, '{"number":5}', message_id="op4"))
    assert bench.total(HERE) == 6


def test_a_corrected_body_is_not_another_complaints(bench):
    ref, other = (str(n) for n in range(400) if bench.reader.shard_of(MIND.stream_of(Submit(ref=str(n), number=1))) == 0), None
    first, other = next(ref), next(ref)
    bench.mind = replace(MIND, streams={"tally": replace(TALLY, decide=lambda *_: 1 / 0)})
    (row,), _ = bench.batch(bench.submit(Submit(ref=first, number=1)))
    bench.mind = MIND
    (_, again), (_, still) = bench.batch(retry(bench, row.entry, Submit(ref=other, number=1).to_bytes().decode()))
    assert (again.outcome, body(still)["cause"]) == (Outcome.PARKED, "out_of_turn")
    assert live(bench, MIND.stream_of(Submit(ref=first, number=1))).parked == row.entry


def test_a_forged_row_of_ours_stays_one():
    bench, there = Bench().began(), Bench(1).began()
    _, (asked,) = bench.batch(bench.ask(Add(number=2), ELSEWHERE))
    forged = there.passed_on(replace(asked, position=asked.position + 900))
    (row,), _ = there.batch(forged, forged=[forged])
    (_, again), _ = there.batch(retry(there, row.entry))
    assert again.outcome == Outcome.PARKED
    there.replayed()


def test_what_is_internal_stays_so_in_a_corrected_body(bench):
    (row,), _ = bench.batch(replace(bench.ask(tally.Note(number=1), HERE), value=b"{"))
    (_, again), _ = bench.batch(retry(bench, row.entry, '{"number":5}'))
    assert (again.outcome, again.reason) == (Outcome.REFUSED, "not_for_you")


# ---- messages --------------------------------------------------------------------------------------------------------------


def test_a_message_that_comes_again_finds_the_final_answer(bench):
    entry = parked(bench)
    waiting(bench, 1)
    (row,), (before,) = bench.batch(bench.ask(Add(number=13), HERE, "bad"))
    assert (row.outcome, body(before)["first_position"]) == (Outcome.REPEATED, 0)
    (_, again), _ = bench.batch(retry(bench, entry, '{"number":5}'))
    (waited,), _ = bench.batch(go_on=[HERE])
    for command, message_id, answer in ((Add(number=13), "bad", again), (Add(number=1), "w0", waited)):
        (row,), (repeated,) = bench.batch(bench.ask(command, HERE, message_id))
        assert (row.outcome, row.refers) == (Outcome.REPEATED, answer.entry)
        assert (body(repeated)["first_position"], body(repeated)["events"]) == (answer.first_position, answer.events)
    (row,), _ = bench.batch(bench.ask(Add(number=5), HERE, "bad"))
    assert (row.outcome, row.reason) == (Outcome.REFUSED, "message_id_conflict")
    assert bench.total(HERE) == 6


def test_the_final_answer_is_the_later_one_also_where_the_clock_stands_still(bench):
    entry = parked(bench)
    first = bench.known.messages["/test bad"].met_at
    bench.now = first - timedelta(seconds=1)
    bench.batch(discard(bench, entry))
    assert bench.head.now == first
    assert bench.last.met["/test bad"].met_at > first


def test_what_was_given_up_stays_given_up_under_its_id(bench):
    bench.batch(discard(bench, parked(bench)))
    (row,), (repeated,) = bench.batch(bench.ask(Add(number=13), HERE, "bad"))
    assert (row.outcome, body(repeated)["events"]) == (Outcome.REPEATED, 2)


def test_what_could_not_be_read_and_was_given_up_may_come_corrected_under_its_id(bench):
    bench.batch(discard(bench, unreadable(bench)))
    (row,), _ = bench.batch(bench.ask(Add(number=1), HERE, "u"))
    assert row.outcome == Outcome.ACCEPTED


def test_what_its_sender_corrected_meanwhile_does_not_count_twice(bench):
    entry = unreadable(bench)
    bench.batch(bench.ask(Add(number=5), HERE, "u"))
    (_, again), _ = bench.batch(retry(bench, entry, '{"number":5}'))
    assert (again.outcome, again.refers, bench.total(HERE)) == (Outcome.REPEATED, entry, 5)
    assert entry not in bench.known.held


def test_what_was_read_at_last_counts_once(bench):
    bench.batch(retry(bench, unreadable(bench), '{"number":5}'))
    (row,), _ = bench.batch(bench.ask(Add(number=5), HERE, "u"))
    assert (row.outcome, bench.total(HERE)) == (Outcome.REPEATED, 5)


# ---- no ------------------------------------------------------------------------------------------------------------------


def test_what_is_not_parked_or_not_any_more_is_not_settled(bench):
    entry = parked(bench)
    (waited,) = waiting(bench, 1)
    (refused,), (fact,) = bench.batch(retry(bench, waited, message_id="op0"))
    assert (refused.reason, "waits behind" in body(fact)["why"]) == ("not_parked", True)
    rows, _ = bench.batch(discard(bench, entry, message_id="op1"), retry(bench, entry, message_id="op2"))
    assert [row.outcome for row in rows] == [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.REFUSED], "from two tabs"
    assert rows[2].reason == "not_parked"
    (again,), _ = bench.batch(discard(bench, entry, message_id="op1"))
    assert again.outcome == Outcome.REPEATED
    for number, nothing in enumerate((1, bench.head.entry, bench.head.entry + 5_000)):
        (row,), _ = bench.batch(retry(bench, nothing, message_id=f"no{number}"))
        assert (row.outcome, row.reason) == (Outcome.REFUSED, "not_parked")


def test_another_shards_entry_is_not_settled_here(bench):
    entry = parked(bench)
    (row,), (fact,) = bench.batch(ask(bench, DiscardParked(shard=2, entry=entry, reason=HOW)))
    assert (row.reason, body(fact)["why"]) == ("not_parked", f"This is shard 0: ask about entry {entry} of shard 2 on partition 2.")
    assert live(bench).parked == entry


def test_a_person_answers_for_it(bench):
    entry = parked(bench)
    (row,), _ = bench.batch(retry(bench, entry, actor="system:cron"))
    assert (row.outcome, row.reason, live(bench).parked) == (Outcome.REFUSED, "person_needed", entry)


def test_what_others_said_takes_no_other_body():
    bench = Bench(mind=replace(MIND, translate=lambda _: 1 / 0)).began()
    (row,), _ = bench.batch(bench.fact(Heard(number=4), HERE))
    (refused,), _ = bench.batch(retry(bench, row.entry, '{"number":5}'))
    assert refused.reason == "stands_as_it_is"
    bench.replayed()


def test_what_asked_for_a_retry_is_not_retried_itself(bench):
    entry = parked(bench)
    (died,), _ = bench.batch(retry(bench, entry), fatal=True)
    assert died.outcome == Outcome.PARKED
    (refused,), _ = bench.batch(retry(bench, died.entry, message_id="op2"))
    assert refused.reason == "stands_as_it_is"
    (_, again), _ = bench.batch(discard(bench, died.entry, message_id="op3"))
    assert again.outcome == Outcome.REFUSED


# ---- proof -----------------------------------------------------------------------------------------------------------------


def test_a_replay_finds_what_was_decided_out_of_turn():
    bench = Bench().began()
    entry = parked(bench)
    first, second = waiting(bench, 1, 1)
    bench.batch(discard(bench, entry))
    bench.batch(go_on=[HERE])
    *_, one, other = bench.journal
    assert (one.refers, other.refers) == (first, second)
    one.refers, other.refers = second, first
    with pytest.raises(ProofFailed, match="not next in order"):
        bench.replayed()


def test_a_replay_finds_a_row_that_follows_no_retry():
    bench = Bench().began()
    bench.batch(discard(bench, parked(bench)))
    del bench.journal[-2]
    with pytest.raises(ProofFailed, match="not next in order"):
        bench.replayed()
