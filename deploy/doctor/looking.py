"""Gathering what a doctor looks at. Reads only."""

import asyncio
import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from deploy import migrate
from deploy.database import NOTHING_THERE, Installation, connected, installation, use
from deploy.doctor.seen import NOT_INSTALLED, Behind, DatabaseSeen, KafkaSeen, Seen, Shard
from deploy.install import FOLDERS
from deploy.local import state
from deploy.local.stack import Stack, running
from deploy.local.supervisor import release
from deploy.roles import PROCESSES
from deploy.status import look
from deploy.topics import admin, cluster_id, partitions, ranges, topics_with
from shared.contract.envelope import SERVICES, events_topic
from shared.kafka import Kafka, topic_ids
from shared.machine import store
from shared.machine.head import Head
from shared.machine.stored import Damaged
from shared.machine.tail import Tail
from shared.machine.waiting import IS_HELD, LAST_REASON, WAITS
from shared.settings import load

KAFKA_SECONDS = 20.0
"""How long Kafka may take to say all that is asked of it."""
SETTINGS = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "server_version", "max_connections")
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def see(home: Path, *, outside: bool) -> Seen:
    """Looks at everything. Whatever does not answer is noted as silent."""
    seen = Seen(str(home), outside, await look(home, from_outside=outside), installed_release=release())
    if (written := state.read(home)) and written.alive:
        seen = replace(seen, running_release=written.release)
    with contextlib.suppress(OSError):  # there is no such home
        disk = shutil.disk_usage(home)
        seen = replace(seen, disk_free_bytes=disk.free, disk_bytes=disk.total)
    stack = running(home)
    if stack is None:
        return seen
    seen = await _with_kafka(seen, stack)
    return await _with_database(seen, stack)


# ---- Kafka -----------------------------------------------------------------------------------------------------------------


async def _with_kafka(seen: Seen, stack: Stack) -> Seen:
    try:
        async with asyncio.timeout(KAFKA_SECONDS):
            return replace(seen, kafka=await _kafka(stack.kafka))
    except (KafkaError, OSError, TimeoutError) as error:
        return replace(seen, kafka_silence=str(error) or type(error).__name__)


async def _kafka(address: str) -> KafkaSeen:
    async with admin(address) as client:
        there = await partitions(client)
        wanted = topics_with(load().submission_topics)
        ours = {topic: there[topic] for topic in wanted if topic in there}
        ids = await topic_ids(client._client, ours) if ours else {}  # noqa: SLF001 - the library has no other way to ask
        configs = {topic: await _configs(client, topic) for topic in ours}
        cluster = await cluster_id(client)
        members = await _members(client)
    return KafkaSeen(cluster, ours, ids, await ranges(address, ours), configs, wanted, await _newest(address, ours), members)


async def _members(client: Any) -> Mapping[str, int]:
    found = {}
    for name in PROCESSES:  # one by one: the library takes only the first of an answer apart as it is meant
        found[name] = 0
        with contextlib.suppress(GroupCoordinatorNotAvailableError):  # nobody was ever in any group
            [answer] = await client.describe_consumer_groups([name])
            found[name] = len(answer.groups[0][5])
    return found


async def _newest(address: str, ours: Mapping[str, int]) -> Mapping[Shard, tuple[int, bytes]]:
    found = {}
    for service in SERVICES:
        tail = Tail(Kafka(address), service)
        try:
            for shard in range(ours.get(events_topic(service), 0)):
                if (last := await tail.last(shard)) is not None:
                    found[service, shard] = last.position, last.hash
        finally:
            await tail.close()
    return found


async def _configs(client: Any, topic: str) -> Mapping[str, str]:
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=None)])
    return {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}


# ---- the database ----------------------------------------------------------------------------------------------------------


async def _with_database(seen: Seen, stack: Stack) -> Seen:
    try:
        async with connected(stack.owner_dsn) as connection:
            there = await installation(connection)
            return replace(seen, database=await _database(connection, there))
    except NOTHING_THERE:
        return replace(seen, database_silence=NOT_INSTALLED)
    except AWAY as error:
        return replace(seen, database_silence=str(error) or type(error).__name__)


async def _database(connection: asyncpg.Connection, there: Installation) -> DatabaseSeen:
    heads: dict[str, list[Head]] = {}
    relayed: dict[Shard, Behind] = {}
    placed: dict[Shard, Behind] = {}
    parked: dict[str, Mapping[str, int]] = {}
    policies: dict[str, str] = {}
    damaged: list[str] = []
    for service in SERVICES:
        await use(connection, service)
        heads[service] = []
        for shard in range(there.shards):
            try:
                heads[service].append(await store.read_head(connection, shard))
            except Damaged as error:
                damaged.append(f"{service}, shard {shard}: {error}")
        seen = await connection.fetch("SELECT shard, position FROM console.places WHERE service = $1", service)
        known = {row["shard"]: row["position"] for row in seen}
        for head in heads[service]:
            at = service, head.shard
            relayed[at] = await _behind(connection, head, await store.read_relayed(connection, head.shard))
            placed[at] = await _behind(connection, head, known.get(head.shard, 0))
        parked[service] = await _parked(connection)
        try:
            policies |= {digest: f"{one.name}, version {one.version}" for digest, one in (await store.read_policies(connection)).items()}
        except Damaged as error:
            damaged.append(f"{service}: {error}")
    before = datetime.now(UTC)
    clock = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    rows = await connection.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(SETTINGS))
    return DatabaseSeen(
        there, heads, relayed, placed, parked, policies, {row["name"]: row["setting"] for row in rows}, clock,
        clock - (before + (after - before) / 2), {schema: await _migrations(connection, schema) for schema in FOLDERS},
        damaged,
    )  # fmt: skip


async def _behind(connection: asyncpg.Connection, head: Head, position: int) -> Behind:
    if position >= head.position:
        return Behind(position, None)
    return Behind(
        position, await connection.fetchval("SELECT now FROM ledger WHERE shard = $1 AND position = $2", head.shard, position + 1)
    )


async def _parked(connection: asyncpg.Connection) -> Mapping[str, int]:
    """How many inputs are parked or wait still, by cause."""
    rows = await connection.fetch(
        f"SELECT CASE WHEN {WAITS} THEN 'waiting' ELSE split_part(coalesce({LAST_REASON}, reason), ':', 1) END AS cause,"  # noqa: S608
        f" count(*) AS inputs FROM journal AS input WHERE {IS_HELD} GROUP BY cause ORDER BY cause"
    )
    return {row["cause"]: row["inputs"] for row in rows}


async def _migrations(connection: asyncpg.Connection, schema: str) -> str:
    """What does not fit between the database and this release; empty where all does."""
    ours: Sequence[migrate.Migration] = migrate.found(FOLDERS[schema])
    await use(connection, schema)
    applied = await connection.fetch("SELECT number, name, checksum FROM migrations ORDER BY number")
    if len(applied) > len(ours):
        return f"it has migration {applied[-1]['number']:04}_{applied[-1]['name']}, which this release does not know"
    for row, migration in zip(applied, ours, strict=False):
        if row["checksum"] != migration.checksum:
            return f"migration {migration.number:04}_{migration.name} is not the one that was applied"
    waiting = ours[len(applied) :]
    return f"{len(waiting)} migrations are not applied yet, the first is {waiting[0].number:04}_{waiting[0].name}" if waiting else ""
