"""A whole installation in one process, from one seed: services with their replicas, a read side, Kafka, PostgreSQL, people, and trouble."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any

import asyncpg

import services.intake.mind as intake
import services.resolution.mind as resolution
import services.rootcause.mind as rootcause
from shared.contract.envelope import POLICIES, SERVICES, SUBMISSIONS, commands_topic, events_topic
from shared.machine.group import Group
from shared.machine.mind import Mind
from shared.machine.projecting import TOPICS, Heard, Projector
from shared.machine.service import work
from shared.machine.told import Reader
from shared.settings import Settings
from shared.simulation.kafka import Cluster
from shared.simulation.loop import PROCESS, Loop, Process
from shared.simulation.postgres import Postgres, Session
from shared.simulation.tables import CLUSTER, STATEMENTS, Statement, Transaction
from tests.invariants.lives import Lives
from tests.simulation.audit import Audit
from tests.simulation.end import settled
from tests.simulation.house import House
from tests.simulation.limits import drawn
from tests.simulation.minds import INTAKE, RESOLUTION
from tests.simulation.people import People

SESSION_TIMEOUT_MS = 6_000
REAL_MINDS = (intake.MIND, resolution.MIND, rootcause.MIND)
REAL = 0.05
"""How many of the seeds have the real minds, and people who work complaints."""
SETTINGS = Settings(kafka="simulated:1", database="postgresql:///simulated", session_timeout_ms=SESSION_TIMEOUT_MS, batch_records=20)
APPLIED = "INSERT INTO applied (service, shard, position, hash) VALUES ($1, $2, $3, $4)"
SETTLE_SECONDS = 240.0
"""After the faults stop, all is as it should be within this time: a session's time-out, back-offs, a restart."""


def _applied(tx: Transaction, _: Any, service: str, shard: int, position: int, digest: bytes) -> None:
    tx.insert("applied", shard, (service, position), {"hash": digest})


STATEMENTS[APPLIED] = Statement(_applied, writes=True)


class Applied:
    """A projection: which events were applied."""

    async def project(self, connection: asyncpg.Connection, heard: Sequence[Heard]) -> None:
        await connection.executemany(APPLIED, [_place(one) for one in heard])


async def _none(_: "Town") -> None:
    """Of trouble."""


def _place(heard: Heard) -> tuple[str, int, int, bytes]:
    """Where an event stands, and the hash of what was heard, whatever it says itself."""
    row = heard.row
    return heard.service, row.shard, row.position, row.chain(row.previous)


class NoDog:
    """A watchdog looks at the real time."""

    def start(self) -> None:
        pass

    alive = stop = start


@dataclass
class Member:
    """A replica of a service, and the process that it is for now."""

    name: str
    begin: Callable[[SimpleNamespace], Any]
    process: Process | None = None
    task: Any = None
    figures: Any = None
    wanted: bool = True

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.alive and not self.task.done()


