"""The machine on real Kafka and PostgreSQL: nothing is lost and nothing happens twice, whoever comes along."""

import asyncio

import asyncpg
import pytest

from shared.contract.envelope import commands_topic, shard_of
from shared.machine import store
from tests.shared.machine.live import STREAMS, adds, is_so, until
from tests.shared.machine.tally import MIND, Add
from tests.simulation.minds import INTAKE
from tests.simulation.minds import Add as Wakes


def figures(member, label: str = "outcome") -> dict[str, dict[str, float]]:
    """The sums of a member's figures, by name and label."""
    found: dict[str, dict[str, float]] = {}
    for metric in member.figures.registry.collect():
        for sample in metric.samples:
            if label in sample.labels:
                of = found.setdefault(sample.name, {})
                of[sample.labels[label]] = of.get(sample.labels[label], 0) + sample.value
    return found


def somebody(shard):
    """Another owner."""
    return store.Taking(shard, "somebody", again=False, rules=MIND.rules)


# ---- the ordinary way ------------------------------------------------------------------------------------------------------


async def test_what_is_asked_is_decided_once_and_relayed_in_order(live):
    await live.start()
    await live.ready()
    await live.send(*adds(500))
    await until(lambda: is_so(live.events("intake.Added.v1"), 500))
    await until(live.relayed)
    assert await live.total() == 500
    proven = await live.prove()
    on_kafka = await live.on_kafka()
    for one in proven:
        assert on_kafka[one.shard] == list(range(1, one.events + 1))


