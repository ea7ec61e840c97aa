"""The machine in trouble, on real Kafka and PostgreSQL: nothing is lost and nothing happens twice, whatever breaks."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.topics import TOPICS
from shared.contract.envelope import commands_topic, events_topic, shard_of, text_headers
from shared.machine import store
from shared.machine.bytes import unpack_headers
from shared.machine.deciding import FATAL
from shared.machine.group import Group
from shared.machine.head import Head
from shared.machine.mind import Timer
from shared.machine.told import APPENDED
from tests.shared.machine.bench import Bench, Record
from tests.shared.machine.live import STREAMS, adds, everything, is_so, producing, until
from tests.shared.machine.tally import MIND, NOW, TALLY, Add, Heard, Unheard, headers, key
from tests.torn import with_header_name


async def requests(live):
    """What streams have told each other, as it lies on Kafka."""
    records = await everything(live.installation.kafka, commands_topic("intake"), live.shards)
    return [record for record in records if "ledger-position" in text_headers(record.headers)]


# ---- trouble ---------------------------------------------------------------------------------------------------------------


async def test_sessions_that_are_cut_off_at_any_moment_lose_and_double_nothing(live):
    await live.start()
    await live.ready()

    async def cut():
        owner = await live.owner()
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(0.04)
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'makegood_intake' AND random() < 0.3"
                )
        await owner.close()

    cutting = asyncio.create_task(cut())
    for _ in range(8):
        await live.send(*adds(100))
        await asyncio.sleep(0.2)
    cutting.cancel()
    await asyncio.gather(cutting, return_exceptions=True)
    await until(lambda: is_so(live.events("intake.Added.v1"), 800))
    await until(live.relayed)
    assert await live.total() == 800
    proven = await live.prove()
    on_kafka = await live.on_kafka()
    for one in proven:
        assert list(dict.fromkeys(on_kafka[one.shard])) == list(range(1, one.events + 1)), "each first comes in its turn"


async def test_a_producer_that_breaks_is_replaced_and_nothing_is_missing(live):
    await live.start()
    await live.ready()

    async def break_it():
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(0.1)
                for worker in live.members[0].figures.group.workers.values():
                    producer = worker._relay._outlet._producer
                    if producer:
                        await producer.stop()
                        break

    breaking = asyncio.create_task(break_it())
    for _ in range(10):
        await live.send(*adds(100))
    await asyncio.sleep(1)
    breaking.cancel()
    await asyncio.gather(breaking, return_exceptions=True)
    await until(lambda: is_so(live.events("intake.Added.v1"), 1000))
    await until(live.relayed)
    on_kafka = await live.on_kafka()
    for one in await live.prove():
        assert list(dict.fromkeys(on_kafka[one.shard])) == list(range(1, one.events + 1))


async def test_who_forges_a_row_of_ours_is_found_out_and_no_row_of_ours_is_lost(live):
    """Whoever may write to the command topic could say that it is a row that was passed on, and name a position that is yet to come."""
    await live.start()
    await live.ready()
    await live.send((Add(number=1, then_tell=STREAMS[1]), STREAMS[0]))
    await until(lambda: is_so(live.events("intake.Added.v1"), 2))
    (real,) = await requests(live)
    said = dict(real.headers)
    _, _, shard, position = said["ce_id"].decode().split("/")
    ahead = {"ce_id": f"g1/intake/{shard}/1000".encode(), "ledger-position": b"1000"}
    forged = [
        (real.value, said | ahead), (b'{"number":1000000}', said), (real.value, said | {"ce_actor": b"person:the.boss"}),
        (real.value, said | {"ce_id": f"g1/resolution/{shard}/{position}".encode()}), (real.value, said | {"ce_subject": key(STREAMS[2])}),
        (real.value, said | {"ce_id": f"g1/intake/999/{position}".encode(), "ledger-shard": b"999"}),
    ]  # fmt: skip
    async with producing(live.installation.kafka) as producer:
        for value, found in forged:
            place = {"key": key(STREAMS[1]), "partition": real.partition}
            await producer.send_and_wait(commands_topic("intake"), value, **place, headers=list(found.items()))
        place = {"key": real.key, "partition": real.partition}
        await producer.send_and_wait(commands_topic("intake"), real.value, **place, headers=list(real.headers))
    await live.send(*[(Add(number=1, then_tell=STREAMS[1]), STREAMS[0])] * 5)
    await until(lambda: is_so(live.events("intake.Added.v1"), 12))
    assert await live.total() == 12
    assert await live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'parked'") == len(forged)
    await live.prove()


async def test_our_own_bug_parks_its_stream_and_the_others_flow(live):
    await live.start()
    await live.ready()
    await live.send((Add(number=13), STREAMS[0]), *adds(80))
    await until(lambda: is_so(live.events("intake.Added.v1"), 78))
    assert await live.fetchval("SELECT array_agg(outcome ORDER BY outcome) FROM journal WHERE outcome IN ('parked', 'waiting')") == [
        "parked", "waiting", "waiting",
    ]  # fmt: skip
    await live.prove()


async def test_under_a_policy_that_was_changed_nothing_is_decided_until_it_is_put_back(live, monkeypatch):
    monkeypatch.setattr("shared.machine.worker.PAUSE_MAX_SECONDS", 0.5)
    member = await live.start()
    await live.ready()
    await live.send((Add(number=1), STREAMS[0]))
    await until(lambda: is_so(live.total(), 1))
    await until(lambda: is_so(live.fetchval("SELECT count(*) FROM head WHERE policy = ''"), 0))
    await member.stop()
    live.members.clear()
    version = "UPDATE policy_versions SET body = convert_to(replace(convert_from(body, 'UTF8'), $1, $2), 'UTF8')"
    assert await live.execute(version, '"version":1', '"version":2') == "UPDATE 1"
    member = await live.start()
    await live.send((Add(number=1), STREAMS[0]))
    shard = shard_of(STREAMS[0], live.shards)
    await until(lambda: member.troubles.get(shard))
    cause, what = member.troubles[shard]
    assert (cause, "was changed" in what) == ("damaged", True)
    assert await live.total() == 1
    assert not member.figures.ready()[0]
    await live.execute(version, '"version":2', '"version":1')
    await until(lambda: is_so(live.total(), 2))
    await live.prove()


async def test_a_record_that_no_batch_survives_is_found_and_parked(live, monkeypatch):
    """The database refuses what this mind wants: no exception in the mind, but the whole batch fails, again and again."""
    too_large = replace(TALLY, timers=lambda state: {} if state.total != 666 else {"wake": Timer(state.wake_at, generation=2**40)})
    monkeypatch.setattr("shared.machine.worker.PAUSE_MAX_SECONDS", 0.5)
    await live.start(replace(MIND, streams={"tally": too_large}))
    await live.ready()
    await live.send((Add(number=666, wake_in_seconds=60), STREAMS[0]), *adds(40, of=STREAMS[1:]))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40), 60)
    assert await live.fetchval("SELECT reason FROM journal WHERE outcome = 'parked'") == f"process_died: {FATAL}"
    await live.prove()


async def test_a_timer_that_no_batch_survives_is_found_and_parked(live, monkeypatch):
    """What it leads to is refused by the database: the shard's records would wait behind it for ever."""

    def timers(state):
        return {"again": Timer(state.wake_at or NOW, generation=2**40)} if state.total == 666 and state.wake_at is None else real(state)

    real = TALLY.timers
    monkeypatch.setattr("shared.machine.worker.PAUSE_MAX_SECONDS", 0.5)
    await live.start(replace(MIND, streams={"tally": replace(TALLY, timers=timers)}))
    await live.ready()
    await live.send((Add(number=666, wake_in_seconds=1), STREAMS[0]), *adds(40, of=STREAMS[1:]))
    await until(lambda: is_so(live.events("intake.Added.v1"), 41))
    parked = "SELECT reason FROM journal WHERE outcome = 'parked' AND topic = ''"
    await until(lambda: is_so(live.fetchval(parked), f"process_died: {FATAL}"), 60)
    await live.send(*adds(40, of=STREAMS[1:]))
    await until(lambda: is_so(live.events("intake.Added.v1"), 81))
    await live.prove()


