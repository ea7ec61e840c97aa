"""A database that is older than its Kafka, as after a backup was restored: nothing is decided from it."""

from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from deploy.topics import ranges
from shared.contract.envelope import events_topic
from shared.kafka import Kafka
from shared.machine.head import Stopped
from shared.machine.tail import LOOKED_BACK, Tail, must_have
from tests.shared.machine.live import adds, everything, is_so, until

TABLES = ("head", "journal", "ledger", "state", "timers", "messages", "relayed")


async def backed_up(live):
    for table in TABLES:
        await live.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")


async def restored(live):
    for table in TABLES:
        await live.execute(f"TRUNCATE {table}")
        await live.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")


async def worked(live, commands):
    """A member that decides, tells all of it, and is gone."""
    member = await live.start()
    await live.ready()
    await live.send(*commands)
    await until(live.relayed)
    await until(lambda: live.fetchval("SELECT count(*) >= $1 FROM journal", live.sent))
    await until(live.relayed)
    await member.stop()


async def test_from_a_restored_older_database_nothing_is_decided_or_told(live):
    await worked(live, adds(40))
    await backed_up(live)
    await worked(live, adds(40))
    before = await everything(live.installation.kafka, events_topic("intake"), live.shards)
    await restored(live)
    rows = await live.fetchval("SELECT count(*) FROM journal")
    member = await live.start()
    await until(lambda: len(member.troubles) == live.shards)
    assert {cause for cause, _ in member.troubles.values()} == {"older ledger"}
    assert not member.figures.ready()[0]
    await live.send(*adds(10))
    tried = await live.fetchval("SELECT array_agg(epoch ORDER BY shard) FROM head")
    for shard in range(live.shards):  # it was taken over again, with something to decide
        await until(lambda shard=shard: live.fetchval("SELECT epoch >= $2 FROM head WHERE shard = $1", shard, tried[shard] + 2))
    assert await live.fetchval("SELECT count(*) FROM journal") == rows
    after = await everything(live.installation.kafka, events_topic("intake"), live.shards)
    assert len(after) == len(before)


async def test_a_database_that_has_all_that_was_told_goes_on(live):
    await worked(live, adds(20))
    await backed_up(live)
    await restored(live)
    await worked(live, adds(20))
    await live.prove()


async def test_a_ledger_that_has_another_event_there_is_not_it(live):
    await worked(live, adds(20))
    last = {shard: await asked(live, shard) for shard in range(live.shards)}
    connection = await live.owner()
    for shard, row in last.items():
        await must_have(connection, "intake", shard, row.position, row)
        await must_have(connection, "intake", shard, row.position + 5, row)
        with pytest.raises(Stopped, match=f"ledger ends at {row.position - 1}"):
            await must_have(connection, "intake", shard, row.position - 1, row)
        row.hash = b"\x00" * 32
        with pytest.raises(Stopped, match="another event"):
            await must_have(connection, "intake", shard, row.position, row)
    await connection.close()


@pytest.mark.parametrize("others", [1, LOOKED_BACK - 1])
async def test_what_others_wrote_there_is_looked_past(live, others):
    await worked(live, adds(20))
    expected = await asked(live, 0)
    async with writing(live) as producer:
        for _ in range(others):
            await producer.send(events_topic("intake"), b"?", partition=0)
    assert (await asked(live, 0)).position == expected.position


async def test_a_transactions_end_that_others_left_there_is_not_waited_for(live):
    await worked(live, adds(20))
    expected, before = await asked(live, 0), await end(live, 0)
    async with writing(live, transactional_id="others") as producer, producer.transaction():
        await producer.send(events_topic("intake"), b"?", partition=0)
    await until(lambda: is_so(end(live, 0), before + 2))
    assert (await asked(live, 0)).position == expected.position


async def test_a_topic_without_events_has_no_last_one(live):
    assert await asked(live, 0) is None


async def asked(live, shard):
    tail = Tail(Kafka(live.installation.kafka), "intake")
    try:
        return await tail.last(shard)
    finally:
        await tail.close()


async def end(live, shard):
    topic = events_topic("intake")
    return (await ranges(live.installation.kafka, {topic: live.shards}))[topic, shard][1]


@asynccontextmanager
async def writing(live, **settings):
    producer = AIOKafkaProducer(bootstrap_servers=live.installation.kafka, **settings)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
