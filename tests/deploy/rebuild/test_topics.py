"""Kafka lost its data: the topics are made again from the ledgers, and everybody goes on."""

import asyncio
import json

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.database import installation
from deploy.install import InstallationDiffers, install
from deploy.rebuild import topics as rebuilding
from deploy.rebuild.events import ChangedRow, HoldsOther
from deploy.rebuild.topics import Loses, Refused, Task, rebuild
from deploy.topics import TOPICS, admin, ensure, partitions
from shared.contract.envelope import SUBMISSIONS, commands_topic, events_topic, shard_of
from shared.kafka import topic_ids
from shared.machine.relay import Relay
from tests.shared.machine.live import STREAMS, Live, adds, everything, is_so, producing, until
from tests.shared.machine.tally import Add
from tests.shared.machine.test_older import backed_up, restored

EVENTS = events_topic("intake")
BOSS = {"actor": "person:the.boss", "reason": "the disk died"}


@pytest.fixture
async def live(servers):
    """An installation of the test's own, without a member yet."""
    found = Live(await servers.fresh_installation())
    yield found
    await found.stop()


def task(live, **told):
    return Task(live.installation.owner_dsn, live.installation.kafka, [SUBMISSIONS], **{"accepted": True, **BOSS, **told})


async def worked(live, *commands):
    """A member decides these, tells all of it, and is gone."""
    member = await live.start()
    await live.ready()
    await live.send(*commands)
    await until(lambda: live.fetchval("SELECT count(*) >= $1 FROM journal WHERE topic LIKE '%.commands'", live.sent))
    await until(live.relayed)
    await live.stop()
    live.members.remove(member)


async def wiped(live, *topics):
    """These topics are gone; all of them, where none is named."""
    async with admin(live.installation.kafka) as client:
        gone = topics or TOPICS
        while there := set(gone) & (await partitions(client)).keys():
            await client.delete_topics(list(there))


async def asked_in_vain(live, monkeypatch):
    """Three requests were taken in; Kafka never took a fourth. The total is 4 + 2 * 3 + 1 until it is taken in, too."""
    await worked(live, *adds(4), *[(Add(number=1, then_tell=STREAMS[1]), STREAMS[0])] * 3)
    assert shard_of(STREAMS[0], live.shards) != shard_of(STREAMS[1], live.shards)

    async def refuses(*_):
        raise KafkaError

    with monkeypatch.context() as patch:
        patch.setattr(Relay, "_send_by", refuses)
        untold = await live.start()
        await live.send((Add(number=1, then_tell=STREAMS[1]), STREAMS[0]))
        await until(lambda: is_so(live.total(), 4 + 2 * 3 + 1))
        await untold.stop()
    live.members.clear()


async def as_though_further(live, topic, by):
    """As though this topic had been read so much further: Kafka was restored from older data, as the same topic."""
    await live.execute(
        "UPDATE head SET offsets = jsonb_set(offsets::jsonb, ARRAY[$1], to_jsonb((offsets::jsonb->>$1)::bigint + $2))::text"
        " WHERE offsets::jsonb ? $1", topic, by,
    )  # fmt: skip


async def told(live):
    """All of the events topic, as it lies there, by partition and without what is Kafka's own."""
    records = await everything(live.installation.kafka, EVENTS, live.shards)
    return sorted((one.partition, one.offset, one.key, one.value, one.headers) for one in records)


async def test_a_topic_made_again_has_the_same_ids_the_same_bytes_and_the_same_order(live):
    await worked(live, *adds(100), *[(Add(number=1, then_tell=STREAMS[1]), STREAMS[0])] * 10)
    before = await told(live)
    await wiped(live)
    done = await rebuild(task(live))
    assert await told(live) == before
    assert (done.written, done.there) == (len(before), 0)
    assert set(done.made) >= {EVENTS, SUBMISSIONS, "policies"}


async def test_who_read_on_goes_on(live):
    await worked(live, *adds(100))
    await wiped(live)
    await rebuild(task(live))
    await worked(live, *adds(60))
    assert await live.total() == 160
    proven = await live.prove()
    assert await live.on_kafka() == {one.shard: list(range(1, one.events + 1)) for one in proven}


