"""A plain pipeline with the library `eventsourcing`, as its documents have it: an aggregate, an application, PostgreSQL; Kafka to Kafka.

It runs in a virtual environment of its own (pipeline.txt), so it imports nothing of ours. A batch of a hundred records is one `save` of the
aggregates that it concerns; what was recorded is published, and the consumer's offsets are committed. There is no journal, no chain and no
refusal, and nothing is deduplicated.
"""

import argparse
import asyncio
import json
import time
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event

BATCH = 100


class Notes(Aggregate):
    """What was noted about one thing."""

    def __init__(self, id: UUID) -> None:  # noqa: A002 - the library's name
        self._id = id
        self.count, self.last = 0, 0

    @event("Noted")
    def note(self, n: int, text: str) -> None:
        self.count, self.last = self.count + 1, n


class Keeping(Application):
    """Keeps them."""

    snapshotting_intervals = None

    def batch(self, told: list[tuple[UUID, int, str]]) -> list[tuple[bytes, bytes]]:
        """One transaction; what is to be published."""
        touched: dict[UUID, Notes] = {}
        begun = []
        for stream, n, text in told:
            if stream not in touched:
                try:
                    touched[stream] = self.repository.get(stream)
                except AggregateNotFoundError:
                    touched[stream] = Notes(id=stream)
                    begun.append(stream)
            touched[stream].note(n, text)
        saved = self.save(*touched.values())
        return [(one.notification.originator_id.bytes, one.notification.state) for one in saved if one.notification.originator_version > 1]


async def main() -> None:
    """Fills a topic, then works through it; prints the events per second of that."""
    cli = argparse.ArgumentParser(description=__doc__)
    for name in ("kafka", "dsn", "input", "output", "text"):
        cli.add_argument(f"--{name}", required=True)
    cli.add_argument("--records", type=int, required=True)
    cli.add_argument("--streams", type=int, default=20_000)
    told = cli.parse_args()
    place = urlsplit(told.dsn)
    app = Keeping(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres", "POSTGRES_DBNAME": place.path[1:], "POSTGRES_HOST": place.hostname,
            "POSTGRES_PORT": str(place.port), "POSTGRES_USER": place.username, "POSTGRES_PASSWORD": place.password or "none",
            "AGGREGATE_CACHE_MAXSIZE": str(told.streams), "AGGREGATE_CACHE_FASTFORWARD": "n",
        }
    )  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=told.kafka, enable_idempotence=True, linger_ms=5, max_batch_size=262_144)
    consumer = AIOKafkaConsumer(
        told.input, bootstrap_servers=told.kafka, group_id=told.input, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await producer.start()
    try:
        streams = [uuid4() for _ in range(told.streams)]
        for n in range(told.records):
            body = {"id": str(uuid4()), "stream": str(streams[n % told.streams]), "text": told.text, "n": n}
            await producer.send(told.input, json.dumps(body).encode(), partition=0)
        await producer.flush()
        await consumer.start()
        print(json.dumps({"events_per_s": await loop(app, consumer, producer, told)}))
    finally:
        await consumer.stop()
        await producer.stop()
        app.close()


async def loop(app: Keeping, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, told: argparse.Namespace) -> float:
    """Events per second."""
    done, sent, began = 0, [], 0.0
    while done < told.records:
        for records in (await consumer.getmany(timeout_ms=500, max_records=BATCH)).values():
            began = began or time.perf_counter()
            notes = [
                (UUID(message["stream"]), message["n"], message["text"]) for message in map(json.loads, (one.value for one in records))
            ]
            sent = [await producer.send(told.output, body, key=key, partition=0) for key, body in app.batch(notes)]
            await asyncio.gather(*sent)
            await consumer.commit()
            done += len(records)
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    asyncio.run(main())
