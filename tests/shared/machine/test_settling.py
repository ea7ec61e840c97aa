"""Parked inputs, settled on real Kafka and PostgreSQL: whatever breaks meanwhile, in order, once, and proven."""

import asyncio
from contextlib import suppress

from pydantic_core import from_json

from shared.contract.envelope import commands_topic, shard_of, stream_id
from shared.contract.machine import DiscardParked, RetryParked
from shared.machine import waiting
from shared.machine.answering import WAITING_MAX
from shared.machine.deciding import FATAL
from tests.shared.machine.live import STREAMS, adds, is_so, producing, until
from tests.shared.machine.tally import Add, headers
from tests.shared.machine.test_parked import MENDED
from tests.shared.machine.test_slow import TOO_LONG, slow

STREAM = STREAMS[0]
HOW = "the fault is mended"


async def settle(live, command, message_id="op"):
    """What an operator asks of a shard."""
    async with producing(live.installation.kafka) as producer:
        own = stream_id("shard", f"intake/{command.shard}")
        told = headers(command, own, message_id)
        await producer.send_and_wait(commands_topic("intake"), command.to_bytes(), partition=command.shard, headers=told)


async def journalled(live, outcome, count):
    await until(lambda: is_so(live.fetchval("SELECT count(*) FROM journal WHERE outcome = $1", outcome), count))


async def held(live):
    return await live.fetchval(f"SELECT count(*) FROM journal AS input WHERE {waiting.IS_HELD}")


async def a_stopped_stream(live, *, behind):
    """The entry of the parked input; so many wait behind it."""
    await live.send((Add(number=13), STREAM))
    await journalled(live, "parked", 1)
    await live.send(*adds(behind, of=[STREAM]))
    await journalled(live, "waiting", behind)
    return await live.fetchval("SELECT entry FROM journal WHERE outcome = 'parked'")


async def changed(live, mind):
    """Another release goes on."""
    for member in live.members:
        await member.stop()
    live.members.clear()
    await live.start(mind)
    await live.ready()
    live.mind = mind


async def test_after_the_fault_was_mended_all_that_waited_is_decided_and_everybody_is_answered(live):
    await live.start()
    await live.ready()
    entry = await a_stopped_stream(live, behind=5)
    await changed(live, MENDED)
    await settle(live, RetryParked(shard=shard_of(STREAM, live.shards), entry=entry, reason=HOW))
    await until(lambda: is_so(live.total(), 18))
    await live.send(*adds(80))
    await until(lambda: is_so(live.total(), 98))
    assert await held(live) == 0
    connection = await live.owner()
    answers = await connection.fetch("SELECT message_id, type FROM ledger WHERE stream = $1 ORDER BY position", STREAM)
    await connection.close()
    for number in range(1, 7):
        told = [row["type"].split(".")[1] for row in answers if row["message_id"] == f"m{number}"]
        assert told == ["InputParked" if number == 1 else "InputWaiting", "Added", "InputTakenUp"]
    await live.prove()


async def test_as_many_as_may_wait_are_decided_in_batches_while_the_database_breaks_and_others_flow(live):
    await live.start(batch_records=100)
    await live.ready()
    entry = await a_stopped_stream(live, behind=WAITING_MAX)

    async def cut():
        owner = await live.owner()
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(0.1)
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'makegood_intake' AND random() < 0.3"
                )
        await owner.close()

    cutting = asyncio.create_task(cut())
    await settle(live, DiscardParked(shard=shard_of(STREAM, live.shards), entry=entry, reason=HOW))
    await live.send(*adds(80, of=STREAMS[1:]))
    await asyncio.sleep(2)
    cutting.cancel()
    await asyncio.gather(cutting, return_exceptions=True)
    await until(lambda: is_so(live.total(), WAITING_MAX + 80), 60)
    order = await live.fetchval("SELECT array_agg(refers ORDER BY entry) FROM journal WHERE topic = '' AND refers > 0")
    assert order == sorted(set(order)), "each once, in order"
    assert len(order) == 1 + WAITING_MAX
    most = await live.fetchval(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM journal WHERE topic = '' AND refers > 0 GROUP BY now) AS batch"
    )
    assert most <= 100, "a batch is bounded"
    assert await held(live) == 0
    await live.prove()


