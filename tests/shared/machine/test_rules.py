"""Which rules decide is an input, too: a shard goes on to newer ones by an entry of its journal, and never back."""

from dataclasses import replace

import pytest

from shared.contract.envelope import complaint_id, shard_of
from shared.contract.machine import RetryParked
from shared.contract.said import by_type
from shared.machine.deciding import RULES
from shared.machine.fault import ProofFailed
from shared.machine.head import Outcome
from tests.shared.machine.bench import SHARDS, Bench, stream_in
from tests.shared.machine.live import STREAMS, is_so, until
from tests.shared.machine.tally import MIND, TALLY, Add, Note, Submit, headers

HERE = stream_in(0)
REF = next(ref for ref in "abcdefgh" if shard_of(complaint_id("tally", ref), SHARDS) == 0)


def tenfold(state, command, context):
    """Other rules: what is added counts ten times."""
    return TALLY.decide(state, Add(number=command.number * 10) if isinstance(command, Add) else command, context)


NEWER = replace(MIND, own_rules=2, streams={"tally": replace(TALLY, decide=tenfold)}, earlier=(MIND,))
FORGETFUL = replace(NEWER, earlier=())
OLD, NEW = MIND.rules, NEWER.rules


class SubmitMore(Submit):
    """With a field that was not known yet."""

    more: str = ""


class Boost(Add):
    """A command that was not known yet."""

    type = "intake.Boost.v1"


READS_MORE = replace(MIND, own_rules=2, commands=by_type((Add, SubmitMore, Note, Boost)), submission=SubmitMore, earlier=(MIND,))


def raised() -> Bench:
    """A shard that was decided by the older rules, and then by the newer ones."""
    bench = Bench().began()
    bench.batch(bench.ask(Add(number=1), HERE, "old"))
    bench.mind = NEWER
    bench.batch(bench.ask(Add(number=1), HERE, "new"))
    return bench


def test_newer_rules_decide_from_an_entry_of_the_journal_on():
    bench = raised()
    assert [(row.type, row.rules) for row in bench.journal[-3:]] == [(Add.type, OLD), (RULES, NEW), (Add.type, NEW)]
    assert (bench.journal[-2].outcome, bench.journal[-2].events, bench.head.rules) == (Outcome.ACCEPTED, 0, NEW)
    assert bench.total(HERE) == 11
    assert bench.batch() == ([], []), "once"


def test_a_replay_decides_each_entry_by_the_rules_that_it_names():
    raised().replayed(NEWER)


@pytest.mark.parametrize(("mind", "missing"), [(MIND, f"rules {NEW}"), (FORGETFUL, f"rules {OLD}")])
def test_a_replay_says_which_rules_it_has_not(mind, missing):
    with pytest.raises(ProofFailed, match=f"decided by {missing}"):
        raised().replayed(mind)


def test_the_machines_own_rules_are_rules_like_the_minds():
    bench = raised()
    bench.mind = replace(NEWER, machine_rules=NEWER.machine_rules + 1, earlier=(NEWER, MIND))
    (row,), _ = bench.batch()
    assert (row.type, row.rules, bench.head.rules) == (RULES, NEW + 1, NEW + 1)
    bench.replayed()


@pytest.mark.parametrize("how", ["a new field", "a new command", "one that another shard passed on"])
def test_what_an_older_release_could_not_read_is_read_by_a_newer_one_and_replayed_as_both_did(how):
    bench = Bench().began()
    if how == "a new field":
        record = bench.submit(SubmitMore(ref=REF, number=5, more="and more"), "m")
    elif how == "a new command":
        record = bench.ask(Boost(number=5), HERE, "m")
    else:
        other = Bench(1, READS_MORE).began()
        _, (passed_on,) = other.batch(other.ask(Boost(number=5), HERE, "m"))
        record = bench.passed_on(passed_on)
    (row,), (parked,) = bench.batch(record)
    assert (row.outcome, parked.kind) == (Outcome.PARKED, "shard"), "it is not known whose it is"
    bench.replayed(READS_MORE)
    bench.mind = READS_MORE
    bench.reader = bench.reader.of(READS_MORE)
    retry = RetryParked(shard=0, entry=row.entry, reason="it can be read by now")
    rows, _ = bench.batch(bench.record(retry.to_bytes(), headers=headers(retry, None, "op")))
    assert [one.outcome for one in rows] == [Outcome.ACCEPTED] * 3, "newer rules, the retry, and what was parked"
    bench.replayed()


async def test_a_shard_goes_on_to_newer_rules_and_an_older_process_does_not_take_it_back(live):
    shard = shard_of(STREAMS[0], live.shards)

    async def added(mind, number):
        member = await live.start(mind)
        await live.ready()
        await live.send((Add(number=1), STREAMS[0]))
        await until(lambda: is_so(live.events("intake.Added.v1"), number))
        await member.stop()
        live.members.remove(member)

    await added(MIND, 1)
    await added(NEWER, 2)
    epoch = await live.fetchval("SELECT epoch FROM head WHERE shard = $1", shard)
    older = await live.start(MIND)
    await live.send((Add(number=1), STREAMS[0]))
    await until(lambda: shard in older.troubles)
    cause, what = older.troubles[shard]
    assert cause == "rules"
    assert f"rules {NEW}" in what
    assert await live.fetchval("SELECT epoch FROM head WHERE shard = $1", shard) == epoch, "it is not taken"
    await until(lambda: sorted(older.shards) == sorted(range(live.shards)))
    assert await live.events("intake.Added.v1") == 2
    await older.stop()
    live.members.remove(older)
    await live.start(NEWER)
    await until(lambda: is_so(live.events("intake.Added.v1"), 3))
    assert await live.total() == 21
    live.mind = NEWER
    await live.prove()
    live.mind = MIND
    with pytest.raises(ProofFailed, match=f"rules {NEW}"):
        await live.prove()