async def test_trouble_that_passes_by_itself_counts_no_death(live):
    """PostgreSQL ends each batch, as when it shuts down: whatever was in them is innocent."""
    await live.start()
    await live.ready()
    await live.execute("CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '57P01'; END $$")
    await live.execute("GRANT EXECUTE ON FUNCTION gone() TO makegood_intake")
    await live.execute("CREATE TRIGGER gone BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION gone()")
    await live.send(*adds(80))
    troubled = [await until(lambda: live.members[0].troubles) for _ in range(3)]
    assert {cause for found in troubled for cause, _ in found.values()} == {"database"}
    await until(lambda: all_at_least(live, epoch=5), 60)
    assert await live.fetchval("SELECT max(attempts) FROM head") <= 1
    await live.execute("DROP TRIGGER gone ON journal")
    await until(lambda: is_so(live.events("intake.Added.v1"), 80))
    assert await live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'parked'") == 0
    await live.ready()


async def test_who_does_not_reach_kafka_takes_no_shard_over(live, monkeypatch):
    member = await live.start()
    await live.ready()
    epochs = await live.fetchval("SELECT array_agg(epoch ORDER BY shard) FROM head")

    async def away(*_):
        raise KafkaError("away")

    with monkeypatch.context() as patched:
        patched.setattr(Group, "ranges", away)
        for worker in member.figures.group.workers.values():
            worker.look_again()
        await until(lambda: len(member.troubles) == live.shards)
        await asyncio.sleep(1)
        assert await live.fetchval("SELECT array_agg(epoch ORDER BY shard) FROM head") == epochs, "another may have it, and reach Kafka"
    await live.ready()
    await live.stop()