class Town:
    """All of it."""

    def __init__(self, seed: int, *, trace: bool = False, house: bool | None = None) -> None:
        self.seed, self.random = seed, Random(seed)
        self.loop = Loop(self.random)
        self.shards = self.random.choice((1, 2, 2, 3))
        self.named = self.random.random() < 0.5
        """Whether processes have names by which the group knows them again."""
        self.deadly = self.random.choice((0.0, 0.0, 0.0, 0.02))
        self.traced: list[str] | None = [] if trace else None
        slow = self.random.choice((0.001, 0.001, 0.005, 0.03))
        self.cluster = Cluster(self.loop, delay=lambda: self.random.random() * slow)
        self.postgres = Postgres(self.loop, self.shards, (*SERVICES, "console"), lambda: self.random.random() * slow)
        self.postgres.committed = self._committed
        if self.random.random() < 0.3:
            self.loop.spent = lambda: self.random.random() * 0.05
        for topic in (SUBMISSIONS, POLICIES, *map(commands_topic, SERVICES), *map(events_topic, SERVICES)):
            self.cluster.create(topic, self.shards)
        self.house = self.random.random() < REAL if house is None else house
        self.minds: dict[str, Mind] = {mind.service: mind for mind in (REAL_MINDS if self.house else (INTAKE, RESOLUTION))}
        self.readers = {name: Reader(mind, self.shards, (SUBMISSIONS,), "g1") for name, mind in self.minds.items()}
        lives = Lives() if self.house else None
        self.audits = {
            (name, shard): Audit(mind, self.readers[name], shard, self.loop.now, lives)
            for name, mind in self.minds.items()
            for shard in range(self.shards)
        }
        self.people = House(self, self.random.choice((1, 2))) if self.house else People(self, self.random.choice((6, 12, 12, 25, 60)))
        self.members = [
            *(
                self._deciding(f"{name}-{number}", mind)
                for name, mind in self.minds.items()
                for number in range(self.random.choice((1, 2, 2, 3) if name == "intake" else (1, 2)))
            ),
            *(self._projecting(f"console-{number}") for number in range(self.random.choice((1, 2)))),
        ]
        self.commits = 0
        self.digest = hashlib.sha256()

    def _deciding(self, name: str, mind: Mind) -> Member:
        def begin(figures: SimpleNamespace) -> Any:
            kafka: Any = self.cluster.client(name)
            connect: Any = self.postgres.connect
            settings = SETTINGS.model_copy(update={"instance": name if self.named else ""})
            return work(mind, settings, figures, kafka=kafka, connect=connect, watchdog=NoDog())  # type: ignore[arg-type]

        return Member(name, begin)

    def _projecting(self, name: str) -> Member:
        return Member(name, lambda figures: self._project(name, figures))

    async def _project(self, name: str, figures: SimpleNamespace) -> None:
        pool: Any = await self.postgres.connect("", "console", 4)
        kafka: Any = self.cluster.client("console")
        kafka.only(CLUSTER)
        group = Group(
            kafka, "console", tuple(TOPICS), SESSION_TIMEOUT_MS,
            lambda shard, feed: Projector(shard, feed, 20, pool, (Applied(),)),
            instance=name if self.named else "", watchdog=NoDog(),
        )  # fmt: skip
        figures.group = group
        await group.run()

    # ---- what is told of it ------------------------------------------------------------------------------------------------

    def tell(self, who: str, what: str) -> None:
        """A line of the trace, where one is wanted."""
        if self.traced is not None and not self.loop.over:
            self.traced.append(f"{self.loop.time():9.3f} {who:14} {what}")

    def all_records(self, topic: str, shard: int) -> Sequence[Any]:
        """What ever was on a topic."""
        return self.cluster._topics[topic].partitions[shard].records

    def who(self) -> str:
        """Whose code runs."""
        process = PROCESS.get(None)
        return process.name if process else "world"

    @property
    def inputs(self) -> int:
        """How many were journalled."""
        return sum(len(schema.rows("journal", shard)) for schema in self.postgres.schemas.values() for shard in range(self.shards))

    def _committed(self, session: Session, tx: Transaction) -> None:
        self.commits += 1
        service = tx.schema.service
        if self.traced is not None:
            who = session.client.name if session.client else "world"
            rows = {f"{table}/{shard}": sorted(map(str, rows))[:6] for (table, shard), rows in tx.written.items() if table != "state"}
            self.tell(who, f"committed {rows}")
        if service == "console":
            return
        for shard in {shard for _, shard in tx.written if shard >= 0}:
            audit = self.audits.get((service, shard))
            if audit is not None:
                audit.committed(session, tx)
            self.digest.update(tx.schema.head(shard)["journal_hash"])

    # ---- running it --------------------------------------------------------------------------------------------------------

    def run(self, trouble: Callable[["Town"], Any] = _none) -> str:
        """Everything, to the end. What it found is raised; its digest. `trouble`: none, if it is left out."""
        with drawn(Random(f"limits {self.seed}")):
            self.loop.run(self._live(trouble))
        for (service, shard), _ in self.audits.items():
            head = self.postgres.schemas[service].head(shard)
            self.digest.update(head["hash"] + head["journal_hash"] + str(head["now"]).encode())
        self.digest.update(str((self.commits, self.loop.time())).encode())
        return self.digest.hexdigest()

    async def _live(self, trouble: Callable[["Town"], Any]) -> None:
        supervising = asyncio.ensure_future(self._supervise())
        asking = asyncio.ensure_future(self.people.ask())
        await trouble(self)
        await asking
        self.tell("world", "the faults stop")
        try:
            await settled(self)
        finally:
            supervising.cancel()
            with suppress(asyncio.CancelledError):
                await supervising

    async def _supervise(self) -> None:
        while True:
            for member in self.members:
                if member.wanted and not member.runs:
                    self._start(member)
            await asyncio.sleep(0.2 + self.random.random())

    def _start(self, member: Member) -> None:
        if member.task is not None and member.process.alive and member.task.done():
            error = member.task.exception() if not member.task.cancelled() else None
            self.tell(member.name, f"ended: {error!r}")
            member.process.kill()
        member.process = self.loop.process(member.name)
        member.figures = SimpleNamespace(group=None, wait=lambda _: None)
        member.task = self.loop.begin(member.process, member.begin(member.figures))
        self.tell(member.name, "starts")
