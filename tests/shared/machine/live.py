"""The machine on real servers: members of a service in this process, each as its own process would run it."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid5

import asyncpg
import stamina
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from shared.contract.envelope import NAMESPACE, commands_topic, events_topic, shard_of, text_headers
from shared.contract.said import Command
from shared.machine.figures import Figures
from shared.machine.mind import Mind
from shared.machine.proof import Proven, verify_shard
from shared.machine.replay import Replayed, check_shard
from shared.machine.service import work
from shared.machine.told import Reader
from shared.settings import Settings
from tests.servers import Installation
from tests.shared.machine.tally import MIND, Add, headers, key

PATIENCE_SECONDS = 30.0


@dataclass
class Member:
    """One process's worth of a service."""

    figures: Figures
    task: asyncio.Task

    @property
    def shards(self):
        return sorted(self.figures.group.workers) if self.figures.group else []

    @property
    def troubles(self):
        workers = self.figures.group.workers.values() if self.figures.group else ()
        return {worker.shard: worker.watch.trouble for worker in workers if worker.watch.trouble}

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass
class Live:
    """An installation with members of one service at work on it."""

    installation: Installation
    mind: Mind = MIND
    members: list[Member] = field(default_factory=list)
    sent: int = 0

    @property
    def shards(self) -> int:
        return self.installation.installed.shards

    async def start(self, mind: Mind | None = None, *, wait: bool = True, **settings) -> Member:
        told = Settings(
            database=self.installation.role_dsn("intake"), **{"kafka": self.installation.kafka, "session_timeout_ms": 6_000, **settings}
        )
        figures = Figures("intake")
        member = Member(figures, asyncio.create_task(work(mind or self.mind, told, figures)))
        self.members.append(member)
        if wait:
            await until(lambda: figures.group is not None and figures.group.joined)
        return member

    async def ready(self):
        """Every shard is owned, each by one member; those that ended are none any more."""
        await until(lambda: sorted(shard for member in self.members for shard in member.shards) == list(range(self.shards)))
        await until(lambda: all(member.figures.ready()[0] for member in self.members if not member.task.done()))

    async def send(self, *commands: tuple[Command, UUID], prefix: str = "m", partition: int | None = None, topic: str | None = None):
        """Sends commands, each under a message id of its own."""
        async with producing(self.installation.kafka) as producer:
            for command, stream in commands:
                self.sent += 1
                await producer.send(
                    topic or commands_topic("intake"), command.to_bytes(), key=key(stream),
                    partition=shard_of(stream, self.shards) if partition is None else partition,
                    headers=headers(command, stream, f"{prefix}{self.sent}"),
                )  # fmt: skip
            await producer.flush()

    async def owner(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.installation.owner_dsn, server_settings={"search_path": "intake"})

    async def fetchval(self, query: str, *values):
        connection = await self.owner()
        try:
            return await connection.fetchval(query, *values)
        finally:
            await connection.close()

    async def execute(self, query: str, *values):
        connection = await self.owner()
        try:
            return await connection.execute(query, *values)
        finally:
            await connection.close()

    async def events(self, event_type: str) -> int:
        return await self.fetchval("SELECT count(*) FROM ledger WHERE type = $1", event_type)

    async def total(self) -> int:
        return await self.fetchval(
            "SELECT coalesce(sum((convert_from(body, 'UTF8')::json->>'total')::int), 0) FROM state WHERE kind = 'tally'"
        )

    async def relayed(self) -> bool:
        """Whether all that is in the ledger is on Kafka."""
        behind = "SELECT count(*) FROM head h WHERE position > (SELECT coalesce(max(position), 0) FROM relayed r WHERE r.shard = h.shard)"
        return await self.fetchval(behind) == 0

    async def prove(self) -> list[Proven]:
        """Verifies and replays every shard."""
        connection = await self.owner()
        try:
            proven = [await verify_shard(connection, self.mind, shard) for shard in range(self.shards)]
            for shard in range(self.shards):
                await self.replay(connection, shard)
            return proven
        finally:
            await connection.close()

    async def replay(self, connection: asyncpg.Connection, shard: int) -> Replayed:
        """Replays one shard."""
        reader = Reader(self.mind, self.shards, ("complaints.submissions",), self.installation.installed.generation)
        return await check_shard(connection, self.mind, reader, shard)

    async def on_kafka(self, topic: str | None = None) -> dict[int, list[int]]:
        """The ledger positions on the events topic, by shard, in the order of the topic."""
        found = {shard: [] for shard in range(self.shards)}
        for record in await everything(self.installation.kafka, topic or events_topic("intake"), self.shards):
            found[record.partition].append(int(text_headers(record.headers)["ledger-position"]))
        return found

    async def stop(self):
        for member in self.members:
            await member.stop()
        left = [task for task in asyncio.all_tasks() if task.get_name().startswith("shard ")]
        assert not left, f"whoever ended goes on working: {left}"


@asynccontextmanager
async def producing(kafka: str):
    """A producer. A broker that is away just now is waited for."""
    async for attempt in stamina.retry_context(on=KafkaConnectionError, timeout=PATIENCE_SECONDS, wait_initial=0.2, attempts=None):
        with attempt:
            producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=2)
            await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def everything(kafka: str, topic: str, partitions: int):
    """All records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        left = {place for place in places if ends[place]}
        found = []
        while left:
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                found += records
                if records[-1].offset + 1 >= ends[place]:
                    left.discard(place)
        return found
    finally:
        await consumer.stop()


async def until(condition, seconds: float = PATIENCE_SECONDS):
    """Waits for what will be so soon."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < deadline, f"it did not become so in {seconds} s: {condition}"
        await asyncio.sleep(0.05)


def streams(count: int, prefix: str = "s") -> Sequence[UUID]:
    return [uuid5(NAMESPACE, f"{prefix}{number}") for number in range(count)]


STREAMS = streams(40)


def adds(count: int, number: int = 1, of: Sequence[UUID] = STREAMS) -> list[tuple[Command, UUID]]:
    """So many additions, dealt over some streams."""
    return [(Add(number=number), of[n % len(of)]) for n in range(count)]


async def is_so(found, expected) -> bool:
    """For `until`."""
    return await found == expected
