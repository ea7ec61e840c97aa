"""The topics: made here, with one partition for each shard, and never by first use."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.contract.envelope import POLICIES, SERVICES, SUBMISSIONS, commands_topic, events_topic

DAYS = 24 * 60 * 60 * 1000
"""Milliseconds."""
OUR_TIME: Mapping[str, str] = {"message.timestamp.type": "LogAppendTime"}
"""A record's time is Kafka's, not its sender's: it is what a service's own clock is held against."""
LARGEST: Mapping[str, str] = {"max.message.bytes": str(2 * 1024 * 1024), **OUR_TIME}
"""Twice what Kafka takes by default: what came in at the default's limit must go out again, with all that was decided about it."""
THIRTY_DAYS: Mapping[str, str] = {"cleanup.policy": "delete", "retention.ms": str(30 * DAYS), **LARGEST}
FOR_EVER: Mapping[str, str] = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", **LARGEST}
NEWEST_OF_EACH_KEY: Mapping[str, str] = {"cleanup.policy": "compact", **LARGEST}

TOPICS: Mapping[str, Mapping[str, str]] = {
    SUBMISSIONS: {"cleanup.policy": "delete", "retention.ms": str(30 * DAYS), **OUR_TIME},
    **{commands_topic(service): THIRTY_DAYS for service in SERVICES},
    **{events_topic(service): FOR_EVER for service in SERVICES},
    POLICIES: NEWEST_OF_EACH_KEY,
}
"""All topics with their settings. The journals keep commands and submissions; events could be rebuilt from the ledgers."""
USABLE_SECONDS = 30.0
"""How long new topics may take until every partition has a leader."""
POLL_SECONDS = 0.02
"""How often it is looked whether they have."""
REPLICAS = -1
"""As many as the brokers' default says: one on the embedded broker, commonly three elsewhere."""


class TopicsDiffer(RuntimeError):
    """A topic is there but not as this installation needs it."""


@asynccontextmanager
async def admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connection to Kafka for what is not reading or writing.

    Raises:
        ConnectionError: when no broker answers there.
    """
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        try:
            await client.start()
        except KafkaError as problem:
            raise ConnectionError(f"no Kafka answers at {kafka}: {problem}") from problem
        yield client
    finally:
        await client.close()


async def cluster_id(client: AIOKafkaAdminClient) -> str:
    """The id that Kafka's storage was formatted with."""
    return str((await client.describe_cluster())["cluster_id"])


async def partitions(client: AIOKafkaAdminClient) -> dict[str, int]:
    """How many partitions each topic has that is there."""
    described = await client.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}


async def ranges(kafka: str, counts: Mapping[str, int]) -> dict[tuple[str, int], tuple[int, int]]:
    """The first offset that is there and the one after the last, by topic and partition, of topics with their numbers of partitions."""
    places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    if not places:
        return {}
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    try:
        await consumer.start()
        beginnings, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return {(place.topic, place.partition): (beginnings[place], ends[place]) for place in places}


async def holding_records(kafka: str, counts: Mapping[str, int]) -> list[str]:
    """Which topics ever had a record, of those named with their numbers of partitions."""
    return sorted({topic for (topic, _), (_, end) in (await ranges(kafka, counts)).items() if end})


def topics_with(submissions: Iterable[str] = ()) -> Mapping[str, Mapping[str, str]]:
    """All topics with their settings, those that upstreams have for themselves among them."""
    return {**TOPICS, **dict.fromkeys(submissions, TOPICS[SUBMISSIONS])}


async def ensure(client: AIOKafkaAdminClient, shards: int, submissions: Iterable[str] = ()) -> list[str]:
    """Makes the topics that are missing, waits until they can be used, and gives their names. `submissions`: upstreams' own topics.

    Raises:
        TopicsDiffer: when one that is there has another number of partitions than there are shards.
        KafkaError: when Kafka refuses to make one.
        TimeoutError: when the new ones can't be used in time.
    """
    ours = topics_with(submissions)
    missing = _missing(await partitions(client), shards, ours)
    if missing:
        wanted = [NewTopic(topic, shards, REPLICAS, replica_assignments={}, topic_configs=dict(ours[topic])) for topic in missing]
        _check(await client.create_topics(wanted))
        async with asyncio.timeout(USABLE_SECONDS):
            while _missing(await _usable(client), shards, ours):  # noqa: ASYNC110 - Kafka has no event to wait for
                await asyncio.sleep(POLL_SECONDS)
    return missing


def _missing(there: Mapping[str, int], shards: int, ours: Iterable[str]) -> list[str]:
    wrong = {topic: there[topic] for topic in ours if topic in there and there[topic] != shards}
    if wrong:
        found = ", ".join(f"{topic} has {count}" for topic, count in sorted(wrong.items()))
        raise TopicsDiffer(
            f"this installation has {shards} shards and each topic must have as many partitions, but {found}. The number is fixed when an "
            "installation is made: use its own Kafka, or set MAKEGOOD_SHARDS for a new one."
        )
    return [topic for topic in ours if topic not in there]


async def _usable(client: AIOKafkaAdminClient) -> dict[str, int]:
    """As `partitions`, but only topics whose partitions all have a leader."""
    described = await client.describe_topics()
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["error_code"] == 0 and all(partition["error_code"] == 0 for partition in topic["partitions"])
    }


def _check(answer: object) -> None:
    """Raises what Kafka answered for a topic, unless somebody else has just made it."""
    for topic, code, *reason in answer.topic_errors:  # type: ignore[attr-defined]
        problem = for_code(code)
        if code and problem is not TopicAlreadyExistsError:
            raise problem(f"{topic}: {reason[0] if reason and reason[0] else problem.description}")