async def test_interrupted_anywhere_it_goes_on_and_nobody_is_told_of_half_a_topic(live, monkeypatch):
    monkeypatch.setattr("deploy.rebuild.events.PAGE_ROWS", 7)
    await worked(live, *adds(200))
    before = await told(live)
    await wiped(live)

    def dies(done, _):
        if done > 50:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await rebuild(task(live), dies)
    assert 0 < len(await told(live)) < len(before)
    with pytest.raises(InstallationDiffers, match="makegood topics rebuild"):
        await install(live.installation.owner_dsn, live.installation.kafka, live.installation.settings)
    waiting = await live.start(wait=False)
    await asyncio.sleep(0.5)
    assert waiting.figures.group is None, "a service waits for it"
    owner = await live.owner()
    assert (await installation(owner)).rebuilding
    await owner.close()
    ready, told_of = waiting.figures.ready()
    assert not ready
    assert told_of["waits"].startswith("until the topics are made again: that is under way, or was interrupted, and `makegood topics")
    monkeypatch.setattr(rebuilding, "GONE_SECONDS", 0.1)
    with pytest.raises(Refused, match="intake are at work, or wait for this to be done"):
        await rebuild(task(live))
    await waiting.stop()
    live.members.clear()
    done = await rebuild(task(live))
    assert done.there + done.written == len(before)
    assert done.there > 0
    assert await told(live) == before
    await worked(live, *adds(10))


async def test_what_is_whole_is_left_as_it_is(live):
    await worked(live, *adds(20))
    before, incarnations = await told(live), await live.fetchval("SELECT array_agg(incarnations ORDER BY shard) FROM head")
    done = await rebuild(task(live, accepted=False))
    assert (done.written, done.made, done.lost, done.goes_on) == (0, [], [], [])
    assert await told(live) == before
    assert await live.fetchval("SELECT array_agg(incarnations ORDER BY shard) FROM head") == incarnations


async def test_what_may_be_lost_is_said_before_anything_is_changed(live):
    await worked(live, *adds(20))
    await wiped(live, commands_topic("intake"))
    heads = "SELECT array_agg(head::text ORDER BY shard) FROM head"
    before = await live.fetchval(heads)
    with pytest.raises(Loses) as losing:
        await rebuild(task(live, accepted=False))
    [sentence] = losing.value.what
    assert sentence.startswith("intake.commands is begun anew: intake, shards 0 to 3, had read the old one up to these offsets (0: ")
    assert losing.value.events == 0
    assert await live.fetchval(heads) == before
    assert not await live.fetchval("SELECT rebuilding FROM public.installation")
    async with admin(live.installation.kafka) as client:
        assert commands_topic("intake") not in await partitions(client)


async def test_a_request_that_nobody_had_taken_in_is_sent_again_and_no_other(live, monkeypatch):
    await asked_in_vain(live, monkeypatch)
    await wiped(live)
    done = await rebuild(task(live))
    assert done.asked == 1
    await live.start()
    await until(lambda: is_so(live.total(), 4 + 2 * 4))
    await live.prove()


@pytest.mark.parametrize("further", [1, 1_000])
@pytest.mark.parametrize("interrupted", [False, True])
async def test_a_request_that_is_sent_again_to_a_topic_that_is_shorter_than_what_was_read_is_taken_in(
    live, monkeypatch, further, interrupted
):
    await asked_in_vain(live, monkeypatch)
    await as_though_further(live, commands_topic("intake"), further)

    async def dies(*_):
        raise InterruptedError

    if interrupted:
        with monkeypatch.context() as patch:
            patch.setattr(rebuilding, "_all_is_told", dies)
            with pytest.raises(InterruptedError):
                await rebuild(task(live))
    assert (await rebuild(task(live, accepted=not interrupted))).asked == 1
    await live.start()
    await until(lambda: is_so(live.total(), 4 + 2 * 4))
    await live.prove()


