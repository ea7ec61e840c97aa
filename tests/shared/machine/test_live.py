"""The machine on real Kafka and PostgreSQL: nothing is lost and nothing happens twice, whoever dies, freezes or comes along."""

import asyncio
import struct
from contextlib import suppress
from dataclasses import replace

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from shared.contract.envelope import commands_topic, events_topic, shard_of, text_headers
from shared.machine import store
from shared.machine.bytes import unpack_headers
from shared.machine.deciding import FATAL
from shared.machine.fault import ProofFailed
from shared.machine.mind import Timer
from tests.shared.machine.bench import Bench
from tests.shared.machine.live import Live, everything, producing, streams, until
from tests.shared.machine.tally import MIND, TALLY, Add, Unheard, headers, key

STREAMS = streams(40)


@pytest.fixture
async def live(servers):
    found = Live(await servers.fresh_installation())
    yield found
    await found.stop()


def adds(count, number=1, of=STREAMS):
    return [(Add(number=number), of[n % len(of)]) for n in range(count)]


async def requests(live):
    """What streams have told each other, as it lies on Kafka."""
    records = await everything(live.installation.kafka, commands_topic("intake"), live.shards)
    return [record for record in records if "ledger-position" in text_headers(record.headers)]


# ---- the ordinary way ------------------------------------------------------------------------------------------------------


async def test_what_is_asked_is_decided_once_and_relayed_in_order(live):
    await live.start()
    await live.ready()
    await live.send(*adds(500))
    await until(lambda: _is(live.events("intake.Added.v1"), 500))
    await until(live.relayed)
    assert await live.total() == 500
    proven = await live.prove()
    on_kafka = await live.on_kafka()
    for one in proven:
        assert on_kafka[one.shard] == list(range(1, one.events + 1))


async def test_a_record_on_the_wrong_shard_finds_its_way(live):
    await live.start()
    await live.ready()
    for partition in range(live.shards):
        await live.send(*adds(40), partition=partition)
    await until(lambda: _is(live.events("intake.Added.v1"), 40 * live.shards))
    assert await live.total() == 40 * live.shards
    await live.prove()


async def test_streams_tell_each_other(live):
    await live.start()
    await live.ready()
    await live.send(*((Add(number=2, then_tell=STREAMS[n + 1]), STREAMS[n]) for n in range(20)))
    await until(lambda: _is(live.events("intake.Added.v1"), 40))
    assert await live.total() == 80
    await live.prove()


async def test_timers_fire_once_and_not_early(live):
    await live.start()
    await live.ready()
    await live.send(*((Add(number=1, wake_in_seconds=0.5 + n / 20), STREAMS[n]) for n in range(20)))
    await until(lambda: _is(live.events("intake.Woken.v1"), 20))
    early = (
        "SELECT count(*) FROM journal"
        " WHERE type = 'machine.TimerDue.v1' AND now < (convert_from(body, 'UTF8')::json->>'due_at')::timestamptz"
    )
    assert await live.fetchval(early) == 0
    assert await live.fetchval("SELECT count(*) FROM timers") == 0
    await asyncio.sleep(0.3)
    assert await live.events("intake.Woken.v1") == 20
    await live.prove()


async def test_timers_that_came_due_while_nobody_was_there_fire_when_somebody_is(live):
    member = await live.start()
    await live.ready()
    await live.send((Add(number=1, wake_in_seconds=1.0), STREAMS[0]))
    await until(lambda: _is(live.events("intake.Added.v1"), 1))
    await member.stop()
    live.members.remove(member)
    await asyncio.sleep(1.2)
    await live.start()
    await until(lambda: _is(live.events("intake.Woken.v1"), 1))


# ---- sharing out -----------------------------------------------------------------------------------------------------------


async def test_two_and_three_members_share_the_shards_and_take_over_from_each_other(live):
    first, second = await live.start(), await live.start()
    await live.ready()
    assert first.shards
    assert second.shards
    await live.send(*adds(300))
    third = await live.start()
    await live.ready()
    await live.send(*adds(300))
    await first.stop()
    live.members.remove(first)
    await live.ready()
    await live.send(*adds(300))
    await third.stop()
    live.members.remove(third)
    await live.ready()
    await live.send(*adds(100))
    await until(lambda: _is(live.events("intake.Added.v1"), 1000))
    assert await live.total() == 1000
    await live.prove()


async def test_who_lost_a_shard_writes_nothing_more(live):
    await live.start()
    await live.ready()
    stream = STREAMS[0]
    shard = shard_of(stream, live.shards)
    pool = await store.connect(live.installation.role_dsn("intake"), "intake", 2)
    await store.take_over(pool, pool, shard)
    await live.send((Add(number=1), stream))
    worker = live.members[0].figures.group.workers[shard]
    await until(lambda: not worker.watch.owned)
    assert await live.events("intake.Added.v1") == 0
    await pool.close()


