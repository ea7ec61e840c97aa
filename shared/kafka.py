"""What of Kafka all services share: whose cluster it is, who gets which partition, by which id a topic is known, how clients end."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any
from weakref import WeakSet

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import AbstractType, Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from shared import lenient

ELSEWHERE_SECONDS = 0.5
"""Before a broker of another cluster is connected to again: the library would ask ten times a second."""
END_SECONDS = 2.0
"""How long what is at work in a client may take to end, where nobody else is waited for."""


class AnotherCluster(KafkaError):  # type: ignore[misc]  # the library has no types
    """Another cluster answers at the address than the one that is talked to."""


class Kafka:
    """A cluster, as the machine reaches it: the one place where its clients are made, so that a simulation can make others.

    Whose cluster it is, is asked on every connection before anything else is: a broker keeps its cluster for as long as it runs, and a
    connection its broker. So nothing is read from another one or told to it, however often the address changes hands, and what is done
    on a connection pays nothing.
    """

    def __init__(self, address: str) -> None:
        """`address`: the bootstrap servers."""
        self._address = address
        self._only = ""
        self.elsewhere = ""
        """Why what answered last is not talked to, in words; empty while it is our cluster."""

    def only(self, cluster: str) -> None:
        """From now on clients talk to this cluster alone. Without it, to whichever answers."""
        self._only = cluster

    def is_ours(self, found: str) -> bool:
        """Whether a cluster that answered is to be talked to."""
        is_ours = found == self._only or not self._only
        self.elsewhere = "" if is_ours else _ELSEWHERE.format(expected=self._only, found=found)
        return is_ours

    def consumer(self, **settings: Any) -> AIOKafkaConsumer:
        """One that begins where it is told and keeps its place elsewhere. Not started; AnotherCluster where it would talk to one."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._address, enable_auto_commit=False, auto_offset_reset="none", **settings)
        self._guard(consumer._client)  # noqa: SLF001 - the library has no other way
        return consumer

    def producer(self, **settings: Any) -> AIOKafkaProducer:
        """One whose records are written once and in order. Not started; AnotherCluster where it would talk to one."""
        producer = AIOKafkaProducer(bootstrap_servers=self._address, acks="all", enable_idempotence=True, **settings)
        self._guard(producer.client)
        return producer

    def _guard(self, client: AIOKafkaClient) -> None:
        """Every request of a client goes over a connection that `_get_conn` gave it, but for the one question by which it begins."""
        connect, bootstrap = client._get_conn, client.bootstrap  # noqa: SLF001 - the library has no other way
        asked: WeakSet[AIOKafkaConnection] = WeakSet()

        async def get_conn(node_id: Any, **how: Any) -> AIOKafkaConnection | None:
            while (connection := await connect(node_id, **how)) is not None and connection not in asked:
                if not await self._ask(connection):
                    return None  # as where nobody answers
                asked.add(connection)
            return connection

        async def begin() -> None:
            await bootstrap()
            if self._only:
                try:
                    await _metadata(client, ())
                except KafkaError as error:
                    raise AnotherCluster(self.elsewhere) if self.elsewhere else error from error

        client._get_conn, client.bootstrap = get_conn, begin  # noqa: SLF001

    async def _ask(self, connection: AIOKafkaConnection) -> bool:
        """Whether a connection leads to our cluster. One that does not is closed."""
        if not self._only:
            return True
        try:
            is_ours = self.is_ours((await connection.send(_Metadata(()))).cluster_id)
        except (KafkaError, TimeoutError):
            connection.close(reason=CloseReason.CONNECTION_TIMEOUT)
            return False
        if not is_ours:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)  # the brokers that are known are to be asked anew
            await asyncio.sleep(ELSEWHERE_SECONDS)
        return is_ours

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

    async def stop_consumer(self, consumer: AIOKafkaConsumer, patience_seconds: float) -> None:
        """See `stop_consumer`."""
        await stop_consumer(consumer, patience_seconds)

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
    await stop_or_end(producer.stop(), patience_seconds, lambda: _end(producer, patience_seconds))


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


async def stop_consumer(consumer: AIOKafkaConsumer, patience_seconds: float) -> None:
    """Ends a consumer for good, also where Kafka does not hear that it leaves: by itself it would go on fetching in the background."""
    await stop_or_end(consumer.stop(), patience_seconds, lambda: _end_consumer(consumer))


async def stop_or_end(stop: Coroutine[Any, Any, None], patience_seconds: float, end: Callable[[], Awaitable[None]]) -> None:
    """Stops a client politely, or, where that fails, takes too long or is broken off, ends it.

    In a task of its own: the library lets the cancellation of its own tasks through, and `Task.cancelling` does not tell them from ours
    (in Python 3.11 a group of tasks that failed leaves it counted).
    """
    stopping = asyncio.ensure_future(stop)
    try:
        await asyncio.wait({stopping}, timeout=patience_seconds)
    finally:
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait({stopping}, timeout=END_SECONDS)
        if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
            await end()


async def _end_consumer(consumer: AIOKafkaConsumer) -> None:
    """What `stop` does, without a word to Kafka. It does nothing when it is called again, so this is done from inside."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")
    tasks = {task for name in names if (task := getattr(coordinator, name, None)) is not None}
    if fetcher is not None:
        tasks |= {fetcher._fetch_task, *fetcher._pending_tasks}  # noqa: SLF001
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=END_SECONDS)
    if fetcher is not None:
        for waiter in fetcher._fetch_waiters:  # noqa: SLF001
            fetcher._notify(waiter)  # noqa: SLF001 - whoever waits for records is told that there are none
    with suppress(TimeoutError, KafkaError, OSError):
        await asyncio.wait_for(consumer._client.close(), END_SECONDS)  # noqa: SLF001


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


_ELSEWHERE = (
    "a different Kafka cluster is behind the address: this installation belongs to {expected}, but {found} answers. Nothing is read from "
    "it or told to it. Check MAKEGOOD_KAFKA and MAKEGOOD_DATABASE; `makegood doctor` says what to do where the old cluster is gone for "
    "good."
)
