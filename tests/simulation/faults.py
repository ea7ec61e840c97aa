"""Trouble, drawn from the seed: what happens to processes, to Kafka, to PostgreSQL and to clocks, and when."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from copy import copy
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from shared.contract.envelope import POLICIES, commands_topic
from shared.machine import store
from shared.machine.patience import PASSING

if TYPE_CHECKING:
    from shared.machine.worker import Worker
    from shared.simulation.log import Record
    from tests.simulation.town import Member, Town

Fault = Callable[["Town", Random], Awaitable[None]]


class Trouble:
    """Some faults, one after another, some at once."""

    def __init__(self, faults: Iterable[Fault] | None = None, count: int | None = None) -> None:
        self.faults, self.count = list(faults if faults is not None else FAULTS), count

    async def __call__(self, town: "Town") -> None:
        random = Random(town.random.random())
        under_way = []
        for _ in range(self.count if self.count is not None else random.choice((2, 4, 8, 12))):
            await asyncio.sleep(random.expovariate(1 / random.choice((0.3, 2.0))))
            under_way.append(asyncio.ensure_future(random.choice(self.faults)(town, random)))
        await asyncio.gather(*under_way)


def _one(town: "Town", random: Random) -> "Member | None":
    running = [member for member in town.members if member.runs]
    return random.choice(running) if running else None


async def killed(town: "Town", random: Random) -> None:
    """A process is killed after so many steps: at whatever it awaits."""
    if (member := _one(town, random)) is not None and member.process is not None:
        after = random.choice((1, 5, 20, 100, 400)) + random.randrange(100)
        town.tell(member.name, f"will be killed in {after} steps")
        member.process.dies_after = member.process.steps + after


async def frozen(town: "Town", random: Random) -> None:
    """A process stands still, for longer than its session lasts, or not."""
    if (member := _one(town, random)) is not None and (process := member.process) is not None:
        seconds = random.choice((0.5, 3.0, 8.0, 20.0))
        town.tell(member.name, f"is frozen for {seconds} s")
        process.freeze()
        await asyncio.sleep(seconds)
        process.thaw()
        town.tell(member.name, "is thawed")


async def stopped(town: "Town", random: Random) -> None:
    """A replica is stopped in order, and started again: two rebalances."""
    if (member := _one(town, random)) is not None:
        town.tell(member.name, "is told to stop")
        member.wanted = False
        member.task.cancel()
        await asyncio.sleep(random.random() * 8)
        member.wanted = True


async def usurped(town: "Town", random: Random) -> None:
    """Somebody of whom the group knows nothing takes shards over, and does no work: who had them must find out by itself."""
    service, mind = random.choice(list(town.minds.items()))
    for _ in range(random.choice((1, 3))):
        shard = random.randrange(town.shards)
        with suppress(*PASSING):
            pool: Any = await town.postgres.connect("", service, 2)
            await store.take_over(pool, pool, store.Taking(shard, f"usurper {random.random()}", again=False, rules=mind.rules))
            town.tell("usurper", f"has {service}/{shard}")
            pool.terminate()
        await asyncio.sleep(random.random() * 0.2)
        town.cluster.append(commands_topic(service), shard, None, b"nobody can read this", ())  # an idle owner has nothing to find out by


async def clock_off(town: "Town", random: Random) -> None:
    """A machine's clock is wrong for a while."""
    if (member := _one(town, random)) is not None and (process := member.process) is not None:
        process.skew = timedelta(seconds=random.choice((-2, 2, -400, 400, 90_000)))
        town.tell(member.name, f"has a clock that is {process.skew} off")
        await asyncio.sleep(random.random() * 5)
        process.skew = timedelta()


async def database_clock_off(town: "Town", random: Random) -> None:
    """The database's clock is wrong for a while."""
    town.postgres.skew = timedelta(seconds=random.choice((-2, 2, -400, 400, 7_200)))
    town.tell("postgres", f"has a clock that is {town.postgres.skew} off")
    await asyncio.sleep(random.random() * 5)
    town.postgres.skew = timedelta()


async def database_killed(town: "Town", random: Random) -> None:
    """The postmaster is killed."""
    town.tell("postgres", "is killed")
    town.postgres.kill()
    await asyncio.sleep(random.choice((0.05, 1.0, 5.0)))
    town.postgres.start()
    town.tell("postgres", "is there again")


async def session_ended(town: "Town", random: Random) -> None:
    """A backend is terminated."""
    for _ in range(random.choice((1, 5))):
        if town.postgres.sessions:
            town.postgres.end(town.postgres.sessions[random.choice(list(town.postgres.sessions))])
        await asyncio.sleep(random.random() * 0.1)


async def database_unreliable(town: "Town", random: Random) -> None:
    """Connections are lost before and after statements have their effect, and transactions aborted."""
    faults = town.postgres.faults
    rate = random.choice((0.005, 0.03, 0.1))
    town.tell("postgres", f"is unreliable at {rate}")
    for name in ("lost_before", "lost_after", "aborted"):
        setattr(faults, name, rate if random.random() < 0.6 else 0.0)
    await asyncio.sleep(random.random() * 8)
    faults.lost_before = faults.lost_after = faults.aborted = 0.0


