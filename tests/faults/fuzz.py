"""The three services, given records as no one should send them: each is accounted for once, byte for byte, and none stops its neighbours.

`make fuzz RECORDS=100000 SEED=1` says what came of them.
"""

import asyncio
import hashlib
import sys
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from services.intake.mind import MIND as INTAKE
from services.resolution.mind import MIND as RESOLUTION
from services.rootcause.mind import MIND as ROOTCAUSE
from shared.contract.envelope import SUBMISSIONS
from shared.contract.intake import SubmitComplaint
from shared.machine.bytes import pack, pack_headers
from shared.machine.figures import Figures
from shared.machine.proof import verify_shard
from shared.machine.replay import check_shard
from shared.machine.service import work
from shared.machine.told import Reader
from shared.settings import Settings
from tests.faults.malformed import BUG, VALID, Record, records
from tests.servers import Installation, Servers, started


def _decide(state, command, context):
    if isinstance(command, SubmitComplaint) and command.narrative == BUG:
        raise KeyError(BUG)
    return INTAKE.streams["complaint"].decide(state, command, context)


BUGGY = replace(INTAKE, streams={**INTAKE.streams, "complaint": replace(INTAKE.streams["complaint"], decide=_decide)})
MINDS = (BUGGY, RESOLUTION, ROOTCAUSE)
REQUEST_BYTES_MAX = 4 * 1024 * 1024
UNDER_WAY_MAX = 2_000
QUIET_SECONDS = 0.5
PATIENCE_SECONDS = 1_800
MEMORY_EVERY = 500
MIB = 1024 * 1024
Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass
class Fuzzed:
    """What was sent, and what came of it."""

    sent: dict[Place, tuple[str, bytes]] = field(default_factory=dict)
    """The fault and the digest of each record that Kafka took."""
    not_taken: Counter[str] = field(default_factory=Counter)
    """What Kafka did not take, by fault."""
    sent_again: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Of each fault, how many inputs ended how, of all services that read them."""
    causes: Counter[str] = field(default_factory=Counter)
    """Of what was parked."""
    journalled: int = 0
    memory: list[int] = field(default_factory=list)
    """The process's, in bytes, all along."""
    seconds: float = 0.0


def digest(key: bytes | None, value: bytes | None, headers: bytes) -> bytes:
    """Of all that a record is."""
    parts = [b"\x01" + key if key is not None else b"", b"\x01" + value if value is not None else b"", headers]
    return hashlib.sha256(pack(parts)).digest()[:16]


async def fuzz(installation: Installation, seed: int, count: int) -> Fuzzed:
    """Sends them, waits until all is decided, and looks at everything. Raises AssertionError where something is not as it must be."""
    found, began = Fuzzed(), time.monotonic()
    async with working(installation):
        await send(installation, found, records(seed, count, installation.installed.shards))
        await until_decided(installation, found)
        found.seconds = time.monotonic() - began
    sys.stderr.write(f"all decided after {found.seconds:.0f} s\n")
    for mind in MINDS:
        connection = await asyncpg.connect(installation.owner_dsn, server_settings={"search_path": mind.service})
        try:
            await account(connection, installation, found, mind.service)
            await found_no_bug_of_ours(connection, mind.service)
            await prove(connection, installation, mind)
        finally:
            await connection.close()
    await neighbours(installation, found)
    return found


@asynccontextmanager
async def working(installation: Installation):
    """The services, in this process."""
    tasks = []
    for mind in MINDS:
        told = Settings(kafka=installation.kafka, database=installation.role_dsn(mind.service), session_timeout_ms=30_000)
        tasks.append(asyncio.create_task(work(mind, told, Figures(mind.service))))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended


async def send(installation: Installation, found: Fuzzed, told) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=installation.kafka, acks="all", linger_ms=5, max_request_size=REQUEST_BYTES_MAX, request_timeout_ms=120_000
    )
    await producer.start()
    process, under_way = psutil.Process(), set()
    try:
        for number, record in enumerate(told):
            under_way.add(asyncio.create_task(_sent(producer, found, record)))
            if len(under_way) >= UNDER_WAY_MAX:
                _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            if number % MEMORY_EVERY == 0:
                found.memory.append(process.memory_info().rss)
            if number % 10_000 == 0:
                sys.stderr.write(f"{number:,} sent\n")
        await asyncio.gather(*under_way)
    finally:
        await producer.stop()


async def _sent(producer: AIOKafkaProducer, found: Fuzzed, record: Record) -> None:
    while True:
        try:
            done = await producer.send_and_wait(
                record.topic, record.value, key=record.key, partition=record.partition, headers=record.headers
            )
            break
        except MessageSizeTooLargeError:
            found.not_taken[record.fault] += 1
            return
        except KafkaError:  # it took too long; whether it lies there is unknown, so it may lie there twice
            found.sent_again += 1
    place = done.topic, done.partition, done.offset
    assert place not in found.sent
    found.sent[place] = record.fault, digest(record.key, record.value, pack_headers(record.headers))


