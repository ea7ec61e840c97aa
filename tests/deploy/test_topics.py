import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from deploy.topics import TOPICS, TopicsDiffer, admin, cluster_id, ensure, holding_records, partitions

DAY = 24 * 60 * 60 * 1000


@pytest.fixture
async def client(servers):
    await servers.without_topics()
    async with admin(servers.kafka) as client:
        yield client


async def deleted(client, topic):
    await client.delete_topics([topic])
    while topic in await partitions(client):  # noqa: ASYNC110 - Kafka has no event to wait for
        await asyncio.sleep(0.01)


async def settings(client, topic):
    [answer] = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    [resource] = answer.resources
    return {entry[0]: entry[1] for entry in resource[4]}


async def test_each_topic_has_a_partition_for_each_shard(client):
    assert await ensure(client, 3) == list(TOPICS)
    there = await partitions(client)
    assert {topic: there[topic] for topic in TOPICS} == dict.fromkeys(TOPICS, 3)
    assert {"complaints.submissions", "intake.commands", "resolution.events", "rootcause.events", "policies"} < set(TOPICS)


async def test_making_them_twice_changes_nothing(client):
    await ensure(client, 3)
    assert await ensure(client, 3) == []


async def test_only_what_is_missing_is_made(client):
    await ensure(client, 3)
    await deleted(client, "policies")
    assert await ensure(client, 3) == ["policies"]


async def test_a_topic_of_an_upstreams_own_is_kept_like_the_others(client):
    own = "complaints.submissions.shop"
    assert await ensure(client, 2, [own]) == [*TOPICS, own]
    assert (await partitions(client))[own] == 2
    assert await settings(client, own) == await settings(client, "complaints.submissions")
    await deleted(client, own)


async def test_events_are_kept_for_ever_and_what_the_journals_hold_for_thirty_days(client):
    await ensure(client, 1)
    for topic in ("intake.events", "resolution.events", "rootcause.events"):
        found = await settings(client, topic)
        assert (found["cleanup.policy"], found["retention.ms"], found["retention.bytes"]) == ("delete", "-1", "-1")
    for topic in ("complaints.submissions", "intake.commands", "resolution.commands", "rootcause.commands"):
        found = await settings(client, topic)
        assert (found["cleanup.policy"], found["retention.ms"]) == ("delete", str(30 * DAY))


async def test_of_policies_the_newest_of_each_tenant_stays(client):
    await ensure(client, 1)
    assert (await settings(client, "policies"))["cleanup.policy"] == "compact"


async def test_what_came_in_at_the_largest_can_go_out_again(client, servers):
    await ensure(client, 1)
    largest_in = int((await settings(client, "complaints.submissions"))["max.message.bytes"])
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka, max_request_size=3 * largest_in)
    await producer.start()
    try:
        for topic in ("intake.events", "intake.commands", "policies"):
            await producer.send_and_wait(topic, b"x" * (largest_in + 100_000), key=b"key")
    finally:
        await producer.stop()


async def test_another_number_of_partitions_is_refused_by_name_and_nothing_is_made(client):
    await ensure(client, 3)
    await deleted(client, "policies")
    with pytest.raises(TopicsDiffer, match=r"16 shards.*intake\.events has 3"):
        await ensure(client, 16)
    assert "policies" not in await partitions(client)


async def test_a_topic_is_never_made_by_its_first_use(client, servers):
    topic = servers.fresh_topic()
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka, request_timeout_ms=500)
    await producer.start()
    try:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(topic, b"hello")
    finally:
        await producer.stop()
    assert topic not in await partitions(client)


async def test_a_topic_that_ever_had_a_record_is_found(client, servers):
    await ensure(client, 2)
    async with AIOKafkaProducer(bootstrap_servers=servers.kafka) as producer:
        await producer.send_and_wait("intake.events", b"told", partition=1)
    assert await holding_records(servers.kafka, {"intake.events": 2, "resolution.events": 2}) == ["intake.events"]
    assert await holding_records(servers.kafka, {}) == []


async def test_the_cluster_says_which_one_it_is(client):
    assert len(await cluster_id(client)) == 22


async def test_nobody_there_is_said_with_the_address():
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1"):
        async with admin("127.0.0.1:1"):
            pass
