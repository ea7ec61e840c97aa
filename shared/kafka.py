"""What of Kafka all services share: who gets which partition, by which id a topic is known, how a producer ends."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import AbstractType, Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from shared import lenient


class Kafka:
    """A cluster, as the machine reaches it: the one place where its clients are made, so that a simulation can make others."""

    def __init__(self, address: str) -> None:
        """`address`: the bootstrap servers."""
        self._address = address

    def consumer(self, **settings: Any) -> AIOKafkaConsumer:
        """One that begins where it is told and keeps its place elsewhere. Not started."""
        return AIOKafkaConsumer(bootstrap_servers=self._address, enable_auto_commit=False, auto_offset_reset="none", **settings)

    def producer(self, **settings: Any) -> AIOKafkaProducer:
        """One whose records are written once and in order. Not started."""
        return AIOKafkaProducer(bootstrap_servers=self._address, acks="all", enable_idempotence=True, **settings)

    async def cluster_id(self, consumer: AIOKafkaConsumer) -> str:
        """See `cluster_id`."""
        return await cluster_id(consumer._client)  # noqa: SLF001 - the library has no other way to ask

    async def topic_ids(self, consumer: AIOKafkaConsumer, topics: Iterable[str]) -> dict[str, str]:
        """See `topic_ids`."""
        return await topic_ids(consumer._client, topics)  # noqa: SLF001 - the library has no other way to ask

    def leaves(self, consumer: AIOKafkaConsumer) -> None:
        """When it stops, it leaves its group, though it may have a name there: the library would keep its place for it."""
        if consumer._coordinator is not None:  # noqa: SLF001 - the library has no other way
            consumer._coordinator._group_instance_id = None  # noqa: SLF001

    async def stop_producer(self, producer: AIOKafkaProducer, patience_seconds: float) -> None:
        """See `stop_producer`."""
        await stop_producer(producer, patience_seconds)

    def read_leniently(self) -> None:
        """See `lenient`."""
        lenient.read_leniently()


class ByShard(AbstractPartitionAssignor):  # type: ignore[misc]  # the library has no types
    """Gives partition p of every topic to one member.

    The assignors that come with aiokafka deal (topic, partition) pairs, so that partition 0 of two topics may go to two members, which
    would then fence each other for ever. Members are taken in the order of their ids; a shard goes to member `shard mod members`.
    A topic to which that member is not subscribed has its partition left out: members of one group subscribe alike.
    """

    name = "by-shard"
    version = 0

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """The assignment: pure, so that it can be tried without a broker."""
        order = sorted(members)
        dealt: dict[str, dict[str, list[int]]] = {member: defaultdict(list) for member in order}
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        for topic in topics:
            for partition in sorted(cluster.partitions_for_topic(topic) or ()):
                member = order[partition % len(order)]
                if topic in members[member].subscription:
                    dealt[member][topic].append(partition)
        return {member: ConsumerProtocolMemberAssignment(cls.version, sorted(dealt[member].items()), b"") for member in order}

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What a member says when it joins."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing to keep: the assignment follows from the members alone."""


async def stop_producer(producer: AIOKafkaProducer, patience_seconds: float) -> None:
    """Ends a producer for good. What it could not send in time is not sent: by itself it would go on trying in the background."""
    try:
        await asyncio.wait_for(producer.stop(), patience_seconds)
    except (TimeoutError, KafkaError, OSError):
        await _end(producer, patience_seconds)
    except asyncio.CancelledError:
        await _end(producer, patience_seconds)
        raise


async def _end(producer: AIOKafkaProducer, patience_seconds: float) -> None:
    """What `stop` does, without waiting for what was not acknowledged. The library has no such way, so it is done from inside."""
    sending = producer._sender.sender_task  # noqa: SLF001
    if sending is not None:
        sending.cancel()
    with suppress(TimeoutError, KafkaError, OSError):
        await asyncio.wait_for(producer.client.close(), patience_seconds)  # whoever waits for an answer has none now
    if sending is not None:
        await asyncio.wait({sending}, timeout=patience_seconds)
        sending.cancel()  # it may have waited for what it was sending
    held = producer._message_accumulator  # noqa: SLF001
    for batches in held._batches.values():  # noqa: SLF001 - one that was to be sent again is looked for among these when it fails
        held._pending_batches.update(batches)  # noqa: SLF001
    held.fail_all(KafkaError("it was given up"))
    for batch in held._pending_batches:  # noqa: SLF001
        if not batch._drain_waiter.cancelled():  # noqa: SLF001
            batch._drain_waiter.exception()  # noqa: SLF001 - nobody waited for it: it is not to be complained of


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # the library has no types
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequest(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_MetadataRequest]):  # type: ignore[misc]
    """Kafka's Metadata request in the version that tells topics' ids (2.8 and later), which aiokafka does not ask for."""

    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        return request_struct_class([(bytes(16), topic, {}) for topic in self._topics], False, False, False, {})  # noqa: FBT003


async def cluster_id(client: AIOKafkaClient) -> str:
    """The id that the cluster's storage was formatted with. Raises KafkaError where Kafka does not answer."""
    return str((await _metadata(client, ())).cluster_id)


async def topic_ids(client: AIOKafkaClient, topics: Iterable[str]) -> dict[str, str]:
    """The id of each topic, in hex: a topic that is deleted and made anew has another one.

    Raises:
        KafkaError: where Kafka does not answer, or has no such topic.
    """
    answer = await _metadata(client, topics)
    for code, topic, *_ in answer.topics:
        if code:
            raise KafkaError(f"Kafka has no topic {topic} (error {code}): `makegood up` or `makegood install` makes it")
    return {topic: topic_id.hex() for _, topic, topic_id, *_ in answer.topics}


async def _metadata(client: AIOKafkaClient, topics: Iterable[str]) -> Any:
    node = client.get_random_node()
    if node is None:
        raise KafkaError("no broker is known")
    return await client.send(node, _Metadata(topics))
