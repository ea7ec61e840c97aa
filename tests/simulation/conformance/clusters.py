"""A Kafka for a body of the conformance suite: the real one, or the simulated one, by the same words."""

import asyncio
import itertools
from random import Random

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.consumer import fetcher
from aiokafka.errors import UnknownTopicOrPartitionError, for_code

from deploy.topics import FOR_EVER, REPLICAS, TOPICS, admin, cluster_id
from shared.contract.envelope import SUBMISSIONS
from shared.kafka import ByShard, Kafka
from shared.simulation.kafka import Cluster
from shared.simulation.loop import Loop
from tests.torn import with_header_name

SESSION_MS = 6_000
"""The shortest that Kafka takes."""
PATIENCE_SECONDS = 20.0


class Given:
    """What a body is given."""

    kafka: Kafka
    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self._running = []
        self._producers = []
        self._consumers = []

    # ---- what the two do differently ---------------------------------------------------------------------------------------

    async def topic(self, partitions=1, *, as_submissions=False):
        """A new topic, as ours are made; or as one is that upstreams write to."""
        raise NotImplementedError

    async def delete(self, topic):
        raise NotImplementedError

    async def make_again(self, topic):
        """As it was, but empty."""
        raise NotImplementedError

    async def wipe(self, topic):
        """Deletes it and makes it anew."""
        await self.delete(topic)
        await self.make_again(topic)

    async def retain(self, place, beginning):
        """What is older is gone."""
        raise NotImplementedError

    async def write_torn(self, place, name):
        """A record `torn` with a header whose name is these bytes, four of them."""
        raise NotImplementedError

    def mute(self, consumer):
        """The group hears nothing of it any more. It does not know."""
        raise NotImplementedError

    async def cluster(self):
        """Its id."""
        raise NotImplementedError

    def works(self, consumer):
        """Whether anything of it is still at work."""
        raise NotImplementedError

    # ---- what they do alike ------------------------------------------------------------------------------------------------

    def name(self):
        """One that no test had before."""
        return f"conformance.{next(self._numbers)}"

    async def producer(self, **settings):
        producer = self.kafka.producer(**settings)
        await producer.start()
        self._producers.append(producer)
        return producer

    async def consumer(self, *places, at=0, **settings):
        """One that reads these, from there on."""
        consumer = self.kafka.consumer(fetch_max_wait_ms=100, **settings)
        await consumer.start()
        self._consumers.append(consumer)
        if places:
            consumer.assign(list(places))
            for place in places:
                consumer.seek(place, at)
        return consumer

    async def member(self, group, topics, name=None):
        member = Member(self, group, topics, name)
        self._consumers.append(member.consumer)
        await member.consumer.start()
        member.task = asyncio.ensure_future(member.run())
        self._running.append(member.task)
        return member

    async def write(self, place, *records, producer=None, largest=1024 * 1024):
        """Sends these in one batch; each is a value, or key, value and headers. Gives the metadata."""
        producer = producer or await self.producer(max_batch_size=largest)
        batch = producer.create_batch()
        for record in records:
            key, value, headers = record if isinstance(record, tuple) else (b"k", record, [])
            assert batch.append(key=key, value=value, timestamp=1_000, headers=headers) is not None
        return await (await producer.send_batch(batch, place.topic, partition=place.partition))

    async def read(self, consumer, count, **more):
        """This many records in the order in which they come, and no more of them for a while."""
        found = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200, **more)).values():
                    found.extend(records)
        for records in (await consumer.getmany(timeout_ms=200)).values():
            found.extend(records)
        return found

    async def until(self, holds, seconds=PATIENCE_SECONDS):
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.02)

    async def close(self):
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for consumer in self._consumers:
            await consumer.stop()
        for producer in self._producers:
            await self.kafka.stop_producer(producer, 5)


class Member(ConsumerRebalanceListener):
    """One of a group, which reads all the time and notes what it is told."""

    def __init__(self, given, group, topics, name):
        self.consumer = given.kafka.consumer(
            group_id=group, group_instance_id=name, partition_assignment_strategy=(ByShard,), session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=300, fetch_max_wait_ms=100, metadata_max_age_ms=1_000,
        )  # fmt: skip
        self.told = []
        self.read = []
        self.reads = True
        self.consumer.subscribe(topics, listener=self)

    @property
    def shards(self):
        """What it was given last; None while it has given up what it had."""
        what, places = self.told[-1] if self.told else ("revoked", ())
        return {tuple(place) for place in places} if what == "assigned" else None

    async def on_partitions_revoked(self, revoked):
        self.told.append(("revoked", frozenset(revoked)))

    async def on_partitions_assigned(self, assigned):
        for place in assigned:
            self.consumer.seek(place, 0)
        self.told.append(("assigned", frozenset(assigned)))

    async def run(self):
        while True:
            if not self.reads:
                await asyncio.sleep(0.05)
                continue
            for place, records in (await self.consumer.getmany(timeout_ms=100)).items():
                self.read.extend((tuple(place), record.offset) for record in records)