async def test_who_had_read_further_than_an_older_topic_reads_it_from_its_beginning_though_it_is_filled_beyond(live):
    await worked(live, *adds(100))
    await wiped(live, EVENTS)
    async with admin(live.installation.kafka) as client:
        await ensure(client, live.shards)
        ids = await topic_ids(client._client, [EVENTS])
    offsets, incarnations = json.dumps({EVENTS: 5}), json.dumps({EVENTS: ids[EVENTS]})
    await live.execute("UPDATE resolution.head SET offsets = $1, incarnations = $2", offsets, incarnations)
    places = "INSERT INTO console.places (service, shard, next_offset, incarnation) SELECT 'intake', shard, 5, $1 FROM head"
    await live.execute(places, ids[EVENTS])
    done = await rebuild(task(live))
    assert {(one.service, one.topic, one.read, one.at, one.anew) for one in done.goes_on} == {("resolution", EVENTS, 5, 0, False)}
    assert await live.fetchval("SELECT array_agg(DISTINCT offsets || incarnations) FROM resolution.head") == ["{}{}"]
    assert await live.fetchval("SELECT array_agg(DISTINCT next_offset || incarnation) FROM console.places") == ["0"]


async def test_nothing_is_written_while_somebody_is_at_work(live, monkeypatch):
    monkeypatch.setattr(rebuilding, "GONE_SECONDS", 0.1)
    await live.start()
    await live.ready()
    with pytest.raises(Refused, match="intake are at work"):
        await rebuild(task(live))
    assert not await live.fetchval("SELECT rebuilding FROM public.installation")


async def foreign(live):
    """A record that no relay wrote."""
    async with producing(live.installation.kafka) as producer:
        await producer.send_and_wait(EVENTS, b"?", partition=0)


async def another(live):
    """Another story under the same positions, as told from an older database."""
    await live.execute("UPDATE ledger SET hash = sha256(hash) WHERE shard = 0 AND position = 2")


async def older(live):
    """The ledger of an older backup."""
    await live.execute("DELETE FROM ledger WHERE shard = 0 AND position = (SELECT max(position) FROM ledger WHERE shard = 0)")


async def holed(live):
    """The first of the events are gone."""
    async with admin(live.installation.kafka) as client:
        await client.delete_records({TopicPartition(EVENTS, 0): RecordsToDelete(2)})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(foreign, "is no event of intake"), (another, "another event at 2 "), (older, "another event"), (holed, "not position 1")],
)
async def test_a_topic_that_holds_something_else_is_left_alone(live, spoil, said):
    await worked(live, *adds(40))
    await spoil(live)
    before = await told(live)
    await wiped(live, "resolution.events")
    with pytest.raises(HoldsOther, match=said):
        await rebuild(task(live))
    assert await told(live) == before
    assert not await live.fetchval("SELECT rebuilding FROM public.installation")


async def test_topics_whose_records_were_deleted_are_filled_and_read_on(live):
    await worked(live, *adds(40))
    async with admin(live.installation.kafka) as client:
        ends = {shard: positions[-1] for shard, positions in (await live.on_kafka()).items()}
        await client.delete_records({TopicPartition(EVENTS, shard): RecordsToDelete(end) for shard, end in ends.items()})
    assert (await rebuild(task(live))).written == sum(ends.values())
    assert await live.on_kafka() == {shard: list(range(1, end + 1)) for shard, end in ends.items()}


async def test_a_ledger_that_was_changed_is_told_to_nobody(live):
    await worked(live, *adds(40))
    await live.execute("UPDATE ledger SET actor = 'person:the.boss' WHERE shard = 0 AND position = 3")
    await wiped(live)
    with pytest.raises(ChangedRow, match="intake's ledger, shard 0, is not what was written at 3"):
        await rebuild(task(live))


async def test_another_cluster_takes_the_place_of_a_lost_one_only_where_it_is_named(live):
    await worked(live, *adds(10))
    await wiped(live)
    mine = await live.fetchval("SELECT cluster_id FROM public.installation")
    await live.execute("UPDATE public.installation SET cluster_id = 'lost'")
    with pytest.raises(Refused, match=f"belongs to lost, but {mine} answers"):
        await rebuild(task(live))
    with pytest.raises(Refused, match=f"is {mine}, not a third"):
        await rebuild(task(live, cluster="a third"))
    with pytest.raises(Refused, match="leave --service out"):
        await rebuild(task(live, cluster=mine, services=("intake",)))
    await rebuild(task(live, cluster=mine))
    assert await live.fetchval("SELECT cluster_id FROM public.installation") == mine
    await worked(live, *adds(10))
    assert await live.total() == 20


