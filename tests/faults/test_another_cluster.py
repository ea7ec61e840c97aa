"""Another Kafka answers at the address: it is refused, and everybody says so clearly. Two real brokers take turns at one port."""

import asyncio

import pytest

from deploy.doctor import looking
from deploy.doctor.judging import servers as judged
from deploy.doctor.seen import Level, Seen
from deploy.install import InstallationDiffers, install
from deploy.local.stack import Stack
from deploy.status import Status
from deploy.topics import admin, cluster_id, ensure
from shared.contract.envelope import commands_topic, events_topic
from shared.machine import relay
from shared.settings import Settings
from tests.faults.own_servers import broker
from tests.servers import SHARDS, Installation
from tests.shared.machine.live import Live, adds, everything, is_so, until


async def started(address, dsn):
    """An installation, and a member of it that works."""
    settings = Settings(kafka=address, shards=SHARDS, database=dsn)
    live = Live(Installation(address, dsn, settings, await install(dsn, address, settings)))
    member = await live.start()
    await live.ready()
    return live, member


async def test_another_cluster_behind_the_address_is_refused_and_said_to_be_one(servers, tmp_path, ports, monkeypatch):
    monkeypatch.setattr("shared.machine.group.LOOK_EVERY_SECONDS", 0.5)
    monkeypatch.setattr("shared.machine.worker.PAUSE_MAX_SECONDS", 0.5)
    async with broker(tmp_path / "ours", ports) as ours:
        live, member = await started(address := ours.program.address, dsn := await servers.fresh_database())
        await live.send(*adds(20))
        await until(lambda: is_so(live.events("intake.Added.v1"), 20))
        await until(live.relayed)
    async with broker(tmp_path / "another", ports) as another:
        assert another.program.address == address
        async with admin(address) as client:
            await ensure(client, SHARDS)  # the worst of them: it has topics of the same names
            other = await cluster_id(client)
        mine = live.installation.installed.cluster_id
        said = f"a different Kafka cluster is behind the address: this installation belongs to {mine}, but {other} answers"
        await until(lambda: said in str(member.figures.ready()[1]), 60)
        assert not member.figures.ready()[0]
        late = await live.start(wait=False)
        await until(lambda: said in str(late.figures.ready()[1]), 60)
        assert await live.fetchval("SELECT count(*) FROM journal WHERE topic <> ''") == 20, "nothing is read from it"
        assert await everything(address, events_topic("intake"), SHARDS) == [], "or told to it"
        with pytest.raises(InstallationDiffers, match=f"belongs to .*, but {other} answers.*makegood topics rebuild --cluster {other}"):
            await install(dsn, address, live.installation.settings)
        [finding] = await diagnosed(address, dsn)
        assert f"{other} answers" in finding.what
        assert f"--cluster {other}" in finding.do
        await late.stop()
        live.members.remove(late)
    async with broker(tmp_path / "ours", ports):
        await until(lambda: member.figures.ready()[0], 60)
        await live.send(*adds(20))
        await until(lambda: is_so(live.total(), 40), 60)
        await live.prove()
        await live.stop()


async def test_what_was_not_relayed_when_another_cluster_came_is_told_to_our_own_when_it_is_back(servers, tmp_path, ports, monkeypatch):
    goes, send = asyncio.Event(), relay._send_to

    async def held(*what):
        await goes.wait()
        await send(*what)

    goes.set()
    monkeypatch.setattr(relay, "_send_to", held)
    async with broker(tmp_path / "ours", ports) as ours:
        live, member = await started(address := ours.program.address, await servers.fresh_database())
        await live.send(*adds(20))
        await until(live.relayed)
        goes.clear()
        await live.send(*adds(20))
        await until(lambda: is_so(live.total(), 40))
        assert not await live.relayed()
    async with broker(tmp_path / "another", ports):
        async with admin(address) as client:
            await ensure(client, SHARDS)
        goes.set()  # the producer sends to whoever is at the address now
        await until(lambda: "a different Kafka cluster" in str(member.figures.ready()[1]), 60)
        await asyncio.sleep(3)
        assert not await live.relayed(), "nobody of ours has it"
        for topic in (events_topic("intake"), commands_topic("intake")):
            assert await everything(address, topic, SHARDS) == [], "and nobody else is told"
    async with broker(tmp_path / "ours", ports):
        await until(live.relayed, 90)
        ends = {shard: await live.fetchval("SELECT position FROM head WHERE shard = $1", shard) for shard in range(SHARDS)}
        assert {shard: sorted(set(there)) for shard, there in (await live.on_kafka()).items()} == {
            shard: list(range(1, end + 1)) for shard, end in ends.items()
        }
        await live.stop()


async def test_a_process_that_is_led_to_another_cluster_takes_no_shard_from_who_has_it(servers, tmp_path, ports):
    live, _ = await started(servers.kafka, await servers.fresh_database())
    epochs = await live.fetchval("SELECT array_agg(epoch ORDER BY shard) FROM head")
    async with broker(tmp_path / "another", ports) as another:
        async with admin(another.program.address) as client:
            await ensure(client, SHARDS)
        astray = await live.start(wait=False, kafka=another.program.address)
        await until(lambda: "a different Kafka cluster" in str(astray.figures.ready()[1]), 60)
        await asyncio.sleep(3)
        assert not astray.shards
        async with admin(another.program.address) as client:
            assert await client.list_consumer_groups() == [], "nobody asks for a share of another cluster's shards"
        assert await live.fetchval("SELECT array_agg(epoch ORDER BY shard) FROM head") == epochs
        await astray.stop()
        live.members.remove(astray)
    await live.stop()


async def diagnosed(kafka, dsn):
    """What the doctor says is wrong with the servers."""
    seen = Seen("/home", True, Status("/home", "running"))
    stack = Stack("/home", kafka, dsn, "")
    seen = await looking._with_database(await looking._with_kafka(seen, stack), stack)
    return [one for one in judged(seen) if one.level is Level.WRONG]