class Real(Given):
    def __init__(self, address):
        super().__init__()
        self.kafka, self._address = Kafka(address), address
        self._made = {}

    async def topic(self, partitions=1, *, as_submissions=False):
        topic = f"{SUBMISSIONS}.{self.name()}" if as_submissions else self.name()
        self._made[topic] = partitions, TOPICS[SUBMISSIONS] if as_submissions else FOR_EVER
        await self._create(topic)
        return topic

    async def _create(self, topic):
        partitions, settings = self._made[topic]
        async with admin(self._address) as client:
            await client.create_topics([NewTopic(topic, partitions, REPLICAS, replica_assignments={}, topic_configs=dict(settings))])
            await self._until(client, topic, is_there=True)

    async def delete(self, topic):
        async with admin(self._address) as client:
            await client.delete_topics([topic])
            await self._until(client, topic, is_there=False)

    async def make_again(self, topic):
        await self._create(topic)

    @staticmethod
    async def _until(client, topic, *, is_there):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                (described,) = await client.describe_topics([topic])
                errors = {described["error_code"], *(partition["error_code"] for partition in described["partitions"])}
                if errors == {0} if is_there else for_code(described["error_code"]) is UnknownTopicOrPartitionError:
                    return
                await asyncio.sleep(0.02)

    async def retain(self, place, beginning):
        from aiokafka.admin import RecordsToDelete  # noqa: PLC0415

        async with admin(self._address) as client:
            await client.delete_records({place: RecordsToDelete(before_offset=beginning)})

    async def write_torn(self, place, name):
        producer = await self.producer()
        batch = producer.create_batch()
        batch.append(key=None, value=b"torn", timestamp=1, headers=[("NAME", b"value")])
        await (await producer.send_batch(with_header_name(batch, b"NAME", name), place.topic, partition=place.partition))

    def mute(self, consumer):
        async def unheard():
            return True

        consumer._coordinator._do_heartbeat = unheard

    async def cluster(self):
        async with admin(self._address) as client:
            return await cluster_id(client)

    def works(self, consumer):
        coordinator, fetcher, client = consumer._coordinator, consumer._fetcher, consumer._client
        tasks = coordinator._coordination_task, coordinator._heartbeat_task, fetcher._fetch_task, client._sync_task, *fetcher._pending_tasks
        return any(task and not task.done() for task in tasks) or any(one.connected() for one in client._conns.values())


class Simulated(Given):
    def __init__(self, loop):
        super().__init__()
        self.broker = Cluster(loop)
        self.kafka = self.broker.client("body")
        self._deleted = {}

    async def topic(self, partitions=1, *, as_submissions=False):
        topic = f"{SUBMISSIONS}.{self.name()}" if as_submissions else self.name()
        self.broker.create(topic, partitions)
        return topic

    async def delete(self, topic):
        self._deleted[topic] = len(self.broker.partitions_for_topic(topic))
        self.broker.delete(topic)

    async def make_again(self, topic):
        self.broker.create(topic, self._deleted[topic])

    async def wipe(self, topic):
        self.broker.wipe(topic)

    async def retain(self, place, beginning):
        self.broker.retain(place.topic, place.partition, beginning)

    async def write_torn(self, place, name):
        self.broker.append(place.topic, place.partition, None, b"torn", [(name, b"value")])

    def mute(self, consumer):
        async def unheard():
            return True

        consumer._membership._beat_once = unheard

    async def cluster(self):
        return self.broker.ident

    def works(self, consumer):
        tasks = consumer._membership._coordinating, consumer._membership._beating, consumer._fetching
        return any(task and not task.done() for task in tasks)


def on_real(address, body):
    async def whole():
        given = Real(address)
        try:
            await body(given)
        finally:
            await given.close()

    strictly = fetcher.MemoryRecords
    try:
        asyncio.run(whole())
    finally:
        fetcher.MemoryRecords = strictly


def on_simulated(body, seed=1):
    async def whole(given):
        try:
            await body(given)
        finally:
            await given.close()

    loop = Loop(Random(seed))
    loop.run(whole(Simulated(loop)))


def places(topic, partitions):
    return [TopicPartition(topic, number) for number in range(partitions)]