async def test_who_accepted_what_and_why_is_kept_and_when_it_was_whole_again(live, monkeypatch):
    await worked(live, *adds(20))
    await wiped(live, commands_topic("intake"))
    mine = await live.fetchval("SELECT cluster_id FROM public.installation")
    await live.execute("UPDATE public.installation SET cluster_id = 'lost'")

    async def dies(*_):
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(rebuilding, "_write", dies)
        with pytest.raises(InterruptedError):
            await rebuild(task(live, cluster=mine))
    kept = "SELECT row(actor, reason, services, cluster_before, cluster_after, ended_at IS NULL)::text FROM public.topics_rebuilt LIMIT 1"
    said = '(person:the.boss,"the disk died","{intake,resolution,rootcause}",lost,%s,%s)'
    assert await live.fetchval(kept) == said % (mine, "t")
    [lost] = await live.fetchval("SELECT lost FROM public.topics_rebuilt")
    assert lost.startswith("intake.commands is begun anew: intake, shards 0 to 3, had read the old one up to these offsets (0: ")
    await rebuild(task(live, accepted=False, reason=""))
    assert await live.fetchval(kept) == said % (mine, "f")
    assert await live.fetchval("SELECT count(*) FROM public.topics_rebuilt WHERE lost = '{}' AND ended_at IS NOT NULL") == 1


async def test_where_nothing_was_changed_nobody_is_said_to_have_changed_it(live):
    await worked(live, *adds(20))
    await wiped(live, commands_topic("intake"))
    with pytest.raises(Loses):
        await rebuild(task(live, accepted=False))
    assert await live.fetchval("SELECT to_regclass('public.topics_rebuilt')") is None


@pytest.mark.parametrize("topic", ["resolution.events", "resolution.commands"])
async def test_a_topic_of_a_service_that_is_left_out_is_not_made_empty(live, topic):
    await worked(live, *adds(20))
    await wiped(live, EVENTS, topic)
    with pytest.raises(Refused, match=f"{topic} are not there either.*leave --service out"):
        await rebuild(task(live, services=("intake",)))
    async with admin(live.installation.kafka) as client:
        assert topic not in await partitions(client)
    assert not await live.fetchval("SELECT rebuilding FROM public.installation")


async def test_what_was_begun_for_all_services_is_not_said_to_be_done_when_one_is(live, monkeypatch):
    await worked(live, *adds(20))
    await wiped(live)

    async def dies(*_):
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(rebuilding, "_write", dies)
        with pytest.raises(InterruptedError):
            await rebuild(task(live))
    with pytest.raises(Refused, match=r"the topics of intake, rootcause were begun.*leave --service out"):
        await rebuild(task(live, services=("resolution",)))
    assert await live.fetchval("SELECT rebuilding FROM public.installation")
    await rebuild(task(live))
    await rebuild(task(live, services=("resolution",)))
    assert not await live.fetchval("SELECT rebuilding FROM public.installation")


async def test_one_rebuild_at_a_time(live):
    connection = await live.owner()
    await connection.execute("SELECT pg_advisory_lock($1)", rebuilding.LOCK)
    with pytest.raises(Refused, match="another rebuild"):
        await rebuild(task(live))
    await connection.close()


async def test_where_the_newer_database_is_gone_for_good_what_kafka_still_has_is_decided_again(live):
    await worked(live, *adds(40))
    await backed_up(live)
    await worked(live, *adds(60), (Add(number=1, then_tell=STREAMS[1]), STREAMS[0]))
    await restored(live)
    with pytest.raises(HoldsOther):
        await rebuild(task(live))
    await wiped(live, EVENTS)
    await rebuild(task(live, accepted=False))
    await live.start()
    await until(lambda: is_so(live.total(), 102))
    await until(live.relayed)
    proven = await live.prove()
    assert await live.on_kafka() == {one.shard: list(range(1, one.events + 1)) for one in proven}
