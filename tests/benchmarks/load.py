"""What is put on the topics before the clock starts."""

import asyncio
from collections.abc import Iterable
from uuid import UUID, uuid5

from aiokafka import AIOKafkaProducer

from shared.contract.envelope import NAMESPACE, SUBMISSIONS, command_headers, commands_topic, complaint_id, key_of, shard_of
from shared.contract.intake import SubmitComplaint
from tests.benchmarks.note import Note

TEXT = "x" * 600
"""A complaint's worth of text: about 800 bytes a record."""
STREAMS = 20_000
BATCH_BYTES = 400_000
AT = "2026-03-03T09:00:00Z"

Told = tuple[str, UUID, bytes, list[tuple[str, bytes]]]
"""A record's topic, stream, body and headers."""


def streams(count: int) -> list[UUID]:
    """What the notes are about: the same in every run."""
    return [uuid5(NAMESPACE, f"bench/{number}") for number in range(count)]


def notes(count: int, run: str, of: int = STREAMS) -> Iterable[Told]:
    """Notes for the small mind, dealt over so many streams."""
    about = streams(of)
    for n in range(count):
        stream = about[n % of]
        body = Note(id=uuid5(NAMESPACE, f"{run}/{n}"), n=n, text=TEXT).to_bytes()
        headers = command_headers(Note.type, f"{run}/{n}", stream=stream, source="/bench", actor="system:bench", sent_at=AT)
        yield commands_topic("intake"), stream, body, headers


def submissions(count: int, run: str) -> Iterable[Told]:
    """Complaints, each a new one."""
    for n in range(count):
        told = SubmitComplaint.model_validate(
            {"source": "bench", "ref": f"{run}-{n}", "narrative": TEXT, "product": "bread", "reported_at": AT, "customer": {"ref": f"c{n}"}}
        )
        stream = complaint_id("bench", told.ref)
        headers = command_headers(told.type, f"{run}/{n}", stream=stream, source="/bench", actor="source:bench", sent_at=AT)
        yield SUBMISSIONS, stream, told.to_bytes(), headers


async def fill(kafka: str, shards: int, told: Iterable[Told]) -> int:
    """Puts it there, each record on its stream's shard. How many there were."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES)
    await producer.start()
    batches, sent, count = {}, [], 0
    try:
        for topic, stream, body, headers in told:
            place = topic, shard_of(stream, shards)
            record = {"key": key_of(stream), "value": body, "timestamp": None, "headers": headers}
            batch = batches.get(place) or batches.setdefault(place, producer.create_batch())
            if batch.append(**record) is None:
                sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
                batches[place] = batch = producer.create_batch()
                batch.append(**record)
            count += 1
        for (topic, partition), batch in batches.items():
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return count
