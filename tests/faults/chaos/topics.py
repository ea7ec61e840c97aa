"""What must hold of the topics: every ledger row is there, in order, with the ledger's bytes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.contract.envelope import SERVICES, commands_topic, event_id, events_topic, shard_of, text_headers
from shared.machine import store
from shared.machine.bytes import unpack_headers
from shared.machine.records import NotAnEvent, read_event
from tests.faults.chaos import checks
from tests.faults.chaos.checks import few
from tests.faults.chaos.fleet import SHARDS
from tests.faults.chaos.load import Acknowledged
from tests.shared.machine.live import everything


async def ends(kafka: str, topics: Sequence[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """What Kafka has of each partition: the first offset and the one after the last."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for topic in topics for number in range(SHARDS)]
        beginnings, found = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return {(place.topic, place.partition): (beginnings[place], found[place]) for place in places}
    finally:
        await consumer.stop()


async def looked_at(
    connection: asyncpg.Connection, kafka: str, names: Sequence[str], acknowledged: Sequence[Acknowledged], gone: checks.Gone
) -> list[str]:
    """What the topics have against the journals, and what the ledgers have against the topics."""
    return [
        *await checks.journalled(connection, await ends(kafka, names), gone),
        *await checks.kept(connection, acknowledged, gone),
        *await relayed(connection, kafka, gone),
    ]


async def relayed(connection: asyncpg.Connection, kafka: str, gone: checks.Gone = checks.NOTHING) -> list[str]:
    """Each ledger row is on the events topic, in order, at least once; each request on the topic of whom it asks, too."""
    found: list[str] = []
    for service in SERVICES:
        await connection.execute(f"SET search_path = {service}")
        told: dict[int, list[ConsumerRecord]] = defaultdict(list)
        for record in await everything(kafka, events_topic(service), SHARDS):
            told[record.partition].append(record)
        asked = [
            (record.partition, text_headers(record.headers).get("ce_id", ""), record.value)
            for record in await everything(kafka, commands_topic(service), SHARDS)
        ]
        there = set(asked)
        found += few(f"a request of {service}'s that came before an earlier one of its shard", list(_disordered(service, asked)))
        taken = await _taken(connection, service)
        for shard in range(SHARDS):
            async with connection.transaction(readonly=True):
                rows = [row async for row in store.stream_ledger(connection, shard)]
            found += few(f"a fault of {events_topic(service)}/{shard}", _events(rows, told[shard]))
            requests = [row for row in rows if row.target]
            missing = [
                row.position
                for row in requests
                if row.position > gone.get((service, shard), (0, 0))[1]
                and (shard_of(row.target, SHARDS), event_id("g1", service, shard, row.position), row.body) not in there
            ]
            found += few(f"a request of {service}'s shard {shard} that was not sent", missing)
            often = {row.position: taken[event_id("g1", service, shard, row.position)] for row in requests}
            found += few(
                f"a request of {service}'s shard {shard} that was not taken in once", [one for one in often.items() if one[1] != 1]
            )
    await connection.execute("RESET search_path")
    return found


async def _taken(connection: asyncpg.Connection, service: str) -> Counter[str]:
    """How often each row of a service's ledger was taken in as a request, by its id."""
    query = "SELECT headers FROM journal WHERE topic = $1 AND outcome <> 'ignored' AND position('ledger-shard'::bytea IN headers) > 0"
    rows = await connection.fetch(query, commands_topic(service))
    return Counter(text_headers(unpack_headers(row["headers"]))["ce_id"] for row in rows)


def _disordered(service: str, records: Iterable[tuple[int, str, bytes | None]]) -> Iterator[str]:
    """The requests that first came after a later one of the same shard."""
    reached: Counter[tuple[int, str]] = Counter()
    seen: set[str] = set()
    for partition, name, _ in records:
        generation, _, of = name.partition("/")
        if generation != "g1" or not of.startswith(f"{service}/") or name in seen:
            continue
        seen.add(name)
        shard, position = of.split("/")[1:]
        if int(position) < reached[partition, shard]:
            yield f"{name} on partition {partition}"
        reached[partition, shard] = max(reached[partition, shard], int(position))


def _events(rows: Sequence[store.LedgerRow], records: Sequence[ConsumerRecord]) -> list[str]:
    found, reached = [], 0
    for record in records:
        try:
            row, _ = read_event(text_headers(record.headers), record.value, record.partition)
        except NotAnEvent as why:
            found.append(f"offset {record.offset} is no event: {why}")
            continue
        if row.position > reached + 1:
            found.append(f"offset {record.offset} has position {row.position} after {reached}")
        if row.position > len(rows) or (row.hash, row.body) != ((own := rows[row.position - 1]).hash, own.body):
            found.append(f"offset {record.offset} has another position {row.position} than the ledger")
        reached = max(reached, row.position)
    if reached != len(rows):
        found.append(f"it ends at position {reached}, the ledger at {len(rows)}")
    return found
