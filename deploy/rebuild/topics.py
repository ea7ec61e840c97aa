"""Kafka's topics, made again from the ledgers, and the services told where they go on. It may be interrupted anywhere, and is run again.

Nobody may be at work meanwhile: what a relay sent would lie between. So the installation is marked first (a service that starts waits,
and an installation is not brought up to date), then it is looked whether anybody is at work who started before. The mark goes when all
is done: topics that are half made again are never told to anybody as whole.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from deploy.database import Installation, connected, installation, use
from deploy.rebuild import answered
from deploy.rebuild.events import Writer, held, producing
from deploy.rebuild.readers import EVENTS, GoesOn, Topics, change, goes_on, look_at_places, losses
from deploy.roles import PROCESSES, role
from deploy.topics import admin, cluster_id, ensure, partitions, ranges, topics_with
from shared.contract.envelope import SERVICES, commands_topic, events_topic
from shared.kafka import topic_ids
from shared.machine import store
from shared.machine.head import Head

LOCK = int.from_bytes(hashlib.sha256(b"makegood rebuild").digest()[:8], signed=True)
"""One at a time."""
GONE_SECONDS = 5.0
"""So long may the sessions of services take to end that were just stopped."""
LOOK_SECONDS = 0.2
"""How often it is looked whether they have."""
AT_ONCE = 4
"""Shards side by side."""

Heads = Mapping[str, Mapping[int, Head]]
"""By service and shard."""


class Refused(RuntimeError):
    """It can't be done as things are; nothing was changed. The message says why and what to do."""


class Loses(Refused):
    """Something may be lost by it, and nobody said that this is known."""

    def __init__(self, what: Sequence[str], events: int) -> None:
        super().__init__("something may be lost")
        self.what, self.events = what, events
        """What, in sentences; and how many events would be written."""


@dataclass(slots=True)
class Done:
    """What was done."""

    cluster_id: str
    made: Sequence[str] = ()
    """The topics that were not there."""
    there: int = 0
    """Events that the topics had already."""
    written: int = 0
    asked: int = 0
    """Requests that were sent again: those whom they ask had not taken them in."""
    lost: Sequence[str] = ()
    """What may be lost, in sentences."""
    goes_on: list[GoesOn] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be made again, and from what."""

    owner_dsn: str
    kafka: str
    submissions: Sequence[str]
    """The topics that upstreams write to."""
    services: Sequence[str] = SERVICES
    cluster: str = ""
    """The id of a cluster that is to take the place of the installation's; empty for its own."""
    accepted: bool = False
    """Whether it is known that something may be lost."""
    actor: str = ""
    reason: str = ""
    """Who answers for it, and why it is done."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database has, and what of it Kafka has."""

    generation: str
    heads: Heads
    has: Mapping[tuple[str, int], int]
    """By service and shard: up to which position the topic has the ledger."""


async def rebuild(task: Task, tell: Callable[[int, int], None] = lambda _done, _of: None) -> Done:
    """Makes the topics of these services again. `tell` hears how many events were written, and of how many.

    Raises:
        Refused: somebody is at work, another cluster answers, another rebuild is under way, or something may be lost (Loses).
        HoldsOther: a topic has something else than its ledger.
        ChangedRow: a ledger is not what was written.
        NotInstalled: there is nothing to make anything from.
        ConnectionError, KafkaError, OSError, asyncpg.PostgresError: a server went away. What was written stays: run it again.
    """
    async with connected(task.owner_dsn) as connection, admin(task.kafka) as client:
        there = await installation(connection)
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
            raise Refused("another rebuild of the topics is under way: wait for it")
        found = await cluster_id(client)
        _must_be_meant(there, found, task)
        _must_be_all(await answered.interrupted(connection), await partitions(client), task)
        async with _marked(connection) as begin:
            heads = await _heads(connection, there.shards)
            has = await _held(task, heads, await partitions(client))
            both = _Found(there.generation, heads, has)
            missing = sum(head.position for service in task.services for head in heads[service].values()) - sum(has.values())
            topics = await _topics(client, task.kafka, topics_with(task.submissions))
            lost = losses([one for service, of in heads.items() for head in of.values() for one in _changes(task, service, head, topics)])
            if lost and not task.accepted:
                raise Loses(lost, missing)
            await begin()
            done = Done(found, there=sum(has.values()), lost=lost)
            async with connection.transaction():
                await answered.begun(
                    connection, actor=task.actor, reason=task.reason, services=task.services, lost=lost,
                    clusters=(there.cluster_id, found),
                )  # fmt: skip
                await _go_on(task, connection, heads, topics, done)
            done.made = await ensure(client, there.shards, task.submissions)
            await _write(task, both, done, lambda: tell(done.written, missing))
            await _all_is_told(task, connection, heads)
    return done


def _must_be_meant(there: Installation, found: str, task: Task) -> None:
    if task.cluster and task.cluster != found:
        raise Refused(f"the cluster behind the address is {found}, not {task.cluster}")
    if found != there.cluster_id and not task.cluster:
        raise Refused(
            f"a different Kafka cluster is behind the address: this installation belongs to {there.cluster_id}, but {found} answers. If "
            f"its own is gone for good and this one is to take its place, say so: --cluster {found}. If not, check MAKEGOOD_KAFKA"
        )
    if found != there.cluster_id and set(task.services) != set(SERVICES):
        raise Refused("another cluster takes the place of the old one for all services, or for none: leave --service out")


