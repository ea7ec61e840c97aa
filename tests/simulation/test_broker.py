"""What befalls the simulated Kafka and its clients: for what the real one can't be made to show at will."""

import asyncio
import hashlib
import os
import subprocess
import sys
from random import Random

import pytest
from aiokafka import ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from shared.kafka import ByShard
from shared.simulation.kafka import Cluster
from shared.simulation.loop import Loop

TOPIC = "resolution.events"
PLACE = TopicPartition(TOPIC, 0)
SESSION_SECONDS = 6.0


class World:
    """A loop with a broker in it."""

    def __init__(self, seed=1, partitions=2, **settings):
        self.loop = Loop(Random(seed))
        self.cluster = Cluster(self.loop, **settings)
        self.cluster.create(TOPIC, partitions)

    def begin(self, name, work):
        """A process of this name, at this work, which is given its Kafka."""
        process = self.loop.process(name)
        return process, self.loop.begin(process, work(self.cluster.client(name)))

    def values(self, partition=0):
        return [record.value for record in self.cluster.records(TOPIC, partition)]


class Sharing(ConsumerRebalanceListener):
    """A member of a group that reads and notes what it is told."""

    def __init__(self, world):
        self.world, self.told, self.read, self.consumer, self.failed = world, [], [], None, []

    async def on_partitions_revoked(self, revoked):
        self.told.append(("revoked", sorted(place.partition for place in revoked)))

    async def on_partitions_assigned(self, assigned):
        for place in sorted(assigned):
            self.consumer.seek(place, 0)
        self.told.append(("assigned", sorted(place.partition for place in assigned)))

    async def run(self, kafka):
        self.consumer = kafka.consumer(
            group_id="g",
            partition_assignment_strategy=(ByShard,),
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            heartbeat_interval_ms=1_200,
        )
        self.consumer.subscribe([TOPIC], listener=self)
        await self.consumer.start()
        while True:
            for place, records in (await self.consumer.getmany(timeout_ms=500)).items():
                self.read += [(place.partition, record.offset, self.world.loop.time()) for record in records]


async def until(holds):
    """Waits, in simulated time."""
    while not holds():
        await asyncio.sleep(0.01)


async def ended(task):
    """Waits for a process's work, whose failure is the test's."""
    await until(task.done)
    task.result()


async def sent(producer, *values, partition=0):
    batch = producer.create_batch()
    for value in values:
        batch.append(key=b"k", value=value, timestamp=0, headers=[])
    return await (await producer.send_batch(batch, TOPIC, partition=partition))


async def started(kafka, **settings):
    producer = kafka.producer(**settings)
    await producer.start()
    return producer


# ---- clients that end ------------------------------------------------------------------------------------------------------


def test_what_a_killed_client_had_sent_is_done_all_the_same():
    world = World(delay=lambda: 0.01)

    async def writes(kafka):
        await sent(await started(kafka), b"its last")

    async def body():
        process, _ = world.begin("writer", writes)
        await until(lambda: any(link._asked and link._asked[-1].do == world.cluster.produce for link in world.cluster._links))
        assert world.values() == []
        process.kill()
        await asyncio.sleep(1)

    world.loop.run(body())
    assert world.values() == [b"its last"]


def test_what_had_not_come_to_a_killed_broker_is_not_done():
    world = World(delay=lambda: 0.01)

    async def writes(kafka):
        await sent(await started(kafka), b"never came")

    async def body():
        process, _ = world.begin("writer", writes)
        await until(lambda: any(link._asked and link._asked[-1].do == world.cluster.produce for link in world.cluster._links))
        process.kill()
        world.cluster.down()
        world.cluster.up(0)
        await asyncio.sleep(1)

    world.loop.run(body())
    assert world.values() == []


def test_a_frozen_client_finds_its_answer_when_it_thaws():
    world = World()
    done = []

    async def writes(kafka):
        producer = await started(kafka)
        for number in range(100):
            done.append(((await sent(producer, b"%d" % number)).offset, world.loop.time()))
            await asyncio.sleep(0.05)

    async def body():
        process, _ = world.begin("writer", writes)
        await until(lambda: len(done) >= 3)
        process.freeze()
        await asyncio.sleep(5)
        assert len(done) == 3
        process.thaw()
        await asyncio.sleep(10)

    world.loop.run(body())
    assert [offset for offset, _ in done] == list(range(100))
    assert done[3][1] - done[2][1] > 4.9


