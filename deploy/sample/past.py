"""What was said in an earlier run of the same sample, read from the event topics.

That a message was repeated says where its first answer stands; but a script waits for other services' facts, too, and those are told
once. So the second run hears the first one's answers before it begins.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from deploy.feed.listener import Listener
from deploy.sample.prompter import Heard
from shared.contract.envelope import SERVICES, events_topic, is_requested, text_headers

MARGIN_MS = 600_000
"""How far Kafka's clock may be behind PostgreSQL's, in milliseconds."""
RETRY_SECONDS = 1.0
"""Between two attempts to reach Kafka."""

T = TypeVar("T")
log = structlog.get_logger()


class NotThere(LookupError):
    """An event topic has no such position."""


def position_of(headers: Mapping[str, str]) -> int:
    """Where an event stands in its shard's ledger; 0 for a record that no relay wrote."""
    found = headers.get("ledger-position", "")
    return int(found) if found.isdigit() else 0


def heard_in(headers: Mapping[str, str], body: bytes | None) -> Heard | None:
    """The event in a record; None where it only passes a request on."""
    type_name = headers.get("ce_type", "")
    if not type_name or is_requested(type_name):
        return None
    cause, stream = headers.get("ce_causationid", ""), headers.get("ce_subject", "")
    return Heard(cause, type_name, stream, body or b"", headers.get("ce_id", ""), headers.get("ce_time", ""))


async def said_at(kafka: str, service: str, shard: int, position: int) -> Heard:
    """The event at a position of a ledger.

    Its offset is not before its position, which begins with 1: whatever was before it was sent at least once.

    Raises:
        NotThere: where the topic does not have it.
    """
    partition = TopicPartition(events_topic(service), shard)
    async for record in _between(kafka, {partition: position - 1}, None):
        headers = text_headers(record.headers)
        found = heard_in(headers, record.value)
        if position_of(headers) == position and found is not None:
            return found
    raise NotThere(f"{partition.topic}/{shard} has no position {position}")


async def recalled(kafka: str, since_ms: int, ends: Mapping[TopicPartition, int]) -> AsyncIterator[Heard]:
    """What was said from a time on until the ends, each event once.

    Intake's events come first: there it shows which complaints are the sample's.
    """
    positions: dict[TopicPartition, int] = {}
    for service in SERVICES:
        topic = events_topic(service)
        until = {partition: end for partition, end in ends.items() if partition.topic == topic}
        async for record in _between(kafka, await _places_at(kafka, since_ms - MARGIN_MS, until), until):
            headers, partition = text_headers(record.headers), TopicPartition(topic, record.partition)
            found, position = heard_in(headers, record.value), position_of(headers)
            if found is not None and position > positions.get(partition, 0):
                positions[partition] = position
                yield found


async def _between(
    kafka: str, begin: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int] | None
) -> AsyncIterator[ConsumerRecord]:
    """The records from some offsets on, until others; until the ends of now, where none are given."""
    until = until if until is not None else await _ends(kafka, begin)
    begin = {partition: offset for partition, offset in begin.items() if offset < until[partition]}
    async with Listener(kafka, begin=begin) as listener:
        while any(offset < until[partition] for partition, offset in listener.places.items()):
            for record in await listener.heard():
                if record.offset < until[TopicPartition(record.topic, record.partition)]:
                    yield record


async def _ends(kafka: str, partitions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
    async def asked(consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, int]:
        return dict(await consumer.end_offsets(list(partitions)))

    return await _asked(kafka, asked)


async def _places_at(kafka: str, at_ms: int, ends: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
    """The offset of the first record of each partition that is not older."""

    async def asked(consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, int]:
        found = await consumer.offsets_for_times(dict.fromkeys(ends, max(0, at_ms)))
        return {partition: one.offset if (one := found.get(partition)) else end for partition, end in ends.items()}

    return await _asked(kafka, asked)


async def _asked(kafka: str, question: Callable[[AIOKafkaConsumer], Awaitable[T]]) -> T:
    """What Kafka says, as soon as it says anything."""
    while True:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
        try:
            await consumer.start()
            return await question(consumer)
        except (KafkaError, OSError) as error:
            log.warning("kafka_is_away", error=repr(error))
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            await consumer.stop()
