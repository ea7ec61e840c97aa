"""Deciding that takes long, and deaths with something else before them: nothing stands still, and the culprit is found."""

import time
from dataclasses import replace

from shared.contract.envelope import shard_of
from shared.machine import store
from shared.machine.deciding import FATAL
from shared.machine.mind import Timer
from tests.shared.machine.live import adds, is_so, streams, until
from tests.shared.machine.tally import MIND, TALLY, Add

TOO_LONG = store.SILENCE_SECONDS + 0.5


def slow(seconds):
    """A mind that takes so long for each number."""

    def decide(state, command, context):
        time.sleep(seconds(command))
        return TALLY.decide(state, command, context)

    return replace(MIND, streams={"tally": replace(TALLY, decide=decide)})


def on_one_shard(live):
    return [stream for stream in streams(1_000) if shard_of(stream, live.shards) == 0]


async def test_many_inputs_that_each_take_a_while_are_more_than_one_batch(live):
    """Together they take longer than PostgreSQL waits for a transaction."""
    await live.send(*adds(60, of=on_one_shard(live)[:30]))
    await live.start(slow(lambda _: 0.06))
    await until(lambda: is_so(live.events("intake.Added.v1"), 60))
    assert await live.fetchval("SELECT max(attempts) FROM head") == 0
    assert await live.fetchval("SELECT epoch FROM head WHERE shard = 0") == 1, "it was never begun anew"
    await live.prove()


async def test_an_input_that_takes_longer_than_postgresql_waits_is_found_and_parked(live, monkeypatch):
    monkeypatch.setattr("shared.machine.worker.PAUSE_MAX_SECONDS", 0.3)
    first, second, *others = on_one_shard(live)
    await live.send(*adds(5, of=others), (Add(number=7), first), *adds(5, of=[second]))
    await live.start(slow(lambda command: TOO_LONG if getattr(command, "number", 0) == 7 else 0), session_timeout_ms=10_000)
    await until(lambda: is_so(live.events("intake.Added.v1"), 10), 60)
    await until(lambda: is_so(live.fetchval("SELECT reason FROM journal WHERE outcome = 'parked'"), f"process_died: {FATAL}"), 60)


async def test_a_record_that_no_batch_survives_is_found_though_timers_come_first_each_time(live, monkeypatch):
    """Each time that the shard is begun anew something else is decided before it, and committed."""
    monkeypatch.setattr("shared.machine.worker.PAUSE_MAX_SECONDS", 0.5)
    monkeypatch.setattr(store, "DUE_MAX", 1)
    poisoned = replace(TALLY, timers=lambda state: TALLY.timers(state) if state.total != 666 else {"wake": Timer(state.wake_at, 2**40)})
    await live.start(replace(MIND, streams={"tally": poisoned}))
    await live.ready()
    first, *others = on_one_shard(live)[:120]
    await live.send(*((Add(number=1, wake_in_seconds=3 + n / 2), stream) for n, stream in enumerate(others)))
    await until(lambda: is_so(live.events("intake.Added.v1"), len(others)))
    await until(lambda: is_so(live.events("intake.Woken.v1"), 1))
    await live.send((Add(number=666, wake_in_seconds=60), first))
    await until(lambda: is_so(live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'parked'"), 1), 60)
    assert await live.events("intake.Woken.v1") < len(others), "before the timers had all come"


async def test_who_is_told_to_stop_on_the_way_has_not_died(live):
    await live.send(*adds(60, of=on_one_shard(live)[:30]))
    for _ in range(4):
        member = await live.start(slow(lambda _: 0.06))
        await until(lambda: is_so(live.fetchval("SELECT attempts FROM head WHERE shard = 0"), 1))
        await member.stop()
        live.members.remove(member)
        assert await live.fetchval("SELECT attempts FROM head WHERE shard = 0") == 0
        if await live.events("intake.Added.v1") == 60:
            break


async def test_shards_that_are_decided_side_by_side_do_not_keep_each_other_waiting_until_postgresql_ends_them(live, monkeypatch):
    """As on a machine that has far too much to do: each would have the time that it takes, all of them together have not."""
    monkeypatch.setitem(store.SESSION, "idle_in_transaction_session_timeout", "1000")
    await live.send(*adds(160, of=streams(80)))
    await live.start(slow(lambda _: 0.06), session_timeout_ms=20_000)
    await until(lambda: is_so(live.events("intake.Added.v1"), 160), 60)
    assert await live.fetchval("SELECT max(epoch) FROM head") == 1, "none was begun anew"


async def test_a_batch_that_postgresql_ended_is_tried_in_halves(live, monkeypatch):
    """However slow the machine: what can't be done together is done one by one, and nobody is to blame."""
    monkeypatch.setattr("shared.machine.shard.DECIDING_SECONDS", 60.0)
    monkeypatch.setitem(store.SESSION, "idle_in_transaction_session_timeout", "1000")
    await live.send(*adds(60, of=on_one_shard(live)[:30]))
    await live.start(slow(lambda _: 0.03), session_timeout_ms=20_000)
    await until(lambda: is_so(live.events("intake.Added.v1"), 60), 60)
    assert await live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'parked'") == 0
    await live.prove()