async def until_decided(installation: Installation, found: Fuzzed) -> None:
    """All that lies on Kafka was taken in, and all that was decided lies there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=installation.kafka)
    await consumer.start()
    connection = await asyncpg.connect(installation.owner_dsn)
    process, deadline, before = psutil.Process(), time.monotonic() + PATIENCE_SECONDS, None
    try:
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            found.memory.append(process.memory_info().rss)
            ends = await _ends(consumer, installation)
            left = [what for mind in MINDS async for what in _undecided(connection, mind, installation, ends)]
            if not left and ends == before:
                return
            before = ends
            assert time.monotonic() < deadline, f"it still waits: {left[:5]}"
    finally:
        await connection.close()
        await consumer.stop()


async def _ends(consumer: AIOKafkaConsumer, installation: Installation):
    topics = {topic for mind in MINDS for topic in reader_of(installation, mind).topics}
    places = [TopicPartition(topic, shard) for topic in topics for shard in range(installation.installed.shards)]
    return await consumer.end_offsets(places)


async def _undecided(connection, mind, installation, ends):
    rows = await connection.fetch(
        f"SELECT shard, position, (SELECT coalesce(max(position), 0) FROM {mind.service}.relayed WHERE shard = head.shard) AS relayed,"
        f" coalesce((offsets::json ->> topic)::bigint, 0) AS next, topic FROM {mind.service}.head, unnest($1::text[]) AS topic",
        list(reader_of(installation, mind).topics),
    )
    for row in rows:
        if row["next"] < ends[TopicPartition(row["topic"], row["shard"])] or row["relayed"] < row["position"]:
            yield f"{mind.service}/{row['shard']}: {row['topic']} at {row['next']}, relayed {row['relayed']} of {row['position']}"


def reader_of(installation: Installation, mind) -> Reader:
    return Reader(mind, installation.installed.shards, (SUBMISSIONS,), installation.installed.generation)


async def account(connection: asyncpg.Connection, installation: Installation, found: Fuzzed, service: str) -> None:
    """Each record has one journal row, and that holds it byte for byte."""
    reads = set(reader_of(installation, next(mind for mind in MINDS if mind.service == service)).topics)
    unseen = {place for place in found.sent if place[0] in reads}
    async with connection.transaction():
        query = (
            "SELECT topic, partition, \"offset\", until, key, headers, body, outcome, reason FROM journal WHERE topic <> ''"
            ' ORDER BY topic, partition, "offset"'
        )
        at: dict[tuple[str, int], int] = {}
        async for row in connection.cursor(query, prefetch=500):
            where = row["topic"], row["partition"]
            assert row["offset"] == at.get(where, 0), f"{service} has {where} up to {at.get(where, 0)}, and then from {row['offset']}"
            at[where] = row["until"]
            found.journalled += 1
            for offset in range(row["offset"], row["until"]):
                place = (*where, offset)
                if place not in found.sent:  # what the services told each other
                    continue
                unseen.remove(place)
                fault, was = found.sent[place]
                found.outcomes[fault][row["outcome"]] += 1
                if row["outcome"] == "ignored":
                    continue
                assert digest(row["key"], row["body"], row["headers"]) == was, f"{service} has {place} not as it was sent"
                if row["outcome"] == "parked":
                    found.causes[row["reason"].partition(":")[0]] += 1
    assert not unseen, f"{service} has not {len(unseen)} of them: {sorted(unseen)[:3]}"


async def found_no_bug_of_ours(connection: asyncpg.Connection, service: str) -> None:
    """No mind failed but on what was made for it to fail on, and none of the streams was stopped by anything else."""
    rows = await connection.fetch(
        "SELECT message_id, reason FROM journal WHERE outcome = 'parked' AND reason !~ '^(undecodable|misplaced|out_of_turn)'"
        " AND message_id NOT LIKE 'bug-%' LIMIT 3"
    )
    assert not rows, f"{service} failed on {[tuple(row) for row in rows]}"


async def prove(connection: asyncpg.Connection, installation: Installation, mind) -> None:
    for shard in range(installation.installed.shards):
        await verify_shard(connection, mind, shard)
        await check_shard(connection, mind, reader_of(installation, mind), shard)


async def neighbours(installation: Installation, found: Fuzzed) -> None:
    """Every good record between the bad ones was accepted."""
    connection = await asyncpg.connect(installation.owner_dsn, server_settings={"search_path": "intake"})
    from_shop = "convert_from(body, 'UTF8')::json ->> 'source' = 'shop'"
    query = f"SELECT count(*) FROM ledger WHERE type = 'intake.ComplaintReceived.v1' AND {from_shop}"
    made = await connection.fetchval(query)
    await connection.close()
    expected = sum(fault == VALID for fault, _ in found.sent.values())
    assert made == expected, f"{expected} good ones, but {made} of them were accepted"
    assert not found.not_taken[VALID], "Kafka takes what is good"


async def _fuzzed(servers: Servers, seed: int, count: int) -> Fuzzed:
    return await fuzz(await servers.fresh_installation(), seed, count)


def main(count: int, seed: int) -> None:
    with started() as servers:
        found = asyncio.run(_fuzzed(servers, seed, count))
    width, first = max(map(len, found.outcomes)), max(found.memory[: len(found.memory) // 4])
    lines = [
        f"{count:,} records by seed {seed}; Kafka took {len(found.sent):,}, all accounted for, in {found.seconds:.0f} s",
        *(
            f"  {fault:{width}}  {', '.join(f'{n:,} {outcome}' for outcome, n in outcomes.most_common())}"
            for fault, outcomes in sorted(found.outcomes.items())
        ),
        f"too large for Kafka: {dict(found.not_taken)}; sent again: {found.sent_again}",
        f"parked: {dict(found.causes)}; byte for byte, key and headers, too",
        f"memory: {found.memory[0] // MIB} MiB at first, {first // MIB} in the first quarter, {max(found.memory) // MIB} at most",
        "verify and replay: clean",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