async def commits_unanswered(town: "Town", random: Random) -> None:
    """What is committed is there, and nobody is told."""
    town.tell("postgres", "commits without a word")
    town.postgres.faults.lost_commit = random.choice((0.2, 0.6))
    await asyncio.sleep(random.random() * 5)
    town.postgres.faults.lost_commit = 0.0


async def disk_full(town: "Town", random: Random) -> None:
    """Nothing can be written."""
    town.tell("postgres", "has a full disk")
    town.postgres.faults.disk_full = True
    await asyncio.sleep(random.random() * 5)
    town.postgres.faults.disk_full = False


async def broker_killed(town: "Town", random: Random) -> None:
    """The broker is killed."""
    town.tell("kafka", "is killed")
    town.cluster.down()
    await asyncio.sleep(random.choice((0.1, 1.0, 5.0, 15.0, 45.0)))
    town.cluster.up()
    town.tell("kafka", "is there again")


async def another_cluster(town: "Town", random: Random) -> None:
    """Another cluster is at Kafka's address for a while."""
    other = f"another {random.random()}"
    town.tell("kafka", f"{other} is at the address")
    town.cluster.another(other)
    await asyncio.sleep(random.choice((0.1, 1.0, 5.0, 15.0, 45.0)))
    town.cluster.own_again()
    town.tell("kafka", "our own is at the address again")


async def broker_unreliable(town: "Town", random: Random) -> None:
    """Answers are lost, connections reset."""
    rate = random.choice((0.02, 0.1, 0.3))
    town.tell("kafka", f"is unreliable at {rate}")
    town.cluster.lose_answer(rate if random.random() < 0.7 else 0.0)
    town.cluster.reset(rate if random.random() < 0.7 else 0.0)
    await asyncio.sleep(random.random() * 8)
    town.cluster.lose_answer(0.0)
    town.cluster.reset(0.0)


async def producers_forgotten(town: "Town", random: Random) -> None:
    """The broker does not know what came from whom: producers are told that something is out of order, and must be made anew."""
    town.tell("kafka", "has forgotten its producers")
    for topic in town.cluster.every_topic:
        for partition in topic.partitions:
            for known in partition._remembered.values():
                known[:] = [(10**9, 10**9, 0)]


async def broker_slow(town: "Town", random: Random) -> None:
    """Every answer takes its time."""
    town.cluster.slow(random.choice((0.05, 0.3)))
    await asyncio.sleep(random.random() * 5)
    town.cluster.slow(0.0)


async def delivered_again(town: "Town", random: Random) -> None:
    """What was delivered before is delivered once more, late."""
    for worker in _workers(town, random):
        topic = random.choice([topic for topic in worker.watch.offsets if topic != POLICIES])
        records = town.all_records(topic, worker.shard)[: worker.watch.offsets[topic]]  # Kafka delivers nothing before its time
        if records:
            first = random.randrange(len(records))
            town.tell("network", f"delivers {topic}/{worker.shard} from {records[first].offset} again")
            worker.offer(records[first : first + random.choice((1, 3, 20))])


async def delivered_changed(town: "Town", random: Random) -> None:
    """Before an event arrives as it was written, it arrives changed: with another body, or one too far ahead."""
    for worker in _workers(town, random):
        offer = worker.offer

        def changed(records: "Sequence[Record]", worker: "Worker" = worker, offer: Any = offer) -> None:
            for number, record in enumerate(records):
                if record.topic.endswith(".events") and record.value:
                    worker.__dict__.pop("offer", None)
                    town.tell("network", f"delivers {record.topic}/{worker.shard}/{record.offset} changed")
                    offer([*records[:number], _changed(record, random)])
                    offer(records[number:])
                    return
            offer(records)

        worker.offer = changed  # type: ignore[method-assign]


def _changed(record: "Record", random: Random) -> "Record":
    forged = copy(record)
    if random.random() < 0.5:
        forged.value = (forged.value or b"").replace(b"1", b"2") + b" "
    else:
        forged.headers = [(name, b"%d" % (int(value) + 1) if name == "ledger-position" else value) for name, value in forged.headers]
    return forged


def _workers(town: "Town", random: Random) -> "list[Worker]":
    """A shard that some member works on."""
    found = [
        worker for member in town.members if member.runs and member.figures.group is not None
        for worker in member.figures.group.workers.values() if worker.watch.owned and len(worker.watch.offsets) > 1
    ]  # fmt: skip
    return [random.choice(found)] if found else []


async def expired(town: "Town", random: Random) -> None:
    """What everybody has read is gone from a topic."""
    service, shard = random.choice(list(town.minds)), random.randrange(town.shards)
    offsets = json.loads(town.postgres.schemas[service].head(shard)["offsets"])
    for topic, offset in offsets.items():
        if topic.endswith(".commands"):
            town.cluster.retain(topic, shard, offset)


FAULTS: list[Fault] = [
    killed, killed, killed, frozen, frozen, stopped, usurped, usurped, clock_off, database_clock_off, database_killed, session_ended,
    database_unreliable, commits_unanswered, commits_unanswered, disk_full, broker_killed, another_cluster, broker_unreliable,
    broker_slow, producers_forgotten, delivered_again, delivered_again, delivered_changed, delivered_changed, expired,
]  # fmt: skip