def test_a_member_that_is_killed_keeps_its_share_until_its_session_is_over():
    world = World()
    first, second = Sharing(world), Sharing(world)

    async def body():
        world.begin("first", first.run)
        process, _ = world.begin("second", second.run)
        await asyncio.sleep(3)
        assert sorted([first.told[-1], second.told[-1]]) == [("assigned", [0]), ("assigned", [1])]
        process.kill()
        killed_at, told = world.loop.time(), len(first.told)
        await until(lambda: len(first.told) > told)
        assert SESSION_SECONDS - 1.3 < world.loop.time() - killed_at < SESSION_SECONDS + 1.5
        await asyncio.sleep(1)

    world.loop.run(body())
    assert first.told[-1] == ("assigned", [0, 1])


@pytest.mark.parametrize("seed", range(8))
def test_a_frozen_member_loses_its_share_and_may_not_commit_when_it_thaws(seed):
    world = World(seed)
    first, second = Sharing(world), Sharing(world)
    ready, committed = [], []

    async def commits(kafka):
        reading = asyncio.ensure_future(second.run(kafka))
        await until(lambda: second.told and second.told[-1][0] == "assigned")
        await asyncio.sleep(5)
        (shard,) = second.told[-1][1]
        ready.append(shard)
        await until(lambda: len(ready) == 2)
        for _ in range(3):
            try:
                await second.consumer.commit({TopicPartition(TOPIC, shard): OffsetAndMetadata(1, "")})
                committed.append("taken")
            except KafkaError as error:
                committed.append(type(error).__name__)
        assert not reading.done()

    async def body():
        world.begin("first", first.run)
        await asyncio.sleep(2)
        process, task = world.begin("second", commits)
        await until(lambda: ready)
        process.freeze()
        await until(lambda: first.told[-1] == ("assigned", [0, 1]))
        assert second.told[-1][0] == "assigned"  # it has no idea
        process.thaw()
        ready.append("thawed")
        await asyncio.sleep(5)
        assert task.done()
        assert sorted([first.told[-1], second.told[-1]]) == [("assigned", [0]), ("assigned", [1])]

    world.loop.run(body())
    assert committed[0] == "CommitFailedError"


def test_a_frozen_member_that_thaws_learns_from_its_next_heartbeat_that_it_is_out_and_joins_anew():
    world = World()
    first, second = Sharing(world), Sharing(world)

    async def body():
        world.begin("first", first.run)
        process, _ = world.begin("second", second.run)
        await asyncio.sleep(3)
        process.freeze()
        await until(lambda: first.told[-1] == ("assigned", [0, 1]))
        told = len(second.told)
        process.thaw()
        await asyncio.sleep(4)
        assert [what for what, _ in second.told[told:]] == ["revoked", "assigned"]

    world.loop.run(body())
    assert sorted([first.told[-1], second.told[-1]]) == [("assigned", [0]), ("assigned", [1])]


# ---- answers that are lost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_records_whose_answer_was_lost_are_sent_again_and_lie_once(seed):
    world = World(seed)
    offsets = []

    async def writes(kafka):
        producer = await started(kafka, request_timeout_ms=3_000)
        for number in range(20):
            offsets.append((await sent(producer, b"%d" % number)).offset)

    async def body():
        world.cluster.lose_answer(0.5)
        _, task = world.begin("writer", writes)
        await ended(task)

    world.loop.run(body())
    assert offsets == list(range(20))
    assert world.values() == [b"%d" % number for number in range(20)]


