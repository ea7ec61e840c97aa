"""What other event stores admit that they can't promise, held against ours: real servers, and the trouble itself."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from deploy.doctor import looking
from deploy.doctor.judging import ledgers
from deploy.doctor.seen import Level, Seen
from deploy.install import install
from deploy.local.stack import Stack
from deploy.status import Status
from shared.contract.envelope import shard_of
from shared.machine import store
from shared.settings import Settings
from tests.faults.own_servers import broker, kill
from tests.servers import SHARDS, Installation
from tests.shared.machine.live import STREAMS, Live, adds, is_so, until
from tests.shared.machine.tally import MIND, TALLY, Add
from tests.shared.machine.test_older import backed_up, restored, worked

HELD_SECONDS = 4.0
"""Longer than a silent session is suffered by the server. By hand it was 60."""


@pytest.fixture
async def live(servers):
    found = Live(await servers.fresh_installation())
    yield found
    await found.stop()


async def test_a_transaction_held_open_beside_the_writer_is_neither_skipped_nor_waited_for_by_others(live):
    """Where positions come from a sequence, whoever reads must guess about gaps: wait for the open one, or pass it over."""
    await live.start()
    await live.ready()
    await live.send(*adds(40))
    await until(lambda: is_so(live.total(), 40))
    held = shard_of(STREAMS[0], live.shards)
    there = [stream for stream in STREAMS if shard_of(stream, live.shards) == held]
    elsewhere = [stream for stream in STREAMS if shard_of(stream, live.shards) != held]
    owner = await live.owner()
    async with owner.transaction():
        await owner.fetchrow("SELECT * FROM head WHERE shard = $1 FOR UPDATE", held)
        await owner.execute("INSERT INTO relayed (shard, position, at) VALUES ($1, 1000000, now())", held + 1000)
        await live.send(*adds(20, of=there), *adds(60, of=elsewhere))
        await until(lambda: is_so(live.total(), 100))
        await until(lambda: told(live, everywhere_but=held))
        await asyncio.sleep(HELD_SECONDS)
        await live.send(*adds(60, of=elsewhere))
        await until(lambda: is_so(live.total(), 160))
    await owner.close()
    await until(lambda: is_so(live.total(), 180), 60)
    await until(live.relayed)
    assert await live.on_kafka() == {one.shard: list(range(1, one.events + 1)) for one in await live.prove()}


async def told(live, everywhere_but):
    """Whether Kafka has all of the other shards."""
    behind = "SELECT count(*) FROM head h WHERE shard <> $1 AND position > (SELECT max(position) FROM relayed r WHERE r.shard = h.shard)"
    return await live.fetchval(behind, everywhere_but) == 0


async def test_the_broker_down_during_intake_loses_nothing_and_doubles_nothing(servers, tmp_path, ports):
    async with broker(tmp_path, ports) as part:
        dsn = await servers.fresh_database()
        settings = Settings(kafka=part.program.address, shards=SHARDS, database=dsn)
        live = Live(Installation(part.program.address, dsn, settings, await install(dsn, part.program.address, settings)))
        await live.start()
        await live.ready()

        async def send():
            for _ in range(40):
                await live.send(*adds(100))

        sending = asyncio.create_task(send())
        for _ in range(3):
            await asyncio.sleep(0.7)
            before = part.pid
            with suppress(ProcessLookupError):
                kill(part)
            await until(lambda before=before: part.pid not in {None, before}, 60)
        await asyncio.wait_for(sending, 120)
        await until(lambda: is_so(live.total(), 4_000), 60)
        await until(live.relayed, 60)
        assert await live.events("intake.Added.v1") == 4_000
        on_kafka = await live.on_kafka()
        for one in await live.prove():
            assert list(dict.fromkeys(on_kafka[one.shard])) == list(range(1, one.events + 1)), "each first comes in its turn"
        await live.stop()


def nothing(state, command, context):
    """A mind that has nothing to say to some commands."""
    return [] if isinstance(command, Add) and command.number == 7 else TALLY.decide(state, command, context)


async def test_nothing_is_never_appended_whoever_asks_is_told_that_nothing_changed(live):
    await live.start(replace(MIND, streams={"tally": replace(TALLY, decide=nothing)}))
    await live.ready()
    await live.send((Add(number=7), STREAMS[0]), (Add(number=1), STREAMS[0]))
    await until(lambda: is_so(live.total(), 1))
    assert await live.events("machine.NothingChanged.v1") == 1
    assert await live.fetchval("SELECT count(*) FROM journal WHERE topic LIKE '%.commands' AND events = 0") == 0
    live.mind = replace(MIND, streams={"tally": replace(TALLY, decide=nothing)})
    await live.prove()


async def test_an_empty_batch_is_not_written(live):
    connection = await live.owner()
    head = await store.read_head(connection, 0)
    await connection.close()
    await live.start()
    await live.ready()
    await until(lambda: live.fetchval("SELECT entry > 0 FROM head WHERE shard = 0"))
    entry = await live.fetchval("SELECT entry FROM head WHERE shard = 0")
    xmin = await live.fetchval("SELECT xmin::text FROM head WHERE shard = 0")
    worker = live.members[0].figures.group.workers[0]
    await worker._decide([], 1)
    assert await live.fetchval("SELECT entry FROM head WHERE shard = 0") == entry > head.entry
    assert await live.fetchval("SELECT xmin::text FROM head WHERE shard = 0") == xmin, "the head was not written either"


async def test_a_database_that_was_restored_behind_its_topics_is_found_at_start_and_by_the_doctor(live):
    await worked(live, adds(40))
    assert await diagnosed(live) == []
    await backed_up(live)
    await worked(live, adds(40))
    await restored(live)
    [finding] = await diagnosed(live)
    assert finding.about == "ledger"
    assert "Kafka has events of intake, shards 0 to 3, that its ledger has not" in finding.what
    assert "`makegood topics rebuild`" in finding.do
    member = await live.start()
    await until(lambda: {cause for cause, _ in member.troubles.values()} == {"older ledger"})


async def diagnosed(live):
    """What the doctor says is wrong with the ledgers."""
    stack = Stack("/home", live.installation.kafka, live.installation.owner_dsn, "")
    seen = Seen("/home", True, Status("/home", "running"))
    seen = await looking._with_database(await looking._with_kafka(seen, stack), stack)
    assert (seen.kafka_silence, seen.database_silence) == ("", "")
    return [one for one in ledgers(seen) if one.level is Level.WRONG]
