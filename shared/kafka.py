"""What of Kafka all services share: who gets which partition, and records handed over as they are."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from aiokafka import ConsumerRecord
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.subscriber.usecase import LogicSubscriber


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


def as_they_are(subscriber: Callable[[], LogicSubscriber[tuple[ConsumerRecord, ...]]]) -> Callable[..., object]:
    """A FastStream parser that takes a batch undecoded: the default one decodes headers, and fails before any handler runs."""

    async def parse(records: tuple[ConsumerRecord, ...]) -> KafkaAckableMessage:
        consumer = subscriber().consumer
        assert consumer is not None, "the parser runs while the subscriber does"
        return KafkaAckableMessage(
            body=b"", raw_message=records, consumer=consumer, headers={}, batch_headers=[], reply_to="",
            content_type=None, message_id="batch", correlation_id=None, path={},
        )  # fmt: skip

    return parse


async def undecoded(message: KafkaAckableMessage) -> list[ConsumerRecord]:
    """The decoder that goes with `as_they_are`: it never raises."""
    return list(message.raw_message)
