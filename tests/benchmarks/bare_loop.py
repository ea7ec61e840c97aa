"""The bare loop: the least that an event-sourced service on Kafka and PostgreSQL must do, and nothing else. The engine is held against it.

Take a batch; in one transaction lock the head, COPY the journal, COPY the ledger, upsert the states, move the head; then publish the
ledger's rows. No validation, no domain, no traces, no refusals: one process, one partition, one input → one event.
"""

import argparse
import asyncio
import hashlib
import json
import time
import uuid
from contextlib import asynccontextmanager

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from deploy.topics import admin
from tests.benchmarks.load import TEXT

TABLES = """
    CREATE TABLE head (shard int PRIMARY KEY, position bigint, next_offset bigint, hash bytea);
    INSERT INTO head VALUES (0, 0, 0, ''::bytea);
    CREATE TABLE journal (shard int, entry bigint, message_id uuid, body bytea, now timestamptz, outcome text, PRIMARY KEY (shard, entry));
    CREATE UNIQUE INDEX ON journal (message_id);
    CREATE TABLE ledger (shard int, position bigint, stream uuid, version int, type text, body json, hash bytea,
                         PRIMARY KEY (shard, position));
    CREATE UNIQUE INDEX ON ledger (stream, version);
    CREATE TABLE state (stream uuid PRIMARY KEY, version int, body json) WITH (fillfactor = 50);
"""


async def main() -> None:
    """Fills a topic, then works through it; prints the events per second of that."""
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--kafka", required=True)
    cli.add_argument("--dsn", required=True)
    cli.add_argument("--records", type=int, required=True)
    cli.add_argument("--batch", type=int, default=500)
    cli.add_argument("--streams", type=int, default=20_000)
    told = cli.parse_args()
    name = f"bare_loop_{uuid.uuid4().hex[:8]}"
    async with topics(told.kafka, f"{name}.in", f"{name}.out"), schema(told.dsn, name) as db:
        producer = AIOKafkaProducer(bootstrap_servers=told.kafka, enable_idempotence=True, linger_ms=5, max_batch_size=262_144)
        await producer.start()
        try:
            await fill(producer, f"{name}.in", [uuid.uuid4() for _ in range(told.streams)], told.records)
            print(json.dumps({"events_per_s": await loop(db, producer, name, told)}))
        finally:
            await producer.stop()


@asynccontextmanager
async def topics(kafka: str, *names: str):
    async with admin(kafka) as client:
        await client.create_topics([NewTopic(name, num_partitions=1, replication_factor=1) for name in names])
        try:
            yield
        finally:
            await client.delete_topics(list(names))


@asynccontextmanager
async def schema(dsn: str, name: str):
    db = await asyncpg.connect(dsn)
    await db.execute(f"CREATE SCHEMA {name}; SET search_path TO {name}; {TABLES}")
    try:
        yield db
    finally:
        await db.execute(f"DROP SCHEMA {name} CASCADE")
        await db.close()


async def fill(producer: AIOKafkaProducer, topic: str, streams: list[uuid.UUID], records: int) -> None:
    for n in range(records):
        stream = streams[n % len(streams)]
        body = {"id": str(uuid.uuid4()), "stream": str(stream), "kind": "note", "text": TEXT, "n": n}
        await producer.send(topic, json.dumps(body).encode(), key=stream.bytes, partition=0)
    await producer.flush()


async def loop(db: asyncpg.Connection, producer: AIOKafkaProducer, name: str, told: argparse.Namespace) -> float:
    """Events per second, until every record is in the ledger and on the output topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=told.kafka, enable_auto_commit=False, fetch_max_bytes=64 << 20, max_partition_fetch_bytes=8 << 20
    )
    await consumer.start()
    partition = TopicPartition(f"{name}.in", 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    states: dict[uuid.UUID, tuple[int, dict]] = {}
    done, sent, began = 0, None, time.perf_counter()
    while done < told.records:
        batch = (await consumer.getmany(partition, timeout_ms=500, max_records=told.batch)).get(partition, [])
        if not batch:
            continue
        for key, body in await commit(db, name, batch, states):
            sent = await producer.send(f"{name}.out", body, key=key, partition=0)
        done += len(batch)
    await producer.flush()
    if sent is not None:
        await sent
    seconds = time.perf_counter() - began
    await consumer.stop()
    return done / seconds


async def commit(db: asyncpg.Connection, name: str, batch: list, states: dict) -> list[tuple[bytes, bytes]]:
    """One transaction; what is to be published."""
    async with db.transaction():
        head = await db.fetchrow("SELECT position, next_offset, hash FROM head WHERE shard = 0 FOR UPDATE")
        position, digest, now = head["position"], head["hash"], await db.fetchval("SELECT now()")
        journal, ledger, touched, out = [], [], {}, []
        for record in batch:
            if record.offset < head["next_offset"]:
                continue
            message = json.loads(record.value)
            stream = uuid.UUID(message["stream"])
            version, state = states.get(stream, (0, {"count": 0}))
            version, state = version + 1, {"count": state["count"] + 1, "last": message["n"]}
            position += 1
            body = json.dumps({"type": "noted", "n": message["n"], "text": message["text"]})
            digest = hashlib.sha256(digest + body.encode()).digest()
            journal.append((0, position, uuid.UUID(message["id"]), record.value, now, "accepted"))
            ledger.append((0, position, stream, version, "noted", body, digest))
            touched[stream] = states[stream] = (version, state)
            out.append((stream.bytes, body.encode()))
        await db.copy_records_to_table("journal", records=journal, schema_name=name)
        await db.copy_records_to_table("ledger", records=ledger, schema_name=name)
        await db.execute(
            "INSERT INTO state SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[]::json[])"
            " ON CONFLICT (stream) DO UPDATE SET version = excluded.version, body = excluded.body",
            list(touched), [version for version, _ in touched.values()], [json.dumps(state) for _, state in touched.values()],
        )  # fmt: skip
        await db.execute("UPDATE head SET position = $1, next_offset = $2, hash = $3", position, batch[-1].offset + 1, digest)
    return out


if __name__ == "__main__":
    asyncio.run(main())
