"""A process that is known by its name has its shards again as soon as it runs again, and nobody else's stand still meanwhile."""

import pytest
from aiokafka import TopicPartition

from shared.contract.envelope import commands_topic
from shared.kafka import Kafka
from tests.shared.machine.live import STREAMS, adds, is_so, until

SESSION_MS = 30_000
"""Longer than the tests wait for anything."""


@pytest.fixture
async def two(live):
    members = [await live.start(instance=name, session_timeout_ms=SESSION_MS) for name in ("one", "two")]
    await live.ready()
    assert all(member.shards for member in members)
    return members


def begun(member):
    """The workers of its shards: others, where it was given its shards anew."""
    return [id(worker) for worker in member.figures.group.workers.values()]


async def test_who_was_killed_has_its_shards_again_when_it_runs_again_and_the_others_go_on(live, two, monkeypatch):
    killed, other = two
    had, undisturbed = killed.shards, begun(other)
    with monkeypatch.context() as its:
        its.setattr(Kafka, "leaves", lambda *_: None)  # who is killed says nothing
        await killed.stop()
    live.members.remove(killed)
    await live.send(*adds(40))
    again = await live.start(instance="one", session_timeout_ms=SESSION_MS)
    assert again.shards == had
    await until(lambda: is_so(live.events("intake.Added.v1"), 40), 15)
    assert begun(other) == undisturbed
    await live.prove()


async def test_who_is_told_to_end_leaves_its_shards_to_the_others_at_once(live, two):
    ended, other = two
    await ended.stop()
    live.members.remove(ended)
    await until(lambda: other.shards == list(range(live.shards)), 15)
    await live.send(*((command, STREAMS[0]) for command, _ in adds(3)))
    await until(lambda: is_so(live.events("intake.Added.v1"), 3))


async def test_who_is_given_a_share_while_it_ends_does_not_begin_on_it(live):
    member = await live.start()
    await live.ready()
    group = member.figures.group
    listener = group._consumer._subscription.listener
    share = group._consumer.assignment()
    assert TopicPartition(commands_topic("intake"), 0) in share
    await member.stop()
    await listener.on_partitions_assigned(share)
    assert not group.workers
    assert not group.joined