def test_who_gives_up_on_a_lost_answer_and_sends_again_has_sent_twice():
    world = World()

    async def writes(kafka):
        producer = await started(kafka, request_timeout_ms=3_000)
        world.cluster.lose_answer(1.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await sent(producer, b"once or twice")
        await kafka.stop_producer(producer, 1)
        world.cluster.lose_answer(0.0)
        await sent(await started(kafka), b"once or twice")

    async def body():
        _, task = world.begin("writer", writes)
        await ended(task)

    world.loop.run(body())
    assert world.values() == [b"once or twice"] * 2


@pytest.mark.parametrize("seed", range(8))
def test_whatever_breaks_all_that_is_acknowledged_is_there_in_order_and_is_read_in_order(seed):
    world = World(seed)
    acknowledged, member = [], Sharing(world)

    async def writes(kafka):
        producer = await started(kafka, request_timeout_ms=2_000)
        for number in range(100):
            await sent(producer, b"%d" % number)
            acknowledged.append(b"%d" % number)
            await asyncio.sleep(world.loop.random.random() * 0.2)

    async def body():
        world.begin("reader", member.run)
        _, task = world.begin("writer", writes)
        await asyncio.sleep(1)
        world.cluster.reset(0.1)
        world.cluster.lose_answer(0.1)
        world.cluster.slow(0.05)
        while not task.done():
            await asyncio.sleep(world.loop.random.random() * 4)
            world.cluster.down()
            assert set(acknowledged) <= set(world.values())
            await asyncio.sleep(world.loop.random.random() * 2)
            world.cluster.up()
        world.cluster.reset(0)
        world.cluster.lose_answer(0)
        await asyncio.sleep(15)

    world.loop.run(body())
    assert world.values() == acknowledged == [b"%d" % number for number in range(100)]
    last_given = max((number for number, (what, _) in enumerate(member.told) if what == "assigned"), default=0)
    assert member.told[last_given] == ("assigned", [0, 1])
    read = [offset for partition, offset, _ in member.read if partition == 0]
    assert sorted(set(read)) == list(range(100))
    restarts = [at for at in range(len(read)) if at and read[at] != read[at - 1] + 1]
    assert all(read[at] == 0 for at in restarts)  # it goes back only where it is given the partition anew


# ---- a broker that is killed -----------------------------------------------------------------------------------------------


def test_a_killed_broker_fails_whoever_waits_and_takes_nobody():
    world = World()
    seen = []

    async def asks(kafka):
        consumer = kafka.consumer(request_timeout_ms=2_000)
        await consumer.start()
        world.cluster.down()
        with pytest.raises(KafkaError):
            await kafka.topic_ids(consumer, [TOPIC])
        with pytest.raises(KafkaError):
            await consumer.end_offsets([PLACE])
        for client in (kafka.consumer(), kafka.producer()):
            with pytest.raises(KafkaConnectionError):
                await client.start()
        world.cluster.up()
        seen.append(await consumer.end_offsets([PLACE]))

    async def body():
        _, task = world.begin("asks", asks)
        await ended(task)

    world.loop.run(body())
    assert seen == [{PLACE: 0}]


def test_a_group_outlives_its_broker_and_nobody_need_join_anew():
    """So Kafka does: the last generation and what it was given lie in its log."""
    world = World()
    members = [Sharing(world), Sharing(world)]

    async def body():
        for number, member in enumerate(members):
            world.begin(f"m{number}", member.run)
        await asyncio.sleep(5)
        told = [list(member.told) for member in members]
        world.cluster.down()
        await asyncio.sleep(20)
        world.cluster.up()
        await asyncio.sleep(20)
        assert [member.told for member in members] == told
        world.cluster.append(TOPIC, 0, b"k", b"v")
        world.cluster.append(TOPIC, 1, b"k", b"v")
        await asyncio.sleep(1)

    world.loop.run(body())
    assert sorted(partition for member in members for partition, _, _ in member.read) == [0, 1]


def test_a_member_that_died_while_its_broker_was_down_is_put_out_when_it_is_up_again():
    world = World()
    first, second = Sharing(world), Sharing(world)

    async def body():
        world.begin("first", first.run)
        process, _ = world.begin("second", second.run)
        await asyncio.sleep(3)
        world.cluster.down()
        process.kill()
        await asyncio.sleep(20)
        world.cluster.up()
        assert len(first.told[-1][1]) == 1
        await asyncio.sleep(SESSION_SECONDS + 3)

    world.loop.run(body())
    assert first.told[-1] == ("assigned", [0, 1])


def test_a_broker_killed_while_members_join_lets_them_join_again():
    for seed in range(20):
        world = World(seed, delay=lambda: 0.02)
        members = [Sharing(world), Sharing(world), Sharing(world)]

        async def body(world=world, members=members):
            for number, member in enumerate(members):
                world.begin(f"m{number}", member.run)
            await asyncio.sleep(0.15 + world.loop.random.random() * 0.6)
            world.cluster.down()
            await asyncio.sleep(0.5)
            world.cluster.up()
            await asyncio.sleep(30)

        world.loop.run(body())
        assert all(member.told[-1][0] == "assigned" for member in members)
        assert sorted(shard for member in members for shard in member.told[-1][1]) == [0, 1]


# ---- the network -----------------------------------------------------------------------------------------------------------


def test_who_waits_for_records_is_woken_by_them_and_costs_nothing_meanwhile():
    world = World()
    read, steps = [], []

    async def reads(kafka):
        consumer = kafka.consumer()
        await consumer.start()
        consumer.assign([PLACE])
        consumer.seek(PLACE, 0)
        while True:
            for records in (await consumer.getmany(timeout_ms=3_600_000)).values():
                read.extend((record.offset, world.loop.time()) for record in records)

    async def body():
        process, _ = world.begin("reader", reads)
        await asyncio.sleep(2)
        steps.append(process.steps)
        await asyncio.sleep(3_000)
        steps.append(process.steps)
        world.cluster.append(TOPIC, 0, b"k", b"v")
        await asyncio.sleep(0.1)

    world.loop.run(body())
    assert [offset for offset, _ in read] == [0]
    assert 3_002 <= read[0][1] < 3_002.01
    assert steps[1] - steps[0] < 200  # a look at the clock now and then


def test_a_question_waits_behind_a_fetch_that_waits_for_records_but_not_for_long():
    world = World()
    took = []

    async def asks(kafka):
        consumer = kafka.consumer(fetch_max_wait_ms=500)
        await consumer.start()
        consumer.assign([PLACE])
        consumer.seek(PLACE, 0)
        await asyncio.sleep(10.2)
        for _ in range(20):
            began = world.loop.time()
            await consumer.end_offsets([PLACE])
            took.append(world.loop.time() - began)
            await asyncio.sleep(world.loop.random.random())

    async def body():
        _, task = world.begin("asks", asks)
        await ended(task)

    world.loop.run(body())
    assert max(took) < 0.51
    assert max(took) > 0.3


def test_a_partition_that_is_resumed_while_others_wait_is_fetched_before_long():
    for seed in range(10):
        world = World(seed)
        took = []

        async def reads(kafka, world=world, took=took):
            other = TopicPartition(TOPIC, 1)
            consumer = kafka.consumer(fetch_max_wait_ms=500)
            await consumer.start()
            consumer.assign([PLACE, other])
            for place in (PLACE, other):
                consumer.seek(place, 0)
            consumer.pause(other)
            world.cluster.append(TOPIC, 1, b"k", b"v")
            await asyncio.sleep(world.loop.random.random() * 5)
            began = world.loop.time()
            consumer.resume(other)
            assert len((await consumer.getmany(timeout_ms=60_000))[other]) == 1
            took.append(world.loop.time() - began)

        async def body(world=world, reads=reads):
            _, task = world.begin("reads", reads)
            await ended(task)

        world.loop.run(body())
        assert took[0] < 0.6


@pytest.mark.parametrize("after_ms", range(0, 400, 20))
def test_a_partition_that_is_resumed_while_the_connection_is_made_anew_is_fetched_before_long(after_ms):
    world, took = World(delay=lambda: 0.04), []

    async def reads(kafka):
        other = TopicPartition(TOPIC, 1)
        consumer = kafka.consumer(fetch_max_wait_ms=500)
        await consumer.start()
        consumer.assign([PLACE, other])
        for place in (PLACE, other):
            consumer.seek(place, 0)
        await asyncio.sleep(3)
        consumer.pause(other)
        world.cluster.append(TOPIC, 1, b"k", b"v")
        assert await consumer.getmany(timeout_ms=2_000) == {}
        world.cluster.down()
        world.cluster.up(0)
        await asyncio.sleep(after_ms / 1000)
        began = world.loop.time()
        consumer.resume(other)
        assert len((await consumer.getmany(timeout_ms=60_000))[other]) == 1
        took.append(world.loop.time() - began)

    async def body():
        await ended(world.begin("reads", reads)[1])

    world.loop.run(body())
    assert took[0] < 1.1


# ---- the seed --------------------------------------------------------------------------------------------------------------


def digest(seed):
    """Of all that is seen of a run with everything in it."""
    world = World(seed, partitions=5)
    members, seen = [Sharing(world) for _ in range(3)], hashlib.sha256()

    async def writes(kafka):
        producer = await started(kafka, request_timeout_ms=2_000)
        for number in range(60):
            written = await sent(producer, b"%d" % number, b"more", partition=number % 5)
            seen.update(f"{written.partition} {written.offset} {world.loop.time()!r}".encode())
            await producer.send_and_wait(TOPIC, b"single")
            await asyncio.sleep(0.1)

    async def body():
        processes = [world.begin(f"m{number}", member.run)[0] for number, member in enumerate(members)]
        _, task = world.begin("writer", writes)
        await asyncio.sleep(2)
        world.cluster.reset(0.05)
        world.cluster.lose_answer(0.1)
        processes[0].kill()
        await asyncio.sleep(2)
        world.cluster.down()
        await asyncio.sleep(1)
        world.cluster.up()
        processes[1].freeze()
        await asyncio.sleep(8)
        processes[1].thaw()
        await ended(task)
        await asyncio.sleep(10)

    world.loop.run(body())
    for member in members:
        seen.update(repr((member.told, member.read)).encode())
    return seen.hexdigest()


def test_the_same_seed_gives_the_same_run_in_every_process():
    """Python gives text another hash in every process, and with it sets another order."""
    told = {digest(3), digest(3)}
    for hash_seed in ("1", "2"):
        command = (sys.executable, "-c", "from tests.simulation.test_broker import digest; print(digest(3))")
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."}
        told.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    assert len(told) == 1
    assert digest(4) not in told
