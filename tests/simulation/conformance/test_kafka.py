"""The simulated Kafka is to the machine what the real one is: every test here runs on both."""

import asyncio
from functools import partial

import pytest
from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    InvalidSessionTimeoutError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    UnknownTopicOrPartitionError,
)
from aiokafka.record.memory_records import MemoryRecords

from deploy.topics import LARGEST
from shared.kafka import AnotherCluster, ByShard
from shared.machine.told import APPENDED
from tests.simulation.conformance.clusters import SESSION_MS, on_real, on_simulated, places

KAFKAS_OWN_LIMIT = 1024 * 1024 + 12
"""See message.max.bytes in Kafka's documentation."""


@pytest.fixture(params=["real", "simulated"])
def run(request):
    """Runs a body on a Kafka, real or simulated."""
    if request.param == "simulated":
        return on_simulated
    return partial(on_real, request.getfixturevalue("servers").kafka)


def values(records):
    return [record.value for record in records]


# ---- what lies there -------------------------------------------------------------------------------------------------------


def test_records_come_as_they_were_written_in_order_and_batch_after_batch(run):
    async def body(given):
        first, second = places(await given.topic(2), 2)
        producer = await given.producer()
        for number in range(0, 9, 3):
            written = await given.write(first, *(b"%d" % each for each in range(number, number + 3)), producer=producer)
            assert (written.topic, written.partition, written.offset) == (first.topic, 0, number)
        await given.write(second, b"elsewhere", producer=producer)
        found = await given.read(await given.consumer(first, second), 10)
        assert [(record.offset, record.value) for record in found if record.partition == 0] == [(n, b"%d" % n) for n in range(9)]
        assert [(record.topic, record.offset, record.value) for record in found if record.partition == 1] == [
            (second.topic, 0, b"elsewhere")
        ]

    run(body)