async def test_where_one_that_waited_fails_the_rest_wait_on_until_that_is_settled(live):
    await live.start()
    await live.ready()
    entry = await a_stopped_stream(live, behind=2)
    await live.send((Add(number=13), STREAM), (Add(number=2), STREAM))
    await journalled(live, "waiting", 4)
    shard = shard_of(STREAM, live.shards)
    await settle(live, RetryParked(shard=shard, entry=entry, reason=HOW, body='{"number":5}'))
    await journalled(live, "parked", 2)
    assert await live.total() == 7
    connection = await live.owner()
    event = await connection.fetchval("SELECT body FROM ledger WHERE type = 'machine.InputParked.v1' ORDER BY position DESC LIMIT 1")
    await connection.close()
    await live.prove()
    await settle(live, DiscardParked(shard=shard, entry=from_json(event)["entry"], reason=HOW), "op2")
    await until(lambda: is_so(live.total(), 9))
    await live.prove()


async def test_what_is_asked_in_one_batch_with_what_it_asks_about_is_decided_after_it(live):
    """The batch ends before it: it has not read what it would need."""
    await live.start()
    await live.ready()
    await until(lambda: is_so(live.events("machine.PolicyAdopted.v1"), live.shards))
    shard = shard_of(STREAM, live.shards)
    next_entry = 1 + await live.fetchval("SELECT entry FROM head WHERE shard = $1", shard)
    corrected = RetryParked(shard=shard, entry=next_entry, reason=HOW, body='{"number":5}')
    again = DiscardParked(shard=shard, entry=next_entry, reason=HOW)
    await live.send((Add(number=13), STREAM), (Add(number=1), STREAM), (corrected, STREAM), (again, STREAM), (Add(number=1), STREAM))
    await until(lambda: is_so(live.total(), 7))
    assert await live.fetchval("SELECT reason FROM journal WHERE type = $1", DiscardParked.type) == "not_parked"
    await live.prove()


async def test_timers_that_a_stopped_stream_wanted_fire_once_it_goes_on(live):
    await live.start()
    await live.ready()
    await live.send((Add(number=1, wake_in_seconds=0.3), STREAM), (Add(number=13), STREAM))
    await journalled(live, "parked", 1)
    await asyncio.sleep(0.6)
    assert await live.events("intake.Woken.v1") == 0
    entry = await live.fetchval("SELECT entry FROM journal WHERE outcome = 'parked'")
    await settle(live, DiscardParked(shard=shard_of(STREAM, live.shards), entry=entry, reason=HOW))
    await until(lambda: is_so(live.events("intake.Woken.v1"), 1))
    await live.prove()


async def test_what_waited_and_no_batch_survives_is_found_by_trying_one_by_one(live, monkeypatch):
    monkeypatch.setattr("shared.machine.worker.PAUSE_MAX_SECONDS", 0.3)
    await live.start(slow(lambda command: TOO_LONG if command == Add(number=7) else 0), session_timeout_ms=10_000)
    await live.ready()
    entry = await a_stopped_stream(live, behind=2)
    await live.send((Add(number=7), STREAM), (Add(number=2), STREAM))
    await journalled(live, "waiting", 4)
    shard = shard_of(STREAM, live.shards)
    await settle(live, DiscardParked(shard=shard, entry=entry, reason=HOW))
    await until(lambda: is_so(live.fetchval("SELECT count(*) FROM journal WHERE reason = $1", f"process_died: {FATAL}"), 1), 60)
    assert await live.total() == 2
    died = await live.fetchval("SELECT parked FROM state WHERE stream = $1", STREAM)
    await settle(live, DiscardParked(shard=shard, entry=died, reason=HOW), "op2")
    await until(lambda: is_so(live.total(), 4))
    await live.prove()