async def test_a_frozen_owner_does_not_keep_its_shard_locked(live):
    pool = await store.connect(live.installation.role_dsn("intake"), "intake", 3)
    frozen = await asyncpg.connect(live.installation.role_dsn("intake"), server_settings={"search_path": "intake"})
    await frozen.execute("BEGIN")
    await frozen.fetchrow("SELECT * FROM head WHERE shard = 2 FOR UPDATE")
    began = asyncio.get_running_loop().time()
    head = await store.take_over(pool, pool, 2)
    assert head.epoch == 1
    assert asyncio.get_running_loop().time() - began < 1.5
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await frozen.execute("COMMIT")
    await pool.close()


async def test_many_shards_taken_over_from_a_frozen_owner_at_once_do_not_wait_for_each_other(live):
    """All connections of the pool wait for locks; the one that ends the holders is none of them."""
    frozen = await asyncpg.connect(live.installation.role_dsn("intake"), server_settings={"search_path": "intake"})
    await frozen.execute("BEGIN")
    await frozen.fetch("SELECT * FROM head FOR UPDATE")
    began = asyncio.get_running_loop().time()
    pool = await store.connect(live.installation.role_dsn("intake"), "intake", live.shards)
    spare = await store.connect(live.installation.role_dsn("intake"), "intake", 1)
    heads = await asyncio.gather(*(store.take_over(pool, spare, shard) for shard in range(live.shards)))
    assert [head.epoch for head in heads] == [1] * live.shards
    assert asyncio.get_running_loop().time() - began < 5
    await pool.close()
    await spare.close()
    frozen.terminate()


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
    await until(lambda: _is(live.events("intake.Added.v1"), 800))
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
    await until(lambda: _is(live.events("intake.Added.v1"), 1000))
    await until(live.relayed)
    on_kafka = await live.on_kafka()
    for one in await live.prove():
        assert list(dict.fromkeys(on_kafka[one.shard])) == list(range(1, one.events + 1))


async def test_who_forges_a_row_of_ours_is_found_out_and_no_row_of_ours_is_lost(live):
    """Whoever may write to the command topic could say that it is a row that was passed on, and name a position that is yet to come."""
    await live.start()
    await live.ready()
    await live.send((Add(number=1, then_tell=STREAMS[1]), STREAMS[0]))
    await until(lambda: _is(live.events("intake.Added.v1"), 2))
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
    await until(lambda: _is(live.events("intake.Added.v1"), 12))
    assert await live.total() == 12
    assert await live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'parked'") == len(forged)
    await live.prove()


async def test_our_own_bug_parks_its_stream_and_the_others_flow(live):
    await live.start()
    await live.ready()
    await live.send((Add(number=13), STREAMS[0]), *adds(80))
    await until(lambda: _is(live.events("intake.Added.v1"), 78))
    assert await live.fetchval("SELECT array_agg(outcome ORDER BY outcome) FROM journal WHERE outcome IN ('parked', 'waiting')") == [
        "parked", "waiting", "waiting",
    ]  # fmt: skip
    await live.prove()


async def test_a_record_that_no_batch_survives_is_found_and_parked(live):
    """The database refuses what this mind wants: no exception in the mind, but the whole batch fails, again and again."""
    too_large = replace(TALLY, timers=lambda state: {} if state.total != 666 else {"wake": Timer(state.wake_at, generation=2**40)})
    await live.start(replace(MIND, streams={"tally": too_large}))
    await live.ready()
    await live.send((Add(number=666, wake_in_seconds=60), STREAMS[0]), *adds(40, of=STREAMS[1:]))
    await until(lambda: _is(live.events("intake.Added.v1"), 40), 60)
    assert await live.fetchval("SELECT reason FROM journal WHERE outcome = 'parked'") == f"process_died: {FATAL}"
    await live.prove()


async def test_a_record_that_was_being_tried_when_the_process_was_killed_is_tried_again(live):
    """Once is chance: whoever is killed for another reason must not have its records given up."""
    places = {shard: f"{commands_topic('intake')}/{shard}/0#2" for shard in range(live.shards)}
    for shard, place in places.items():
        await live.execute("UPDATE head SET attempts = 7, trying = $2 WHERE shard = $1", shard, place)
    await live.start()
    await live.ready()
    await live.send(*adds(80))
    await until(lambda: _is(live.events("intake.Added.v1"), 80))
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
    await until(lambda: _is(live.events("intake.Added.v1"), 40))
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
        batch._build = lambda build=batch._build: _renamed(build(), b"NAME", b"\xff\xfe\x00\xfd")
        await (await producer.send_batch(batch, commands_topic("intake"), partition=shard))
    await live.send(*adds(40))
    await until(lambda: _is(live.events("intake.Added.v1"), 40))
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
    await until(lambda: _is(live.events("intake.Added.v1"), 5))


