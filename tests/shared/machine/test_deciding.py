"""What becomes of an input: each way it can go, on a mind as small as can be."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic_core import from_json

from shared.contract.machine import PublishPolicy, TimerDue
from shared.contract.said import decode
from shared.machine import deciding
from shared.machine.answering import WAITING_MAX
from shared.machine.bytes import GENESIS
from shared.machine.deciding import FATAL
from shared.machine.head import Outcome, Stopped
from shared.machine.told import IDENTIFIER_MAX
from shared.policy.loader import shipped
from tests.shared.machine.bench import Bench, stream_in
from tests.shared.machine.tally import MIND, Add, Added, Heard, Note, Submit, Unheard

HERE, ALSO_HERE, ELSEWHERE = stream_in(0), stream_in(0, 1), stream_in(1)


@pytest.fixture
def bench():
    return Bench().began()


def types(rows):
    return [row.type for row in rows]


def body(row):
    return from_json(row.body)


# ---- the ordinary ways -----------------------------------------------------------------------------------------------------


def test_the_first_entry_is_the_policy_that_an_installation_begins_with():
    journal, ledger = Bench().batch()
    assert [(row.entry, row.type, row.outcome, row.topic) for row in journal] == [(1, PublishPolicy.type, Outcome.ACCEPTED, "")]
    assert types(ledger) == ["machine.PolicyAdopted.v1"]
    assert body(ledger[0])["name"] == shipped().name


def test_a_command_is_decided_and_leaves_a_journal_row_and_its_events(bench):
    (row,), (event,) = bench.batch(bench.ask(Add(number=2), HERE))
    assert (row.outcome, row.first_position, row.events, row.message_id) == (Outcome.ACCEPTED, event.position, 1, "m1")
    assert (event.type, event.version, event.stream, event.actor, event.message_id) == (Added.type, 1, HERE, "person:ines", "m1")
    assert event.cause_hash == row.hash
    assert bench.total(HERE) == 2


def test_positions_and_versions_have_no_gaps_and_both_chains_hold(bench):
    for number in range(1, 5):
        bench.batch(*(bench.ask(Add(number=number), stream, f"{number}/{stream}") for stream in (HERE, ALSO_HERE)))
    assert [row.position for row in bench.ledger] == list(range(1, len(bench.ledger) + 1))
    assert [row.entry for row in bench.journal] == list(range(1, len(bench.journal) + 1))
    assert [row.version for row in bench.ledger if row.stream == HERE] == [1, 2, 3, 4]
    previous = GENESIS
    for row in bench.ledger:
        assert (row.previous, row.hash) == (previous, row.chain(previous))
        previous = row.hash
    previous = GENESIS
    for row in bench.journal:
        assert row.hash == row.chain(previous)
        previous = row.hash


def test_a_refusal_is_a_fact(bench):
    (row,), (event,) = bench.batch(bench.ask(Add(number=-1), HERE))
    assert (row.outcome, row.reason) == (Outcome.REFUSED, "too_many")
    assert event.type == "machine.CommandRefused.v1"
    assert body(event) == {"command": Add.type, "rule": "too_many", "why": "no negative numbers", "details": {"number": -1}}
    assert bench.total(HERE) == 0


def test_who_asks_for_what_is_so_already_is_told_that_nothing_changed(bench):
    (row,), (event,) = bench.batch(bench.ask(Add(number=0), HERE))
    assert (row.outcome, event.type) == (Outcome.ACCEPTED, "machine.NothingChanged.v1")


def test_so_is_who_asked_for_it_where_it_was_passed_on(bench):
    _, (asked,) = bench.batch(bench.ask(Add(number=0), ELSEWHERE))
    there = Bench(1).began()
    (row,), (event,) = there.batch(there.passed_on(asked))
    assert (row.outcome, event.type, event.message_id, event.stream) == (Outcome.ACCEPTED, "machine.NothingChanged.v1", "m1", ELSEWHERE)
    there.replayed()


def test_what_another_stream_asked_for_in_vain_is_told_to_nobody(bench):
    _, (*_, asked) = bench.batch(bench.ask(Add(number=0), HERE, "m0"), bench.ask(Add(number=5, then_tell=HERE), HERE, "m1"))
    note = replace(asked, body=Note(number=0).to_bytes())
    (row,), facts = bench.batch(bench.passed_on(note))
    assert (row.outcome, facts) == (Outcome.ACCEPTED, [])


def test_the_offset_after_the_last_record_is_the_next(bench):
    bench.batch(bench.ask(Add(number=1), HERE, "a"), bench.ask(Add(number=1), HERE, "b"))
    assert bench.head.offsets["intake.commands"] == 2


# ---- elsewhere -------------------------------------------------------------------------------------------------------------


def test_a_record_that_lies_elsewhere_is_passed_on_by_one_hop(bench):
    (row,), (asked,) = bench.batch(bench.ask(Add(number=2), ELSEWHERE))
    assert row.outcome == Outcome.PASSED_ON
    assert (asked.type, asked.target, asked.kind, asked.origin_id) == ("intake.AddRequested.v1", ELSEWHERE, "shard", "/test m1")
    there = Bench(1).began()
    (taken,), (event,) = there.batch(there.passed_on(asked))
    assert (taken.outcome, event.type, event.message_id, event.actor) == (Outcome.ACCEPTED, Added.type, "m1", "person:ines")
    assert there.total(ELSEWHERE) == 2


def test_the_longest_names_that_are_taken_where_a_record_lies_right_are_taken_when_it_was_passed_on():
    bench, there = Bench().began(), Bench(1).began()
    source = "s" * IDENTIFIER_MAX
    ask = Add(number=2), ELSEWHERE, "\U0001f35e" * (IDENTIFIER_MAX // 4)
    _, (asked,) = bench.batch(bench.ask(*ask, source=source))
    (row,), (event,) = there.batch(there.passed_on(asked))
    assert (row.outcome, event.message_id) == (Outcome.ACCEPTED, ask[2])
    (row,), _ = there.batch(there.ask(*ask, source=source))
    assert row.outcome == Outcome.REPEATED


def test_who_passes_on_deduplicates_nothing_and_who_decides_does(bench):
    _, first = bench.batch(bench.ask(Add(number=2), ELSEWHERE))
    _, second = bench.batch(bench.ask(Add(number=2), ELSEWHERE))
    there = Bench(1).began()
    there.batch(there.passed_on(first[0]))
    (row,), _ = there.batch(there.passed_on(second[0]))
    assert row.outcome == Outcome.REPEATED
    assert there.total(ELSEWHERE) == 2


def test_a_row_that_is_relayed_again_is_dropped_by_its_position():
    bench, there = Bench().began(), Bench(1).began()
    _, rows = bench.batch(*(bench.ask(Add(number=2), ELSEWHERE, None) for _ in range(3)))
    there.batch(*(there.passed_on(row) for row in rows))
    (run,), ledger = there.batch(*(there.passed_on(row) for row in rows))
    assert (run.outcome, run.until - run.offset, ledger) == (Outcome.IGNORED, 3, [])
    assert there.total(ELSEWHERE) == 6


def test_a_row_that_was_passed_on_to_the_wrong_shard_is_parked_never_passed_on_again():
    bench, wrong = Bench().began(), Bench(2).began()
    _, (asked,) = bench.batch(bench.ask(Add(number=2), ELSEWHERE))
    (row,), (event,) = wrong.batch(wrong.passed_on(asked))
    assert (row.outcome, body(event)["cause"]) == (Outcome.PARKED, "misplaced")


def test_what_a_stream_must_tell_another_is_a_row_that_asks_it(bench):
    _, (_, asked) = bench.batch(bench.ask(Add(number=2, then_tell=ALSO_HERE), HERE))
    assert (asked.type, asked.stream, asked.target, asked.correlation) == ("intake.NoteRequested.v1", HERE, ALSO_HERE, HERE)
    (row,), (event,) = bench.batch(bench.passed_on(asked))
    assert (row.outcome, event.stream, event.correlation) == (Outcome.ACCEPTED, ALSO_HERE, HERE)
    assert event.message_id == f"g1/intake/0/{asked.position}"
    assert bench.total(ALSO_HERE) == 2


def test_only_our_own_services_say_what_is_internal(bench):
    (row,), (event,) = bench.batch(bench.ask(Note(number=2), HERE))
    assert (row.outcome, body(event)["rule"]) == (Outcome.REFUSED, "not_for_you")


@pytest.mark.parametrize("stream", [HERE, ELSEWHERE])
def test_what_is_internal_is_refused_where_it_comes_in_never_passed_on(bench, stream):
    (row,), (event,) = bench.batch(bench.ask(Note(number=2), stream))
    assert (row.outcome, event.target, body(event)["rule"]) == (Outcome.REFUSED, None, "not_for_you")
    (again,), (repeated,) = bench.batch(bench.ask(Note(number=2), stream))
    assert (again.outcome, body(repeated)["first_position"]) == (Outcome.REPEATED, event.position)


# ---- submissions -----------------------------------------------------------------------------------------------------------


def test_a_submission_needs_no_header_at_all(bench):
    ref = next(str(n) for n in range(100) if bench.reader.shard_of(MIND.stream_of(Submit(ref=str(n), number=1))) == 0)
    plain = [bench.record(Submit(ref=ref, number=2).to_bytes(), "complaints.submissions") for _ in range(2)]
    rows, events = bench.batch(*plain)
    assert [row.outcome for row in rows] == [Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert [(event.actor, event.message_id) for event in events] == [("source:tally", f"complaints.submissions/0/{n}") for n in (0, 1)]


def test_what_an_upstream_says_of_itself_is_not_believed(bench):
    record = bench.submit(Submit(ref="r", number=2))
    record.headers = [*record.headers, ("ce_actor", b"person:the.boss")]
    _, ledger = bench.batch(record)
    assert {row.actor for row in ledger} == {"source:tally"}


def test_a_command_does_not_pass_for_a_submission(bench):
    (row,), (event,) = bench.batch(
        bench.record(Add(number=1).to_bytes(), "complaints.submissions", headers=bench.ask(Add(number=1), HERE).headers)
    )
    assert row.outcome == Outcome.PARKED
    assert "can't be submitted" in body(event)["reason"]


# ---- other services --------------------------------------------------------------------------------------------------------


def test_another_services_fact_is_told_to_our_stream_of_the_same_id(bench):
    (row,), (event,) = bench.batch(bench.fact(Heard(number=4), HERE))
    assert (row.outcome, event.actor, event.message_id) == (Outcome.ACCEPTED, "service:resolution", "g1/resolution/0/1")
    assert bench.total(HERE) == 4


def test_a_fact_that_changes_nothing_leaves_no_event_for_nobody_asked(bench):
    (row,), ledger = bench.batch(bench.fact(Heard(number=0), HERE))
    assert (row.outcome, ledger) == (Outcome.ACCEPTED, [])


def test_facts_of_no_concern_take_one_row_together(bench):
    records = [*(bench.fact(Unheard(), HERE) for _ in range(3)), bench.fact(Heard(number=4), HERE), bench.fact(Unheard(), HERE)]
    (run, told, last), _ = bench.batch(*records)
    assert (run.outcome, run.offset, run.until, run.message_id) == (Outcome.IGNORED, 0, 3, "g1/resolution/0/3")
    assert (told.outcome, told.offset) == (Outcome.ACCEPTED, 3)
    assert (last.outcome, last.offset, last.until) == (Outcome.IGNORED, 4, 5)
    assert bench.head.offsets["resolution.events"] == 5


def test_a_fact_that_is_relayed_again_has_no_effect(bench):
    record = bench.fact(Heard(number=4), HERE)
    bench.batch(record)
    (run,), ledger = bench.batch(replace(record, offset=1))
    assert (run.outcome, ledger) == (Outcome.IGNORED, [])
    assert bench.total(HERE) == 4


def test_a_missing_fact_stops_the_shard(bench):
    bench.fact(Heard(number=1), HERE)
    with pytest.raises(Stopped) as stopped:
        bench.batch(bench.fact(Heard(number=4), HERE))
    assert stopped.value.cause == "gap"


@pytest.mark.parametrize("changed", [{"body": b'{"number":5}'}, {"actor": "person:other"}, {"hash": b"\x02" * 32}])
def test_a_changed_fact_stops_the_shard(bench, changed):
    with pytest.raises(Stopped) as stopped:
        bench.batch(bench.fact(Heard(number=4), HERE, **changed))
    assert stopped.value.cause == "chain"


# ---- parked ----------------------------------------------------------------------------------------------------------------


def test_what_a_mind_fails_on_is_parked_and_its_stream_waits_while_others_flow(bench):
    records = [bench.ask(Add(number=number), stream, f"m{n}") for n, (number, stream) in enumerate([(13, HERE), (1, HERE), (1, ALSO_HERE)])]
    (parked, waiting, other), (is_parked, waits, added) = bench.batch(*records)
    assert (parked.outcome, parked.body) == (Outcome.PARKED, records[0].value)
    assert body(is_parked)["cause"] == "mind_failed"
    assert "KeyError" in body(is_parked)["reason"]
    assert "somebody wrote" not in is_parked.body.decode(), "an error's message may quote what somebody wrote"
    assert (waiting.outcome, waiting.refers) == (Outcome.WAITING, parked.entry)
    assert body(waits) == {"entry": waiting.entry, "behind": parked.entry}
    assert (other.outcome, added.stream) == (Outcome.ACCEPTED, ALSO_HERE)
    assert bench.total(HERE) == 0
    later, _ = bench.batch(bench.ask(Add(number=1), HERE, "later"), bench.fact(Heard(number=1), HERE))
    assert [row.outcome for row in later] == [Outcome.WAITING, Outcome.WAITING]


def test_so_many_wait_and_then_they_are_refused(bench):
    bench.batch(bench.ask(Add(number=13), HERE, "bad"))
    bench.batch(*(bench.ask(Add(number=1), HERE, f"w{n}") for n in range(WAITING_MAX)))
    (row,), (event,) = bench.batch(bench.ask(Add(number=1), HERE, "one too many"))
    assert (row.outcome, body(event)["rule"]) == (Outcome.REFUSED, "stream_waiting")


def test_what_cant_be_read_is_parked_with_its_bytes_and_nobody_waits(bench):
    bad = replace(bench.ask(Add(number=1), HERE), value=b"\xff{")
    (row,), (event,) = bench.batch(bad)
    assert (row.outcome, row.body, row.key) == (Outcome.PARKED, b"\xff{", bad.key)
    assert (event.stream, body(event)["cause"]) == (HERE, "undecodable")
    bench.batch(bench.ask(Add(number=1), HERE))
    assert bench.total(HERE) == 1, "corrected, it may come again under the same id"


def test_a_failing_translation_parks_the_fact_and_its_stream_waits():
    bench = Bench(mind=replace(MIND, translate=lambda _: 1 / 0)).began()
    (row,), (event,) = bench.batch(bench.fact(Heard(number=4), HERE))
    assert (row.outcome, event.stream, body(event)["cause"]) == (Outcome.PARKED, HERE, "mind_failed")
    (row,), _ = bench.batch(bench.ask(Add(number=1), HERE))
    assert row.outcome == Outcome.WAITING


def test_what_the_process_dies_of_is_parked_unasked_and_its_stream_waits(bench):
    (row,), (event,) = bench.batch(bench.ask(Add(number=1), HERE), fatal=True)
    assert (row.outcome, body(event)["cause"], event.stream) == (Outcome.PARKED, "process_died", HERE)
    assert bench.batch(bench.ask(Add(number=1), HERE, "m2"))[0][0].outcome == Outcome.WAITING


def test_what_cant_be_read_and_the_process_dies_of_is_parked_as_what_it_dies_of(bench):
    (row,), _ = bench.batch(bench.record(b"{", headers=bench.ask(Add(number=1), HERE).headers), fatal=True)
    assert row.reason == f"process_died: {FATAL}"


def test_a_forged_row_of_ours_hides_no_true_one_also_where_the_process_dies_of_it():
    bench, there = Bench().began(), Bench(1).began()
    _, (asked,) = bench.batch(bench.ask(Add(number=2), ELSEWHERE))
    true, forged = there.passed_on(asked), there.passed_on(replace(asked, position=asked.position + 900))
    (row,), (event,) = there.batch(forged, forged=[forged], fatal=True)
    assert (row.outcome, body(event)["cause"]) == (Outcome.PARKED, "undecodable")
    (row,), _ = there.batch(true)
    assert row.outcome == Outcome.ACCEPTED
    there.replayed()


def test_an_event_that_kafka_would_not_take_parks_its_input(monkeypatch):
    monkeypatch.setattr(deciding, "EVENT_BYTES_MAX", 10)
    bench = Bench().began()
    (row,), (event,) = bench.batch(bench.ask(Add(number=1_000_000), HERE))
    assert (row.outcome, body(event)["cause"], bench.total(HERE)) == (Outcome.PARKED, "mind_failed", 0)


def test_a_fact_that_the_process_dies_of_is_parked_and_the_next_one_is_still_the_next(bench):
    bench.batch(bench.ask(Add(number=1), HERE))
    (row,), (event,) = bench.batch(bench.fact(Heard(number=1), HERE), fatal=True)
    assert (row.outcome, event.version, bench.head.seen["resolution/0"].position) == (Outcome.PARKED, 2, 1)
    (row,), _ = bench.batch(bench.fact(Heard(number=1), ALSO_HERE))
    assert row.outcome == Outcome.ACCEPTED


def test_a_fact_of_no_concern_is_no_concern_whatever_died(bench):
    (run,), ledger = bench.batch(bench.fact(Unheard(), HERE), fatal=True)
    assert (run.outcome, ledger) == (Outcome.IGNORED, [])


# ---- time and policy -------------------------------------------------------------------------------------------------------


def test_a_timer_is_an_input_and_fires_once(bench):
    bench.batch(bench.ask(Add(number=1, wake_in_seconds=5), HERE))
    timer = bench.last.timers(bench.known.streams["tally", HERE])["wake"]
    bench.now = timer.due_at
    due = TimerDue(timer="wake", due_at=timer.due_at, generation=1)
    (row,), (event,) = bench.batch(fire=[(due, HERE)])
    assert (row.topic, row.outcome, row.kind, event.type) == ("", Outcome.ACCEPTED, "tally", "intake.Woken.v1")
    assert (event.actor, event.message_id) == ("clock", "")
    assert not bench.last.wants(due, ("tally", HERE))


def test_a_stream_that_waits_for_a_parked_input_wants_no_timer(bench):
    bench.batch(bench.ask(Add(number=1, wake_in_seconds=5), HERE), bench.ask(Add(number=13), HERE, "bad"))
    assert bench.last.timers(bench.known.streams["tally", HERE]) == {}


def test_a_policy_is_in_force_from_its_entry_on(bench):
    before = bench.head.policy
    document = {**shipped().model_dump(mode="json"), "version": 2, "objection_seconds": 60}
    record = bench.record(PublishPolicy(policy=document).to_bytes(), "policies")
    (row,), (event,) = bench.batch(record)
    assert (row.outcome, event.type, event.kind) == (Outcome.ACCEPTED, "machine.PolicyAdopted.v1", "shard")
    assert bench.head.policy == body(event)["digest"] != before
    assert bench.known.policies[bench.head.policy].objection_seconds == 60
    (row,), (event,) = bench.batch(replace(record, offset=1))
    assert event.type == "machine.NothingChanged.v1"


def test_a_policy_that_is_none_is_parked(bench):
    (row,), (event,) = bench.batch(bench.record(PublishPolicy(policy={"name": "x"}).to_bytes(), "policies"))
    assert (row.outcome, body(event)["cause"]) == (Outcome.PARKED, "undecodable")


def test_once_an_hour_the_journals_hash_is_written_into_the_ledger(bench):
    before = (bench.head.entry, bench.head.journal_hash)
    bench.now += timedelta(hours=1)
    (row,), (event,) = bench.batch()
    assert (row.type, event.type) == ("machine.SealJournal.v1", "machine.JournalSealed.v1")
    assert body(event) == {"entry": before[0], "hash": before[1].hex()}
    assert bench.batch() == ([], [])


def test_an_event_says_nothing_that_its_class_cant_read(bench):
    _, (event,) = bench.batch(bench.ask(Add(number=2), HERE))
    assert decode(Added, event.body) == Added(number=2)