def _must_be_all(interrupted: set[str], there: Container[str], task: Task) -> None:
    """Whoever is left out is held to be whole when this is done. A topic that is made and not filled would look so to its readers."""
    others = [service for service in SERVICES if service not in task.services]
    if begun := interrupted.intersection(others):
        raise Refused(f"the topics of {', '.join(sorted(begun))} were begun, and that was interrupted: go on with all, leave --service out")
    if gone := [topic for service in others for topic in (events_topic(service), commands_topic(service)) if topic not in there]:
        raise Refused(f"{', '.join(gone)} are not there either, and would stay empty: make all again, leave --service out")


@asynccontextmanager
async def _marked(connection: asyncpg.Connection) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The installation is marked as being rebuilt, and nobody is at work. What is given is awaited before the first thing is changed.

    The mark goes where all was done, or nothing; what was begun is to be gone on with.
    """
    begun = bool(await connection.fetchval("SELECT rebuilding FROM public.installation"))

    async def begin() -> None:
        nonlocal begun
        begun = True

    await connection.execute("UPDATE public.installation SET rebuilding = true")
    try:
        await _nobody_is_at_work(connection)
        yield begin
    except BaseException:
        if not begun:
            await connection.execute("UPDATE public.installation SET rebuilding = false")
        raise
    await connection.execute("UPDATE public.installation SET rebuilding = false")


async def _nobody_is_at_work(connection: asyncpg.Connection) -> None:
    """Whoever is at work is logged in: each process keeps its sessions. So does one that waits for the mark to go: nobody can tell."""
    roles = {role(service): service for service in PROCESSES}
    deadline = asyncio.get_running_loop().time() + GONE_SECONDS
    while True:
        rows = await connection.fetch(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND usename = ANY($1)", list(roles)
        )
        if not rows:
            return
        if asyncio.get_running_loop().time() > deadline:
            names = ", ".join(sorted(roles[row["usename"]] for row in rows))
            raise Refused(
                f"{names} are at work, or wait for this to be done; what they told Kafka meanwhile would lie between: stop them everywhere "
                "first (`makegood down`, or `systemctl stop` on each machine)"
            )
        await asyncio.sleep(LOOK_SECONDS)


async def _heads(connection: asyncpg.Connection, shards: int) -> Heads:
    found = {}
    for service in SERVICES:
        await use(connection, service)
        found[service] = {shard: await store.read_head(connection, shard) for shard in range(shards)}
    return found


async def _held(task: Task, heads: Heads, there: Mapping[str, int]) -> Mapping[tuple[str, int], int]:
    """Up to where each shard's events are on their topic, where that is there. Raises HoldsOther."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(service: str, shard: int) -> tuple[tuple[str, int], int]:
        async with free, connected(task.owner_dsn, service) as connection:
            return (service, shard), await held(task.kafka, connection, service, shard)

    shards = [(service, shard) for service in task.services for shard in heads[service] if events_topic(service) in there]
    return dict(await _together(one(*place) for place in shards))


async def _write(task: Task, found: _Found, done: Done, tell: Callable[[], None]) -> None:
    """The events that the topics have not, and the requests that nobody has taken in."""
    free = asyncio.Semaphore(AT_ONCE)
    async with producing(task.kafka) as producer:

        async def one(service: str, head: Head) -> None:
            async with free, connected(task.owner_dsn, service) as connection:
                writer = Writer(producer, connection, service, found.generation)
                async for rows in writer.fill(head, found.has.get((service, head.shard), 0)):
                    done.written += rows
                    tell()
                asked = await writer.ask_again(found.heads[service], head.shard)
                done.asked += asked  # read only now: others count meanwhile

        await _together(one(service, head) for service in task.services for head in found.heads[service].values())


async def _go_on(task: Task, connection: asyncpg.Connection, heads: Heads, topics: Topics, done: Done) -> None:
    """Writes down where everybody goes on, and in which cluster: all of it at once, and before anything is written to Kafka.

    Where a topic is shorter than what was read of it, what is written takes offsets that were read, and must not be passed over.
    """
    await connection.execute("UPDATE public.installation SET cluster_id = $1", done.cluster_id)
    for service, of in heads.items():
        await use(connection, service)
        for head in of.values():
            changes = _changes(task, service, head, topics)
            await change(connection, head, changes)
            done.goes_on += changes
    await look_at_places(connection, topics)


async def _all_is_told(task: Task, connection: asyncpg.Connection, heads: Heads) -> None:
    """Writes down that Kafka has these services' ledgers whole, and that all is done."""
    for service in task.services:
        await use(connection, service)
        await connection.executemany(
            "INSERT INTO relayed (shard, position, at) VALUES ($1, $2, clock_timestamp()) ON CONFLICT DO NOTHING",
            [(head.shard, head.position) for head in heads[service].values() if head.position],
        )
    await answered.ended(connection)


def _changes(task: Task, service: str, head: Head, topics: Topics) -> list[GoesOn]:
    """Events are read on by every service, whoever's were made again; what others send, by those alone that were named."""
    return [one for one in goes_on(service, head, topics) if service in task.services or one.topic in EVENTS]


async def _topics(client: AIOKafkaAdminClient, kafka: str, ours: Iterable[str]) -> Topics:
    there = await partitions(client)
    counts = {topic: there[topic] for topic in ours if topic in there}
    ids = await topic_ids(client._client, counts) if counts else {}  # noqa: SLF001 - the library has no other way to ask
    return Topics(list(ours), ids, await ranges(kafka, counts))


T = TypeVar("T")


async def _together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of it side by side. Where one fails, the others are ended first: nothing goes on in the background."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