# ---- the ground ------------------------------------------------------------------------------------------------------------


async def test_a_topic_that_was_made_anew_is_noticed_not_trusted(live):
    member = await live.start()
    await live.ready()
    await live.send(*adds(40))
    await until(lambda: _is(live.events("intake.Added.v1"), 40))
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


async def test_records_that_kafka_no_longer_has_are_missed_aloud(live):
    member = await live.start()
    await live.ready()
    await live.send(*adds(40))
    await until(lambda: _is(live.events("intake.Added.v1"), 40))
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
    await until(lambda: _is(live.events("intake.Added.v1"), here))


# ---- the proofs bite -------------------------------------------------------------------------------------------------------

TAMPERED = {
    "a byte of a ledger row": "UPDATE ledger SET body = set_byte(body, 2, get_byte(body, 2) # 1) WHERE shard = {0} AND position = 3",
    "who did it": "UPDATE ledger SET actor = 'person:somebody.else' WHERE shard = {0} AND position = 3",
    "a missing row": "DELETE FROM ledger WHERE shard = {0} AND position = 3",
    "a journalled body": "UPDATE journal SET body = body || ' ' WHERE shard = {0} AND entry = 3",
    "a missing entry": "DELETE FROM journal WHERE shard = {0} AND entry = 3",
    "a state": "UPDATE state SET body = convert_to('{{\"total\":7,\"wake_at\":null}}', 'UTF8') WHERE shard = {0} AND kind = 'tally'",
    "a state's version": "UPDATE state SET version = version + 1 WHERE shard = {0} AND kind = 'tally'",
    "a missing state": "DELETE FROM state WHERE shard = {0} AND kind = 'tally'",
    "a timer that nobody wants": (
        "INSERT INTO timers SELECT shard, kind, stream, 'wake', now(), 1 FROM state WHERE shard = {0} AND kind = 'tally'"
    ),
    "the head's position": "UPDATE head SET position = position - 1 WHERE shard = {0}",
    "the head's journal": "UPDATE head SET journal_hash = hash WHERE shard = {0}",
}


async def test_whatever_is_changed_behind_the_machines_back_is_found(live):
    member = await live.start()
    await live.ready()
    await live.send(*adds(120))
    await until(lambda: _is(live.events("intake.Added.v1"), 120))
    await member.stop()
    await live.prove()
    shard = 2
    for what, change in TAMPERED.items():
        owner = await live.owner()
        await owner.execute("CREATE TEMP TABLE kept AS TABLE ledger WITH NO DATA")
        saved = {
            table: await owner.fetch(f"SELECT * FROM {table} WHERE shard = $1", shard)
            for table in ("ledger", "journal", "state", "timers", "head")
        }
        assert not (await owner.execute(change.format(shard))).endswith(" 0"), what
        with pytest.raises(ProofFailed) as found:
            await live.prove()
        assert found.value.fault.shard == shard, what
        if what in {"a byte of a ledger row", "who did it"}:
            assert found.value.fault.position == 3, what
        for table, rows in saved.items():
            await owner.execute(f"DELETE FROM {table} WHERE shard = $1", shard)
            await owner.copy_records_to_table(table, records=[tuple(row) for row in rows])
        await owner.close()
        await live.prove()


async def test_the_role_that_writes_the_ledger_can_add_and_nothing_else(live):
    await live.start()
    await live.ready()
    connection = await asyncpg.connect(live.installation.role_dsn("intake"))
    for forbidden in (
        "UPDATE ledger SET actor = 'x'", "DELETE FROM ledger", "TRUNCATE ledger", "UPDATE journal SET reason = 'x'", "DELETE FROM journal",
        "DELETE FROM head", "INSERT INTO head (shard) VALUES (99)", "DROP TABLE ledger", "CREATE TABLE intake.mine (a int)",
        "DELETE FROM messages", "UPDATE relayed SET position = 0", "SELECT make_piece('ledger', 0, 7)", "SELECT * FROM resolution.ledger",
        "ALTER TABLE ledger DISABLE TRIGGER ALL", "UPDATE ledger_0_0 SET actor = 'x'", "SELECT * FROM ledger_0_0",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    await connection.close()


async def _is(found, expected) -> bool:
    return await found == expected


async def _made(admin, topic) -> bool:
    answer = await admin.create_topics([topic])
    return all(code == 0 for _, code, *_ in answer.topic_errors)


def _fact_headers(position):
    bench = Bench(1)
    for _ in range(position - 1):
        bench.fact(Unheard(), STREAMS[0])
    return bench.fact(Unheard(), STREAMS[0]).headers


def _renamed(batch, name, other):
    """A batch with other bytes in the place of a header's name, and the checksum that goes with them (at 17, over all from 21 on)."""
    changed = bytearray(bytes(batch).replace(name, other))
    changed[17:21] = struct.pack(">I", calc_crc32c(bytes(changed[21:])))
    return changed