async def test_what_kafka_does_not_take_is_told_by_readyz_and_sent_when_it_does(live, monkeypatch):
    monkeypatch.setattr("shared.machine.relay.STUCK_SECONDS", 0.2)
    await live.start()
    await live.ready()
    await limited(live, "100")
    await live.send(*adds(40))
    await until(lambda: "relay" in str(live.members[0].figures.ready()[1]["troubles"]))
    assert not live.members[0].figures.ready()[0]
    await limited(live, "2097152")
    await until(live.relayed)
    await until(lambda: live.members[0].figures.ready()[0])


async def test_a_record_that_was_being_tried_when_the_process_was_killed_is_tried_again(live):
    """Once is chance: whoever is killed for another reason must not have its records given up."""
    places = {shard: f"{commands_topic('intake')}/{shard}/0#2" for shard in range(live.shards)}
    for shard, place in places.items():
        await live.execute("UPDATE head SET attempts = 7, trying = $2 WHERE shard = $1", shard, place)
    await live.start()
    await live.ready()
    await live.send(*adds(80))
    await until(lambda: is_so(live.events("intake.Added.v1"), 80))
    assert await live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'parked'") == 0
    assert await live.fetchval("SELECT count(*) FROM head WHERE attempts > 0 OR trying <> ''") == 0


async def test_idle_shards_that_are_taken_over_again_and_again_count_no_attempts(live):
    for _ in range(4):
        member = await live.start()
        await live.ready()
        await member.stop()
        live.members.remove(member)
    assert await live.fetchval("SELECT max(attempts) FROM head") == 0


async def test_bad_bytes_of_every_sort_are_kept_and_the_rest_goes_on(live):
    await live.start()
    await live.ready()
    bad = [None, b"", b"\xff\xfe\x00", b"[" * 50_000, b'{"number":"x"}', b"x" * 900_000]
    async with producing(live.installation.kafka) as producer:
        for number, value in enumerate(bad):
            stream = STREAMS[number]
            for found in (headers(Add(number=1), stream, f"bad{number}"), [("ce_type", b"\xff"), ("ce_id", b"\x00")], []):
                await producer.send(
                    commands_topic("intake"), value, key=key(stream), partition=shard_of(stream, live.shards), headers=found
                )
        await producer.flush()
    await live.send(*adds(40))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    assert await live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'parked'") == 3 * len(bad)
    kept = await live.fetchval("SELECT array_agg(DISTINCT body) FROM journal WHERE outcome = 'parked'")
    assert set(kept) == set(bad)
    await live.prove()


