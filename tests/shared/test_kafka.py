"""Assignment is by shard: partition p of every topic goes to one member, however many there are and whatever they subscribe to."""

from itertools import product

import pytest
from aiokafka import partitioner
from aiokafka.cluster import ClusterMetadata
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.envelope import complaint_id, key_of, murmur2, shard_of
from shared.kafka import ByShard

TOPICS = ("complaints.submissions", "intake.commands", "resolution.events", "rootcause.events", "policies")


class Cluster(ClusterMetadata):
    def partitions_for_topic(self, topic):
        return set(range(16))


def assigned(subscriptions):
    members = {name: ByShard.metadata(topics) for name, topics in subscriptions.items()}
    return {
        name: {TopicPartition(topic, partition) for topic, partitions in found.assignment for partition in partitions}
        for name, found in ByShard.assign(Cluster(), members).items()
    }


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 20])
def test_a_shard_goes_whole_to_one_member(count):
    dealt = assigned({f"m{n:02}": TOPICS for n in range(count)})
    owners = {}
    for member, places in dealt.items():
        for place in places:
            owners.setdefault(place.partition, set()).add(member)
    assert all(len(members) == 1 for members in owners.values())
    assert set().union(*dealt.values()) == {TopicPartition(*place) for place in product(TOPICS, range(16))}
    loads = [len({place.partition for place in places}) for places in dealt.values()]
    assert max(loads) - min(loads) <= 1


def test_members_with_different_topics_never_share_a_shard():
    dealt = assigned({"new": TOPICS, "old": TOPICS[:3]})
    shards = {member: {place.partition for place in places} for member, places in dealt.items()}
    assert not shards["new"] & shards["old"]


def test_a_key_lies_where_every_kafka_client_puts_it():
    """Murmur2 as Kafka's Java client has it: these are its own answers (DefaultPartitioner, 16 partitions)."""
    assert complaint_id("shop", "17") == complaint_id("shop", "17")
    assert key_of(complaint_id("shop", "17")).decode() == str(complaint_id("shop", "17"))
    # from Kafka's own UtilsTest.testMurmur2
    for text, answer in {
        b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829, b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, b"abc": 479470107,
    }.items():  # fmt: skip
        assert murmur2(text) == answer % 2**32
    assert 0 <= shard_of(complaint_id("shop", "17"), 16) < 16


@given(st.binary(max_size=80))
def test_a_key_of_any_length_lies_where_aiokafka_puts_it(key):
    assert murmur2(key) == partitioner.murmur2(key) % 2**32
