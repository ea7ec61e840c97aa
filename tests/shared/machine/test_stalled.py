"""/readyz tells a busy service from a stalled one, on real Kafka and PostgreSQL: a frozen reader never looks healthy."""

import asyncio
import time
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from shared.contract.envelope import commands_topic, shard_of
from shared.machine.group import Torn
from tests.shared.machine.live import STREAMS, adds, is_so, until
from tests.shared.machine.tally import MIND, TALLY, Add, headers, key


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("shared.machine.progress.STALLED_SECONDS", 1.0)
    monkeypatch.setattr("shared.machine.group.ENDS_EVERY_SECONDS", 0.2)


def told(member):
    return member.figures.ready()


def causes(member):
    return {trouble["cause"] for trouble in told(member)[1].get("troubles", {}).values()}


async def frozen_reader(live):
    """A member whose consumer fetches nothing any more, and says nothing of it."""
    member = await live.start()
    await live.ready()
    await live.send(*adds(40))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    await until(lambda: told(member)[1]["behind"]["records"] == 0)
    consumer = member.figures.group._consumer
    consumer.pause(*(TopicPartition(commands_topic("intake"), shard) for shard in range(live.shards)))
    await live.send(*adds(40))
    return member, consumer


async def test_a_reader_that_is_given_nothing_is_found_out(live):
    member, consumer = await frozen_reader(live)
    await until(lambda: causes(member) == {"stalled"})
    fine, known = told(member)
    assert not fine
    assert known["behind"]["records"] == 40
    assert known["behind"]["seconds"] > 0.8
    assert "Kafka has" in str(known["troubles"])
    consumer.resume(*consumer.assignment())
    await until(lambda: is_so(live.events("intake.Added.v1"), 80))
    await until(lambda: told(member)[0])
    assert told(member)[1]["behind"] == {"records": 0, "seconds": 0.0}


async def test_the_end_of_a_senders_transaction_is_no_record_that_is_waited_for(live, monkeypatch):
    monkeypatch.setattr("shared.machine.progress.HUNG_SECONDS", 2.0)
    member = await live.start()
    await live.ready()
    producer = AIOKafkaProducer(bootstrap_servers=live.installation.kafka, transactional_id="upstream")
    await producer.start()
    for number in range(2):
        await producer.begin_transaction()
        await send_adds(live, producer, f"transaction{number}")
        await producer.commit_transaction()
    await producer.stop()
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    await until(lambda: told(member)[1]["behind"] == {"records": 0, "seconds": 0.0})
    for _ in range(30):
        await asyncio.sleep(0.1)
        assert told(member)[0], told(member)[1]
        assert told(member)[1]["behind"] == {"records": 0, "seconds": 0.0}
    assert not member.task.done()
    await live.send(*adds(20))
    await until(lambda: is_so(live.events("intake.Added.v1"), 60))
    await live.prove()


async def test_what_a_sender_aborts_or_never_ends_is_read_at_once(live):
    await live.start()
    await live.ready()
    producer = AIOKafkaProducer(bootstrap_servers=live.installation.kafka, transactional_id="upstream")
    await producer.start()
    await producer.begin_transaction()
    await send_adds(live, producer, "open")
    await until(lambda: is_so(live.events("intake.Added.v1"), 20))
    await producer.abort_transaction()
    await producer.begin_transaction()
    await send_adds(live, producer, "open")  # it sends again what it aborted: that counts once
    await producer.commit_transaction()
    await producer.stop()
    await live.send(*adds(20))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    await live.prove()


async def send_adds(live, producer, name):
    """20 of them, acknowledged: who ends a transaction before that may have sent less."""
    sent = [
        await producer.send(
            commands_topic("intake"), command.to_bytes(), key=key(stream), partition=shard_of(stream, live.shards),
            headers=headers(command, stream, f"{name}{stream}"),
        )
        for command, stream in adds(20)
    ]  # fmt: skip
    await asyncio.gather(*sent)