async def test_the_figures_tell_what_became_of_what_was_asked_and_what_waits(live):
    member = await live.start()
    await live.ready()
    await live.send(*adds(20), (Add(number=-1), STREAMS[0]), (Add(number=13), STREAMS[0]))
    await until(lambda: is_so(live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'parked'"), 1))
    await until(lambda: sum(figures(member)["makegood_outcomes_total"].values()) == 22 + live.shards)
    assert figures(member)["makegood_outcomes_total"] == {"accepted": 20 + live.shards, "refused": 1, "parked": 1}
    await until(lambda: sum(figures(member, "topic")["makegood_lag"].values()) == 0)
    (group,) = [member.figures.group]
    for shard in range(live.shards):
        group.pause(shard)
    await asyncio.sleep(0.2)
    for worker in group.workers.values():
        worker.offer = lambda _: None  # nothing more is taken in
        group.resume(worker.shard)
    await live.send(*adds(20))
    await until(lambda: figures(member, "topic")["makegood_lag"].get(commands_topic("intake")) == 20)


async def test_a_record_on_the_wrong_shard_finds_its_way(live):
    await live.start()
    await live.ready()
    for partition in range(live.shards):
        await live.send(*adds(40), partition=partition)
    await until(lambda: is_so(live.events("intake.Added.v1"), 40 * live.shards))
    assert await live.total() == 40 * live.shards
    await live.prove()


async def test_streams_tell_each_other(live):
    await live.start()
    await live.ready()
    await live.send(*((Add(number=2, then_tell=STREAMS[n + 1]), STREAMS[n]) for n in range(20)))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    assert await live.total() == 80
    await live.prove()


async def test_timers_fire_once_and_not_early(live):
    await live.start()
    await live.ready()
    await live.send(*((Add(number=1, wake_in_seconds=0.5 + n / 20), STREAMS[n]) for n in range(20)))
    await until(lambda: is_so(live.events("intake.Woken.v1"), 20))
    early = (
        "SELECT count(*) FROM journal"
        " WHERE type = 'machine.TimerDue.v1' AND now < (convert_from(body, 'UTF8')::json->>'due_at')::timestamptz"
    )
    assert await live.fetchval(early) == 0
    assert await live.fetchval("SELECT count(*) FROM timers") == 0
    await asyncio.sleep(0.3)
    assert await live.events("intake.Woken.v1") == 20
    await live.prove()


async def test_a_timer_that_is_wanted_no_more_has_no_effect(live):
    live.mind = INTAKE
    await live.start()
    await live.ready()
    both, put_off = STREAMS[:10], STREAMS[10:20]
    await live.send(
        *((Wakes(number=1, wake_in=seconds), stream) for stream in put_off for seconds in (2.0, 3_600.0)),
        *((Wakes(number=1, wake_in=2.0, snooze_in=2.0), stream) for stream in both),  # whichever fires first clears the other
    )
    await until(lambda: is_so(live.events("intake.Added.v1"), 30))
    await until(lambda: is_so(live.fetchval("SELECT count(*) FROM timers"), 10))
    await asyncio.sleep(0.5)
    assert await live.fetchval("SELECT count(DISTINCT stream) FROM ledger WHERE type = 'intake.Woken.v1' AND stream = ANY($1)", both) == 10
    assert await live.events("intake.Woken.v1") == 10
    assert await live.fetchval("SELECT count(*) FROM journal WHERE type = 'machine.TimerDue.v1'") == 10
    await live.prove()


async def test_timers_that_came_due_while_nobody_was_there_fire_when_somebodyis_so(live):
    member = await live.start()
    await live.ready()
    await live.send((Add(number=1, wake_in_seconds=1.0), STREAMS[0]))
    await until(lambda: is_so(live.events("intake.Added.v1"), 1))
    await member.stop()
    live.members.remove(member)
    await asyncio.sleep(1.2)
    await live.start()
    await until(lambda: is_so(live.events("intake.Woken.v1"), 1))


# ---- sharing out -----------------------------------------------------------------------------------------------------------


async def test_two_and_three_members_share_the_shards_and_take_over_from_each_other(live):
    first, second = await live.start(), await live.start()
    await live.ready()
    assert first.shards
    assert second.shards
    await live.send(*adds(300))
    third = await live.start()
    await live.ready()
    await live.send(*adds(300))
    await first.stop()
    live.members.remove(first)
    await live.ready()
    await live.send(*adds(300))
    await third.stop()
    live.members.remove(third)
    await live.ready()
    await live.send(*adds(100))
    await until(lambda: is_so(live.events("intake.Added.v1"), 1000))
    assert await live.total() == 1000
    await live.prove()


async def test_who_lost_a_shard_writes_nothing_more(live):
    await live.start()
    await live.ready()
    stream = STREAMS[0]
    shard = shard_of(stream, live.shards)
    pool = await store.connect(live.installation.role_dsn("intake"), "intake", 2)
    await store.take_over(pool, pool, somebody(shard))
    await live.send((Add(number=1), stream))
    worker = live.members[0].figures.group.workers[shard]
    await until(lambda: not worker.watch.owned)
    assert await live.events("intake.Added.v1") == 0
    await pool.close()


async def test_who_lost_a_shard_does_not_take_it_back(live):
    """Its sessions are cut off before it finds itself fenced, as those of a process that was frozen are: it must not begin anew."""
    await live.start()
    await live.ready()
    shard = shard_of(STREAMS[0], live.shards)
    worker = live.members[0].figures.group.workers[shard]
    pool = await store.connect(live.installation.role_dsn("intake"), "intake", 2)
    head = await store.take_over(pool, pool, somebody(shard))
    await live.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'makegood_intake'")
    worker.look_again()
    await until(lambda: not worker.watch.owned)
    await live.send((Add(number=1), STREAMS[0]))
    await asyncio.sleep(1)
    assert await live.fetchval("SELECT epoch FROM head WHERE shard = $1", shard) == head.epoch
    assert await live.events("intake.Added.v1") == 0
    pool.terminate()


async def test_a_frozen_owner_does_not_keep_its_shard_locked(live):
    pool = await store.connect(live.installation.role_dsn("intake"), "intake", 3)
    frozen = await asyncpg.connect(live.installation.role_dsn("intake"), server_settings={"search_path": "intake"})
    await frozen.execute("BEGIN")
    await frozen.fetchrow("SELECT * FROM head WHERE shard = 2 FOR UPDATE")
    began = asyncio.get_running_loop().time()
    head = await store.take_over(pool, pool, somebody(2))
    assert head.epoch == 1
    assert asyncio.get_running_loop().time() - began < 10
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        await frozen.execute("COMMIT")
    await pool.close()


async def test_many_shards_taken_over_from_a_frozen_owner_at_once_do_not_wait_for_each_other(live):
    """All connections of the pool wait for locks; the one that ends the holders is none of them."""
    frozen = await asyncpg.connect(live.installation.role_dsn("intake"), server_settings={"search_path": "intake"})
    await frozen.execute("BEGIN")
    await frozen.fetch("SELECT * FROM head FOR UPDATE")
    began = asyncio.get_running_loop().time()
    pool = await store.connect(live.installation.role_dsn("intake"), "intake", live.shards)
    spare = await store.connect(live.installation.role_dsn("intake"), "intake", 1)
    heads = await asyncio.gather(*(store.take_over(pool, spare, somebody(shard)) for shard in range(live.shards)))
    assert [head.epoch for head in heads] == [1] * live.shards
    assert asyncio.get_running_loop().time() - began < 5
    await pool.close()
    await spare.close()
    frozen.terminate()


# ---- rights ----------------------------------------------------------------------------------------------------------------


async def test_the_role_that_writes_the_ledger_can_add_and_nothing_else(live):
    await live.start()
    await live.ready()
    connection = await asyncpg.connect(live.installation.role_dsn("intake"))
    for forbidden in (
        "UPDATE ledger SET actor = 'x'", "DELETE FROM ledger", "TRUNCATE ledger", "UPDATE journal SET reason = 'x'", "DELETE FROM journal",
        "DELETE FROM head", "INSERT INTO head (shard) VALUES (99)", "DROP TABLE ledger", "CREATE TABLE intake.mine (a int)",
        "DELETE FROM messages", "UPDATE relayed SET position = 0", "SELECT make_piece('ledger', 0, 7)", "SELECT * FROM resolution.ledger",
        "ALTER TABLE ledger DISABLE TRIGGER ALL", "UPDATE ledger_0_0 SET actor = 'x'", "SELECT * FROM ledger_0_0",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    await connection.close()