def test_keys_values_and_headers_are_kept_byte_for_byte_whatever_they_are(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        written = [
            (b"", b"", []),
            (None, b"\xff\x00", [("a", b""), ("a", b"\xfe"), ("", b"no name"), ("ümlaut", None)]),
            (b"\x00k", None, [("null", None)]),
            (None, None, [("only", b"a header")]),
        ]
        await given.write(place, *written)
        found = await given.read(await given.consumer(place), 4)
        assert [(record.key, record.value, list(record.headers)) for record in found] == written
        assert all(type(record.headers) is tuple for record in found)

    run(body)


def test_a_records_time_is_kafkas_and_says_so(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        written = await given.write(place, b"first", b"second")
        first, second = await given.read(await given.consumer(place), 2)
        assert first.timestamp_type == second.timestamp_type == APPENDED
        assert 1_600_000_000_000 < first.timestamp == second.timestamp == written.timestamp  # ours said that it was 1970

    run(body)


def test_a_batch_that_is_full_takes_nothing_more_and_one_record_goes_however_large(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        producer = await given.producer(max_batch_size=1_000, max_request_size=1_000)
        batch = producer.create_batch()
        taken = 0
        while batch.append(key=None, value=b"x" * 90, timestamp=0, headers=[]) is not None:
            taken += 1
        assert taken == 9
        assert batch.append(key=None, value=b"", timestamp=0, headers=[]) is None
        await (await producer.send_batch(batch, place.topic, partition=0))
        large = producer.create_batch()
        assert large.append(key=None, value=b"y" * 5_000, timestamp=0, headers=[]) is not None
        assert large.append(key=None, value=b"", timestamp=0, headers=[]) is None
        await (await producer.send_batch(large, place.topic, partition=0))
        found = await given.read(await given.consumer(place), 10)
        assert values(found) == [b"x" * 90] * 9 + [b"y" * 5_000]

    run(body)


def test_an_empty_batch_is_done_at_once_and_lies_nowhere(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        producer = await given.producer()
        assert await (await producer.send_batch(producer.create_batch(), place.topic, partition=0)) is None
        assert (await given.consumer(place)) is not None
        assert await (await given.consumer()).end_offsets([place]) == {place: 0}

    run(body)


@pytest.mark.parametrize(("as_submissions", "limit"), [(False, int(LARGEST["max.message.bytes"])), (True, KAFKAS_OWN_LIMIT)])
def test_what_is_larger_than_a_topic_takes_is_refused_and_the_producer_is_of_no_use_for_that_partition(run, as_submissions, limit):
    async def body(given):
        (place,) = places(await given.topic(as_submissions=as_submissions), 1)
        producer = await given.producer()

        async def send(size, producer):
            batch, length = producer.create_batch(), 20
            batch.append(key=None, value=b"x" * length, timestamp=0, headers=[])
            while (wrong := size - batch.size()) != 0:
                batch, length = producer.create_batch(), length + wrong
                batch.append(key=None, value=b"x" * length, timestamp=0, headers=[])
            return await (await producer.send_batch(batch, place.topic, partition=0))

        assert (await send(limit, producer)).offset == 0
        with pytest.raises(MessageSizeTooLargeError):
            await send(limit + 1, producer)
        with pytest.raises(OutOfOrderSequenceNumber):
            await send(100, producer)
        assert (await send(100, await given.producer())).offset == 1

    run(body)


def test_a_batch_sent_again_by_a_new_producer_lies_twice(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        await given.write(place, b"once", b"more")
        await given.write(place, b"once", b"more")
        assert values(await given.read(await given.consumer(place), 4)) == [b"once", b"more"] * 2

    run(body)


# ---- producers -------------------------------------------------------------------------------------------------------------


def test_a_single_record_goes_where_its_key_says_and_never_if_it_is_too_large(run):
    async def body(given):
        topic = await given.topic(4)
        producer = await given.producer(max_request_size=1_000)
        written = [await producer.send_and_wait(topic, b"v", key=b"%d" % n) for n in range(5)]
        assert [one.partition for one in written] == [0, 3, 0, 3, 1]
        assert [one.offset for one in written] == [0, 0, 1, 1, 0]
        waiting = [await producer.send(topic, b"v%d" % n, partition=0, headers=[("n", b"%d" % n)]) for n in range(3)]
        assert [(await one).offset for one in waiting] == [2, 3, 4]
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send(topic, b"x" * 1_000, key=b"k")

    run(body)


def test_nothing_is_sent_where_there_is_no_such_topic_or_partition(run):
    async def body(given):
        topic = await given.topic(2)
        producer = await given.producer(request_timeout_ms=500)
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send_batch(producer.create_batch(), given.name(), partition=0)
        with pytest.raises(AssertionError):
            await producer.send_batch(producer.create_batch(), topic, partition=2)

    run(body)


def test_a_producer_that_is_stopped_has_sent_all_and_takes_nothing_more(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        producer = await given.producer()
        batch = producer.create_batch()
        batch.append(key=None, value=b"last", timestamp=0, headers=[])
        future = await producer.send_batch(batch, place.topic, partition=0)
        await given.kafka.stop_producer(producer, 5)
        assert (await future).offset == 0
        with pytest.raises(ProducerClosed):
            await producer.send_batch(producer.create_batch(), place.topic, partition=0)

    run(body)


def test_a_producer_that_is_given_up_tells_whoever_waits_and_may_have_sent_it(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        producer = await given.producer()
        batch = producer.create_batch()
        batch.append(key=None, value=b"perhaps", timestamp=0, headers=[])
        future = await producer.send_batch(batch, place.topic, partition=0)
        await given.kafka.stop_producer(producer, 0)
        async with asyncio.timeout(2):
            try:
                known = (await future).offset + 1
            except KafkaError:
                known = 0
        with pytest.raises(KafkaError):
            await producer.send_batch(producer.create_batch(), place.topic, partition=0)
        await asyncio.sleep(0.1)
        assert known <= (await (await given.consumer()).end_offsets([place]))[place] <= 1

    run(body)


# ---- where a consumer reads ------------------------------------------------------------------------------------------------


def test_a_partition_has_a_beginning_and_an_end_and_before_the_beginning_nothing_can_be_read(run):
    async def body(given):
        first, second = places(await given.topic(2), 2)
        await given.write(first, *(b"%d" % n for n in range(5)))
        consumer = await given.consumer(first)
        assert await consumer.beginning_offsets([first, second]) == {first: 0, second: 0}
        assert await consumer.end_offsets([first, second]) == {first: 5, second: 0}
        assert len(await given.read(consumer, 5)) == 5
        await given.retain(first, 3)
        assert await consumer.beginning_offsets([first]) == {first: 3}
        assert await consumer.end_offsets([first]) == {first: 5}
        for _ in range(2):  # it is told again as often as it is asked
            consumer.seek(first, 2)
            with pytest.raises(OffsetOutOfRangeError):
                await consumer.getmany(timeout_ms=2_000)
        consumer.seek(first, 3)
        assert values(await given.read(consumer, 2)) == [b"3", b"4"]
        consumer.seek(first, 6)
        with pytest.raises(OffsetOutOfRangeError):
            await consumer.getmany(timeout_ms=2_000)

    run(body)


def test_nobody_waits_for_ever_for_the_end_of_a_topic_that_is_not_there(run):
    async def body(given):
        consumer = await given.consumer(request_timeout_ms=700)
        with pytest.raises(KafkaTimeoutError):
            await consumer.end_offsets([TopicPartition(given.name(), 0)])

    run(body)


def test_where_no_place_was_said_that_is_an_error_until_one_is(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        await given.write(place, b"a")
        consumer = await given.consumer()
        consumer.assign([place])
        with pytest.raises(NoOffsetForPartitionError):
            await consumer.getmany(timeout_ms=2_000)
        await asyncio.sleep(0.3)  # it is an error again meanwhile
        consumer.seek(place, 0)
        assert values(await given.read(consumer, 1)) == [b"a"]

    run(body)


def test_a_consumer_knows_how_far_a_partition_goes_once_it_has_fetched_it(run):
    async def body(given):
        first, second, other = places(await given.topic(3), 3)
        consumer = await given.consumer(first, second)
        assert consumer.highwater(first) is None
        await given.until(lambda: consumer.highwater(first) == consumer.highwater(second) == 0)
        await given.write(first, b"a", b"b", b"c")
        await given.until(lambda: consumer.highwater(first) == 3)
        assert len(await consumer.getmany(first, timeout_ms=1_000, max_records=1)) == 1
        assert consumer.highwater(first) == 3
        with pytest.raises(AssertionError):
            consumer.highwater(other)

    run(body)


def test_what_is_not_assigned_cannot_be_moved_paused_or_resumed(run):
    async def body(given):
        first, other = places(await given.topic(2), 2)
        consumer = await given.consumer()
        with pytest.raises(AssertionError):
            consumer.seek(first, 0)
        consumer.assign([first])
        assert consumer.assignment() == {first}
        for move in (partial(consumer.seek, other, 0), partial(consumer.pause, other), partial(consumer.resume, other)):
            with pytest.raises(IllegalStateError):
                move()
        with pytest.raises(ValueError, match="Offset"):
            consumer.seek(first, -1)
        consumer.seek(first, 0)
        await given.write(first, b"a")
        consumer.assign([other])
        assert consumer.assignment() == {other}
        consumer.seek(other, 0)
        assert await consumer.getmany(timeout_ms=300) == {}

    run(body)


def test_records_come_no_more_than_asked_for_at_a_time(run):
    async def body(given):
        first, second = places(await given.topic(2), 2)
        await given.write(first, *(b"%d" % n for n in range(5)))
        await given.write(second, *(b"%d" % n for n in range(5)))
        consumer = await given.consumer(first, second)
        found, sizes = {first: [], second: []}, []
        while sum(map(len, found.values())) < 10:
            got = await consumer.getmany(timeout_ms=500, max_records=3)
            sizes.append(sum(map(len, got.values())))
            for place, records in got.items():
                found[place] += values(records)
        assert max(sizes) == 3
        assert found[first] == found[second] == [b"%d" % n for n in range(5)]

    run(body)


def test_a_fetch_brings_no_more_of_a_partition_than_it_may_but_always_something(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        producer = await given.producer()
        for number in range(4):
            await given.write(place, b"%d" % number * 10_000, producer=producer)
        consumer = await given.consumer(place, max_partition_fetch_bytes=25_000)
        assert len((await consumer.getmany(timeout_ms=2_000))[place]) == 2
        assert len((await consumer.getmany(timeout_ms=2_000))[place]) == 2
        consumer = await given.consumer(place, max_partition_fetch_bytes=1)
        assert len((await consumer.getmany(timeout_ms=2_000))[place]) == 1

    run(body)


def test_one_partition_can_be_asked_for_and_the_others_wait(run):
    async def body(given):
        first, second = places(await given.topic(2), 2)
        await given.write(first, b"first")
        await given.write(second, b"second")
        consumer = await given.consumer(first, second)
        assert values((await consumer.getmany(second, timeout_ms=2_000))[second]) == [b"second"]
        assert await consumer.getmany(second, timeout_ms=200) == {}
        assert values((await consumer.getmany(timeout_ms=2_000))[first]) == [b"first"]

    run(body)


def test_a_paused_partition_gives_nothing_not_even_what_was_fetched_and_goes_on_where_it_was(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        await given.write(place, *(b"%d" % n for n in range(6)))
        consumer = await given.consumer(place)
        assert values((await consumer.getmany(timeout_ms=2_000, max_records=2))[place]) == [b"0", b"1"]
        consumer.pause(place)
        assert consumer.paused() == {place}
        assert await consumer.getmany(timeout_ms=300) == {}
        consumer.resume(place)
        assert values(await given.read(consumer, 4)) == [b"2", b"3", b"4", b"5"]

    run(body)


def test_a_paused_partition_is_not_even_looked_at(run):
    async def body(given):
        paused, other = places(await given.topic(2), 2)
        consumer = await given.consumer(paused, other)
        await given.until(lambda: consumer.highwater(paused) == 0)
        consumer.pause(paused)
        await asyncio.sleep(0.3)  # a fetch may be under way
        await given.write(paused, b"a")
        await given.write(other, b"b")
        await given.until(lambda: consumer.highwater(other) == 1)
        assert consumer.highwater(paused) == 0
        consumer.resume(paused)
        await given.until(lambda: consumer.highwater(paused) == 1)

    run(body)


def test_a_partition_that_is_moved_while_it_is_fetched_gives_what_lies_where_it_was_moved(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        await given.write(place, *(b"%d" % n for n in range(6)))
        consumer = await given.consumer(place)
        for pause in range(12):
            consumer.seek(place, 1)
            await asyncio.sleep(pause / 3000)
            consumer.seek(place, 4)
            assert values(await given.read(consumer, 2)) == [b"4", b"5"]

    run(body)


def test_a_partition_paused_and_resumed_before_it_is_read_loses_nothing(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        await given.write(place, *(b"%d" % n for n in range(4)))
        consumer = await given.consumer(place)
        assert values((await consumer.getmany(timeout_ms=2_000, max_records=1))[place]) == [b"0"]
        consumer.pause(place)
        consumer.resume(place)
        assert values(await given.read(consumer, 3)) == [b"1", b"2", b"3"]

    run(body)


def test_a_moved_partition_gives_what_lies_there_and_nothing_that_was_fetched_before(run):
    async def body(given):
        first, second = places(await given.topic(2), 2)
        await given.write(first, *(b"%d" % n for n in range(6)))
        consumer = await given.consumer(first, second)
        assert values((await consumer.getmany(timeout_ms=2_000, max_records=4))[first]) == [b"0", b"1", b"2", b"3"]
        consumer.seek(first, 1)
        assert values(await given.read(consumer, 5)) == [b"1", b"2", b"3", b"4", b"5"]
        consumer.pause(first)
        consumer.seek(first, 5)
        assert await consumer.getmany(timeout_ms=300) == {}
        consumer.resume(first)
        assert values(await given.read(consumer, 1)) == [b"5"]

    run(body)


def test_what_was_not_taken_of_one_partition_keeps_the_others_waiting_only_for_a_moment(run):
    async def body(given):
        first, second = places(await given.topic(2), 2)
        await given.write(first, *(b"%d" % n for n in range(6)))
        consumer = await given.consumer(first, second)
        await consumer.getmany(timeout_ms=2_000, max_records=1)
        await given.write(second, b"new")
        assert values((await consumer.getmany(second, timeout_ms=2_000))[second]) == [b"new"]

    run(body)


def test_what_is_asked_behind_a_fetch_that_waits_is_answered_when_that_has_waited(run):
    async def body(given):
        first, second = places(await given.topic(2), 2)
        consumer = await given.consumer(first)
        await asyncio.sleep(0.3)
        consumer.assign([second])
        consumer.seek(second, 0)
        await asyncio.sleep(0.01)  # now there is a fetch behind a fetch, and nothing to fetch
        async with asyncio.timeout(2):
            assert await consumer.end_offsets([first, second]) == {first: 0, second: 0}
            await asyncio.sleep(0.5)
            assert await asyncio.gather(consumer.end_offsets([first]), consumer.beginning_offsets([second])) == [{first: 0}, {second: 0}]

    run(body)


def test_a_consumer_that_was_stopped_gives_nothing(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        consumer = await given.consumer(place)
        asking = asyncio.ensure_future(consumer.getmany(timeout_ms=10_000))
        await asyncio.sleep(0.05)
        await consumer.stop()
        assert await asking == {}
        with pytest.raises(ConsumerStoppedError):
            await consumer.getmany()

    run(body)


def test_a_header_name_that_is_not_text_fails_whatever_is_read_with_it_until_it_is_read_leniently(run, monkeypatch):
    """shared/lenient.py tells why. What is lost with the failure is why a worker looks again at all of its topics."""
    name = b"\xff\xfe\x00\xfd"
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)  # another test may have made this process lenient

    async def body(given):
        first, second = places(await given.topic(2), 2)
        await given.write(first, b"0", b"1")
        await given.write_torn(first, name)
        await given.write(first, b"3")
        await given.write(second, b"beside")
        fates = set()
        async with asyncio.timeout(30):
            while len(fates) < 2:  # which partition comes first is a matter of chance
                consumer = await given.consumer(first, second)
                await given.until(lambda consumer=consumer: consumer.highwater(first) == 4 and consumer.highwater(second) == 1)
                with pytest.raises(UnicodeDecodeError):
                    await consumer.getmany(timeout_ms=2_000)
                beside = values((await consumer.getmany(second, timeout_ms=300)).get(second, []))
                fates.add("lost" if not beside else "kept")
                with pytest.raises(UnicodeDecodeError):
                    await given.read(consumer, 4)
                assert values((await consumer.getmany(first, timeout_ms=2_000, max_records=2)).get(first, [])) == [b"0", b"1"]
        given.kafka.read_leniently()
        found = await given.read(await given.consumer(first, second), 5)
        assert [(record.offset, record.value) for record in found if record.partition == 0] == list(enumerate([b"0", b"1", b"torn", b"3"]))
        assert [record.headers for record in found if record.value == b"torn"] == [((name.decode("utf-8", "surrogateescape"), b"value"),)]

    run(body)


def test_a_consumer_that_is_given_up_fetches_nothing_more_and_is_heard_of_no_more(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        member = await given.member(given.name(), [place.topic])
        await given.until(lambda: member.shards)
        member.task.cancel()
        await given.kafka.stop_consumer(member.consumer, 0.0001)  # before the group can have answered
        assert not given.works(member.consumer)

    run(body)


# ---- topics that are others ------------------------------------------------------------------------------------------------


def test_a_topic_that_was_made_anew_has_another_id_and_nothing_in_it(run):
    async def body(given):
        topic, other = await given.topic(), await given.topic()
        (place,) = places(topic, 1)
        await given.write(place, b"a", b"b")
        consumer = await given.consumer(place)
        before = await given.kafka.topic_ids(consumer, [topic, other])
        assert before == await given.kafka.topic_ids(consumer, [topic, other])
        assert len(set(before.values())) == 2
        assert all(len(bytes.fromhex(ident)) == 16 for ident in before.values())
        assert len(await given.read(consumer, 2)) == 2
        await given.wipe(topic)
        after = await given.kafka.topic_ids(consumer, [topic, other])
        assert after[topic] not in before.values()
        assert after[other] == before[other]
        assert await consumer.end_offsets([place]) == {place: 0}
        with pytest.raises(OffsetOutOfRangeError):
            await given.read(consumer, 1)
        with pytest.raises(KafkaError, match="no topic"):
            await given.kafka.topic_ids(consumer, [topic, given.name()])

    run(body)


def test_only_one_cluster_is_talked_to_where_it_is_named(run):
    async def body(given):
        (place,) = places(await given.topic(), 1)
        await given.write(place, b"there")
        given.kafka.only("another")
        group = given.name()
        refused = given.kafka.consumer(group_id=group, partition_assignment_strategy=(ByShard,)), given.kafka.producer()
        refused[0].subscribe([place.topic])
        for client in refused:
            with pytest.raises(AnotherCluster, match="belongs to another, but"):
                await client.start()
        assert "belongs to another" in given.kafka.elsewhere
        await given.kafka.stop_consumer(refused[0], 1)
        await given.kafka.stop_producer(refused[1], 1)
        given.kafka.only(await given.cluster())
        assert [record.value for record in await given.read(await given.consumer(place), 1)] == [b"there"]
        await given.write(place, b"ours")
        assert not given.kafka.elsewhere

    run(body)


# ---- groups ----------------------------------------------------------------------------------------------------------------


def whole(topics, shards):
    return {(topic, shard) for topic in topics for shard in shards}


def test_a_member_alone_is_told_that_it_gives_up_nothing_and_is_given_all(run):
    async def body(given):
        topics = [await given.topic(3), await given.topic(3)]
        await given.write(TopicPartition(topics[0], 2), b"a")
        member = await given.member(given.name(), topics)
        await given.until(lambda: member.read)
        everything = frozenset(TopicPartition(*place) for place in whole(topics, range(3)))
        assert member.told == [("revoked", frozenset()), ("assigned", everything)]
        assert member.read == [((topics[0], 2), 0)]

    run(body)


def test_two_members_share_out_whole_shards_and_one_that_leaves_gives_its_back(run):
    async def body(given):
        topics, group = [await given.topic(4), await given.topic(4)], given.name()
        first = await given.member(group, topics)
        await given.until(lambda: first.shards == whole(topics, range(4)))
        second = await given.member(group, topics)
        await given.until(lambda: first.shards and second.shards)
        assert [what for what, _ in first.told] == ["revoked", "assigned"] * 2
        assert first.told[2][1] == first.told[1][1]
        assert {frozenset(first.shards), frozenset(second.shards)} == {
            frozenset(whole(topics, range(0, 4, 2))), frozenset(whole(topics, range(1, 4, 2))),
        }  # fmt: skip
        for topic in topics:
            for shard in range(4):
                await given.write(TopicPartition(topic, shard), b"a")
        await given.until(lambda: len(first.read) == len(second.read) == 4)
        assert {place for place, _ in first.read} == first.shards
        assert {place for place, _ in second.read} == second.shards
        second.reads = False
        await asyncio.sleep(0.2)
        await second.consumer.stop()
        await given.until(lambda: first.shards == whole(topics, range(4)), seconds=2)

    run(body)


def test_a_topic_that_is_gone_is_taken_from_its_members_and_given_back_when_it_is_there_again(run):
    """So that a shard is given without one of its topics: the machine must not take that for its share."""

    async def body(given):
        topics = [await given.topic(2), await given.topic(2)]
        member = await given.member(given.name(), topics)
        await given.until(lambda: member.shards == whole(topics, range(2)))
        await given.delete(topics[1])
        await given.until(lambda: member.shards == whole(topics[:1], range(2)))
        assert not member.task.done()
        await given.make_again(topics[1])
        await given.until(lambda: member.shards == whole(topics, range(2)))
        await given.write(TopicPartition(topics[1], 1), b"anew")
        await given.until(lambda: member.read == [((topics[1], 1), 0)])

    run(body)


def test_nothing_is_handed_over_while_a_member_gives_up_what_it_has(run):
    async def body(given):
        topics, group = [await given.topic(2)], given.name()
        await given.write(TopicPartition(topics[0], 0), b"a")
        first = await given.member(group, topics)
        await given.until(lambda: first.read)
        first.reads = False
        await asyncio.sleep(0.2)
        go_on = asyncio.Event()

        async def takes_its_time(revoked):
            first.told.append(("revoked", frozenset(revoked)))
            await go_on.wait()

        first.on_partitions_revoked = takes_its_time
        joining = asyncio.ensure_future(given.member(group, topics))
        await given.until(lambda: first.shards is None)
        asking = asyncio.ensure_future(first.consumer.getmany(timeout_ms=10))
        await asyncio.sleep(0.5)
        assert not asking.done()
        assert not joining.done()
        assert first.consumer.assignment()  # it has them still, and may move them
        first.consumer.seek(TopicPartition(topics[0], 0), 0)
        go_on.set()
        await asking
        second = await joining
        await given.until(lambda: first.shards and second.shards)
        assert first.shards | second.shards == whole(topics, range(2))

    run(body)


def test_a_member_that_is_not_heard_of_loses_its_share_and_what_it_commits_then_is_refused(run):
    async def body(given):
        topics, group = [await given.topic(2)], given.name()
        lost, other = await given.member(group, topics), await given.member(group, topics)
        await given.until(lambda: lost.shards and other.shards and len(lost.shards) == len(other.shards) == 1)
        (mine,) = lost.shards
        (place,) = places(topics[0], 2)[mine[1] : mine[1] + 1]
        await lost.consumer.commit({place: OffsetAndMetadata(7, "")})
        assert await other.consumer.committed(place) == 7
        with pytest.raises(IllegalStateError):
            await other.consumer.commit({place: OffsetAndMetadata(8, "")})
        told = len(lost.told)
        given.mute(lost.consumer)
        began = asyncio.get_running_loop().time()
        await given.until(lambda: other.shards == whole(topics, range(2)))
        assert asyncio.get_running_loop().time() - began > SESSION_MS / 1000 - 1
        assert len(lost.told) == told  # it has no idea
        with pytest.raises(CommitFailedError):
            await lost.consumer.commit({place: OffsetAndMetadata(9, "")})
        assert await other.consumer.committed(place) == 7
        await given.until(lambda: len(lost.told) == told + 2 and len(other.shards or ()) == 1)  # and joins anew
        assert lost.shards | other.shards == whole(topics, range(2))

    run(body)


async def two_with_names(given):
    """The topics, the group, and its two members, each with its shard: by the names' order."""
    topics, group = [await given.topic(2)], given.name()
    first, other = await given.member(group, topics, "first"), await given.member(group, topics, "other")
    await given.until(lambda: first.shards == whole(topics, [0]) and other.shards == whole(topics, [1]))
    return topics, group, first, other


def test_a_member_with_a_name_that_comes_again_has_at_once_what_it_had_and_the_others_are_left_alone(run):
    async def body(given):
        topics, group, first, other = await two_with_names(given)
        for one, shard in ((first, 0), (other, 1)):  # whether the one that led or the other comes again
            told = len(first.told), len(other.told)
            one.reads = False
            await one.consumer.stop()
            began = asyncio.get_running_loop().time()
            again = await given.member(group, topics, "first" if one is first else "other")
            await given.until(lambda again=again, shard=shard: again.shards == whole(topics, [shard]))
            assert asyncio.get_running_loop().time() - began < SESSION_MS / 1000 / 2
            await asyncio.sleep(1)
            assert (len(first.told), len(other.told)) == told
            first, other = (again, other) if one is first else (first, again)
        for shard in range(2):
            await given.write(TopicPartition(topics[0], shard), b"a")
        await given.until(lambda: first.read and other.read)
        assert (first.read, other.read) == ([((topics[0], 0), 0)], [((topics[0], 1), 0)])

    run(body)


def test_a_member_with_a_name_that_does_not_come_again_is_waited_for_as_long_as_its_session_lasts(run):
    async def body(given):
        topics, _, first, other = await two_with_names(given)
        first.reads = False
        await first.consumer.stop()
        began = asyncio.get_running_loop().time()
        await given.until(lambda: other.shards == whole(topics, range(2)))
        assert asyncio.get_running_loop().time() - began > SESSION_MS / 1000 - 1

    run(body)


def test_a_member_with_a_name_that_says_it_leaves_is_not_waited_for(run):
    async def body(given):
        topics, _, first, other = await two_with_names(given)
        first.reads = False
        given.kafka.leaves(first.consumer)
        await first.consumer.stop()
        await given.until(lambda: other.shards == whole(topics, range(2)), seconds=2)

    run(body)


def test_of_two_with_one_name_the_older_hears_that_it_was_replaced_and_takes_its_place_back(run):
    """They do so for ever: the machine's fences keep them from deciding twice, and a process that is fenced ends."""

    async def body(given):
        topics, group = [await given.topic(1)], given.name()
        older = await given.member(group, topics, "one")
        await given.until(lambda: older.shards)
        newer = await given.member(group, topics, "one")
        await given.until(lambda: newer.shards)
        await given.until(lambda: len(older.told) >= 4)
        await given.until(lambda: len(newer.told) >= 4)

    run(body)


def test_a_member_with_a_name_that_is_away_while_shares_are_dealt_anew_is_waited_for(run):
    async def body(given):
        topics, group = [await given.topic(3)], given.name()
        first, second = await given.member(group, topics, "a"), await given.member(group, topics, "b")
        await given.until(lambda: first.shards and second.shards and len(first.shards | second.shards) == 3)
        second.reads = False
        await second.consumer.stop()
        began = asyncio.get_running_loop().time()
        third = await given.member(group, topics, "c")
        assert asyncio.get_running_loop().time() - began > SESSION_MS / 1000 - 1
        await given.until(lambda: first.shards == whole(topics, [0, 2]))
        assert third.shards == whole(topics, [1])

    run(body)


def test_a_session_shorter_than_kafka_takes_is_refused(run):
    async def body(given):
        consumer = given.kafka.consumer(group_id=given.name(), partition_assignment_strategy=(ByShard,), session_timeout_ms=SESSION_MS - 1)
        consumer.subscribe([await given.topic()])
        given._consumers.append(consumer)
        with pytest.raises(InvalidSessionTimeoutError):
            await consumer.start()

    run(body)