async def test_a_reader_that_stays_frozen_is_not_kept(live, monkeypatch):
    monkeypatch.setattr("shared.machine.progress.HUNG_SECONDS", 2.0)
    member, _ = await frozen_reader(live)
    await until(member.task.done)
    (torn,) = member.task.exception().exceptions
    assert isinstance(torn, Torn)
    assert "nothing is fetched" in str(torn)
    live.members.clear()
    await live.start()
    await until(lambda: is_so(live.events("intake.Added.v1"), 80))
    await live.prove()


async def test_a_consumer_whose_fetching_died_without_a_word_is_found_out(live):
    member = await live.start()
    await live.ready()
    for task in [task for task in asyncio.all_tasks() if "Fetcher" in str(task.get_coro())]:
        task.cancel()
    await live.send(*adds(40))
    await until(lambda: not told(member)[0])


async def test_a_batch_that_postgresql_keeps_waiting_is_not_healthy(live):
    member = await live.start()
    await live.ready()
    owner = await live.owner()
    async with owner.transaction():
        await owner.execute("SELECT * FROM head FOR UPDATE")
        await live.send(*adds(40))
        await until(lambda: causes(member) == {"stalled"})
        assert not told(member)[0]
    await owner.close()
    await until(lambda: told(member)[0])
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))


async def test_who_has_much_to_do_and_does_it_is_busy_and_says_how_far_behind_it_is(live, monkeypatch):
    monkeypatch.setattr("shared.machine.progress.STALLED_SECONDS", 5.0)

    def slowly(state, command, context):
        time.sleep(0.05)
        return TALLY.decide(state, command, context)

    slow = replace(MIND, streams={"tally": replace(TALLY, decide=slowly)})
    member = await live.start(slow, batch_records=4)
    await live.ready()
    await live.send(*((Add(number=1), STREAMS[n % 40]) for n in range(160)))
    seconds = []
    while await live.events("intake.Added.v1") < 160:
        fine, known = told(member)
        assert fine, known
        seconds.append(known["behind"]["seconds"])
        await asyncio.sleep(0.2)
    assert max(seconds) > 5.0, "longer than what would be stalled, and yet not stalled"
    await until(lambda: told(member)[1]["behind"] == {"records": 0, "seconds": 0.0})


async def test_a_member_without_its_share_is_not_healthy(live):
    member = await live.start()
    await live.ready()
    group = member.figures.group
    await group.revoked(group._consumer.assignment())
    fine, known = told(member)
    assert (fine, known["waits"]) == (False, "for PostgreSQL, Kafka or its share of the shards")


async def test_who_hears_nothing_of_kafka_does_not_know_what_there_is_to_do(live, monkeypatch):
    monkeypatch.setattr("shared.machine.group.SILENT_SECONDS", 1.0)
    member = await live.start()
    await live.ready()
    group = member.figures.group
    real = group._consumer

    class Silent:
        def __getattr__(self, name):
            return getattr(real, name)

        async def end_offsets(self, places):
            await asyncio.sleep(60)

    group._consumer = Silent()
    await until(lambda: not told(member)[0])
    assert "Kafka has not answered for" in told(member)[1]["waits"]
    group._consumer = real
    await until(lambda: told(member)[0], 10)


async def test_a_client_that_went_deaf_is_made_anew(live, monkeypatch):
    monkeypatch.setattr("shared.machine.group.SILENT_SECONDS", 1.0)
    monkeypatch.setattr("shared.machine.group.DEAF_SECONDS", 4.0)
    monkeypatch.setattr("shared.machine.group.ENDS_SECONDS", 0.5)
    member = await live.start()
    await live.ready()
    group = member.figures.group
    deaf = group._consumer
    deaf._client._sync_task.cancel()
    deaf._client.force_metadata_update()
    await until(lambda: not told(member)[0])
    await until(lambda: told(member)[0], 30)
    assert group._consumer is not deaf
    await live.send(*adds(40))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    assert not member.task.done()