async def test_header_names_that_are_not_text_stop_nobody_and_are_kept(live):
    """aiokafka fails on such a record before anybody has seen it: the names are made in the bytes of a batch, as a client in C would."""
    await live.start()
    await live.ready()
    stream = STREAMS[0]
    shard = shard_of(stream, live.shards)
    async with producing(live.installation.kafka) as producer:
        batch = producer.create_batch()
        batch.append(key=key(stream), value=b"{}", timestamp=1, headers=[("NAME", b"value")])
        await (await producer.send_batch(with_header_name(batch, b"NAME", b"\xff\xfe\x00\xfd"), commands_topic("intake"), partition=shard))
    await live.send(*adds(40))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    packed = await live.fetchval("SELECT headers FROM journal WHERE outcome = 'parked'")
    assert unpack_headers(packed) == [(b"\xff\xfe\x00\xfd".decode("utf-8", "surrogateescape"), b"value")]
    await live.prove()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_upstreams_compress_is_read(live, codec):
    await live.start()
    await live.ready()
    producer = AIOKafkaProducer(bootstrap_servers=live.installation.kafka, compression_type=codec)
    await producer.start()
    for n in range(5):
        stream = STREAMS[n]
        found = headers(Add(number=1), stream, f"{codec}{n}")
        await producer.send(
            commands_topic("intake"), Add(number=1).to_bytes(), key=key(stream), partition=shard_of(stream, live.shards), headers=found
        )
    await producer.stop()
    await until(lambda: is_so(live.events("intake.Added.v1"), 5))


# ---- room -----------------------------------------------------------------------------------------------------------------


async def test_who_is_in_the_way_of_making_room_is_not_waited_for_long(live):
    pool = await store.connect(live.installation.role_dsn("intake"), "intake", 1)
    owner = await live.owner()
    full = Head(0, position=9_500_000, now=datetime.now(UTC))
    async with owner.transaction():
        await owner.execute("LOCK TABLE ledger_0 IN ACCESS SHARE MODE")
        began = asyncio.get_running_loop().time()
        with pytest.raises(asyncpg.LockNotAvailableError):
            await store.make_room(pool, full)
        assert asyncio.get_running_loop().time() - began < 5
    await store.make_room(pool, full)
    assert await live.fetchval("SELECT to_regclass('ledger_0_1') IS NOT NULL")
    await owner.close()
    await pool.close()


async def test_messages_are_forgotten_when_no_topic_can_hold_them_any_more(live):
    there = "SELECT to_regclass('messages_2025_01') IS NOT NULL"
    await live.execute("SELECT make_month('2025-01-05')")
    await live.execute("UPDATE head SET now = CASE shard WHEN 0 THEN '2025-04-30'::timestamptz ELSE clock_timestamp() END")
    await live.execute("SELECT make_room(0, 0, 0, clock_timestamp())")
    assert await live.fetchval(there), "one shard has not seen May"
    await live.execute("UPDATE head SET now = clock_timestamp()")
    await live.execute("SELECT make_room(0, 0, 0, clock_timestamp())")
    assert not await live.fetchval(there)
    assert await live.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'messages'::regclass") >= 1


# ---- the ground ------------------------------------------------------------------------------------------------------------


async def test_a_topic_that_was_made_anew_is_noticed_not_trusted(live):
    member = await live.start()
    await live.ready()
    await live.send(*adds(40))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    await member.stop()
    live.members.remove(member)
    topic = commands_topic("intake")
    admin = AIOKafkaAdminClient(bootstrap_servers=live.installation.kafka)
    await admin.start()
    await admin.delete_topics([topic])
    await until(lambda: _made(admin, NewTopic(topic, live.shards, 1)))
    await admin.close()
    await live.send(*adds(40))
    member = await live.start()
    await until(lambda: len(member.troubles) == live.shards)
    assert {cause for cause, _ in member.troubles.values()} == {"topic changed"}
    assert not member.figures.ready()[0]
    assert await live.events("intake.Added.v1") == 40


async def test_an_events_topic_that_was_made_anew_goes_on_by_position(live):
    """Its offsets begin anew, lower than those that were read before; its positions are the ledger's."""
    topic, stream = events_topic("resolution"), STREAMS[0]
    shard = shard_of(stream, live.shards)
    bench = Bench(shard)
    facts = [bench.fact(Heard(number=1), stream) for _ in range(12)]
    member = await live.start()
    await live.ready()
    await lies(live, topic, [*facts[:8], *facts[:8]])
    await until(lambda: is_so(live.events("intake.Added.v1"), 8))
    await member.stop()
    live.members.remove(member)
    admin = AIOKafkaAdminClient(bootstrap_servers=live.installation.kafka)
    await admin.start()
    await admin.delete_topics([topic])
    await until(lambda: _made(admin, NewTopic(topic, live.shards, 1)))
    await admin.close()
    await live.start()
    await live.ready()
    await live.send((Add(number=1), stream))
    await until(lambda: is_so(live.events("intake.Added.v1"), 9))
    await lies(live, topic, facts)
    await until(lambda: is_so(live.events("intake.Added.v1"), 13))
    await live.prove()


async def test_the_time_of_a_record_is_kafkas(live):
    """It is what the other clocks are held against: a sender's would tell nothing."""
    for topic in TOPICS:
        await lies(live, topic, [Record(topic, 0, 0, b"{}", b"key", timestamp=1_000)])
        (record,) = await everything(live.installation.kafka, topic, live.shards)
        assert record.timestamp_type == APPENDED, topic
        assert abs(record.timestamp / 1000 - datetime.now(UTC).timestamp()) < 60, topic


async def test_records_that_kafka_no_longer_has_are_missed_aloud(live):
    member = await live.start()
    await live.ready()
    await live.send(*adds(40))
    await until(lambda: is_so(live.events("intake.Added.v1"), 40))
    await member.stop()
    live.members.remove(member)
    await live.send(*adds(80))
    admin = AIOKafkaAdminClient(bootstrap_servers=live.installation.kafka)
    await admin.start()
    places = {TopicPartition(commands_topic("intake"), shard): RecordsToDelete(before_offset=-1) for shard in range(live.shards)}
    await admin.delete_records(places)
    await admin.close()
    member = await live.start()
    await until(lambda: len(member.troubles) == live.shards)
    assert {cause for cause, _ in member.troubles.values()} == {"lost range"}


async def test_an_events_topic_with_a_gap_stops_the_shard(live):
    await live.start()
    await live.ready()
    async with producing(live.installation.kafka) as producer:
        await producer.send_and_wait(events_topic("resolution"), b"{}", key=key(STREAMS[0]), partition=1, headers=_fact_headers(7))
    await until(lambda: 1 in live.members[0].troubles)
    assert live.members[0].troubles[1][0] == "gap"
    await live.send(*adds(80))
    here = sum(shard_of(stream, live.shards) != 1 for stream in STREAMS) * 2
    await until(lambda: is_so(live.events("intake.Added.v1"), here))


async def lies(live, topic, records):
    """Puts records onto a topic, each on its partition."""
    async with producing(live.installation.kafka) as producer:
        for record in records:
            await producer.send_and_wait(
                topic, record.value, key=record.key, partition=record.partition, headers=record.headers, timestamp_ms=record.timestamp
            )


async def limited(live, size: str):
    """Bounds what our events' topic takes."""
    admin = AIOKafkaAdminClient(bootstrap_servers=live.installation.kafka)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, events_topic("intake"), {"max.message.bytes": size})])
    await admin.close()


async def all_at_least(live, epoch: int) -> bool:
    return await live.fetchval("SELECT min(epoch) FROM head WHERE shard = ANY($1)", list(live.members[0].troubles)) >= epoch


async def _made(admin, topic) -> bool:
    answer = await admin.create_topics([topic])
    return all(code == 0 for _, code, *_ in answer.topic_errors)


def _fact_headers(position):
    bench = Bench(1)
    for _ in range(position - 1):
        bench.fact(Unheard(), STREAMS[0])
    return bench.fact(Unheard(), STREAMS[0]).headers
