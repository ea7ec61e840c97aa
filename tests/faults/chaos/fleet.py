"""Everything that runs: Kafka and PostgreSQL under the product's own supervisor, and two processes of every service, or three."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import httpx

from deploy.install import install
from deploy.local import stack, state
from deploy.local.ports import Ports
from deploy.local.postgres import owner_dsn
from deploy.roles import PROCESSES, role_dsn
from shared.settings import Settings
from tests.faults.chaos.replica import Replica
from tests.shared.machine.live import until
from tests.system import NAMES

SHARDS = 4
SESSION_TIMEOUT_MS = 6_000
"""The shortest that a broker takes by default."""
REPLICAS = 2
SPARE = 3
"""The number of the replica that comes and goes."""
READY_SECONDS = 120.0


@dataclass
class Fleet:
    """Where everything is."""

    home: Path
    kafka: str
    database: str
    replicas: list[Replica] = field(default_factory=list)

    @property
    def consoles(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.service == "console" and replica.wanted]

    def of(self, service: str) -> list[Replica]:
        return [replica for replica in self.replicas if replica.service == service]

    def server(self, name: str) -> state.PartState:
        """Kafka or PostgreSQL as the supervisor last saw it."""
        found = state.read(self.home)
        assert found is not None, "the supervisor runs as long as the fleet"
        return next(part for part in found.parts if part.name == name)

    async def all_ready(self) -> bool:
        """Whether every process that is to run says so."""
        wanted = [replica for replica in self.replicas if replica.wanted]
        async with httpx.AsyncClient(timeout=3.0, trust_env=False) as client:
            return all(await asyncio.gather(*(_is_ready(client, replica) for replica in wanted)))

    async def shards(self, replica: Replica) -> list[int]:
        """Which shards a process says it has; none where it does not answer."""
        async with httpx.AsyncClient(timeout=3.0, trust_env=False) as client:
            try:
                return list((await client.get(f"{replica.address}/readyz")).json().get("shards", ()))
            except httpx.HTTPError:
                return []

    async def said(self) -> dict[str, str]:
        """What each process says of itself, for a report."""
        found = {}
        async with httpx.AsyncClient(timeout=3.0, trust_env=False) as client:
            for replica in self.replicas:
                try:
                    found[replica.name] = (await client.get(f"{replica.address}/readyz")).text.strip()
                except httpx.HTTPError as error:
                    found[replica.name] = repr(error)
        return found

    def logged(self, event: str) -> Iterator[dict[str, object]]:
        """What the processes logged under this name."""
        for replica in self.replicas:
            for line in replica.log.read_bytes().splitlines() if replica.log.exists() else ():
                if f'"{event}"'.encode() in line:
                    with suppress(ValueError):
                        told = json.loads(line)
                        if told.get("event") == event:
                            yield told | {"replica": replica.name}

    def tracebacks(self) -> list[str]:
        """What went wrong in a process and was not expected to."""
        return [f"{told['replica']}: {told.get('exception', told)}"[:2000] for told in self.logged("shard_failed")]


async def _is_ready(client: httpx.AsyncClient, replica: Replica) -> bool:
    try:
        return (await client.get(f"{replica.address}/readyz")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def started(*, keep: bool = False) -> AsyncIterator[Fleet]:
    """A fleet of one's own, ready. Its folder is left where the block raises, for whoever wants to know why."""
    home = Path(tempfile.mkdtemp(prefix="makegood-chaos-"))
    with patch.dict(os.environ):
        for name in NAMES:
            os.environ.pop(name, None)
        async with _running(home) as fleet:
            yield fleet
    if not keep:
        shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def _running(home: Path) -> AsyncIterator[Fleet]:
    pid = stack.start(home, only_servers=True, with_us=True)
    fleet = None
    try:
        found = await asyncio.to_thread(stack.wait, home, pid)
        database = owner_dsn(next(part.address for part in found.parts if part.name == "postgres"))
        await install(database, found.kafka, Settings(kafka=found.kafka, database=database, shards=SHARDS))
        fleet = Fleet(home, found.kafka, database)
        _populate(fleet)
        await until(fleet.all_ready, READY_SECONDS)
        yield fleet
    finally:
        if fleet is not None:
            await asyncio.gather(*(replica.stop() for replica in fleet.replicas))
        await asyncio.to_thread(stack.stop, home)


def _populate(fleet: Fleet) -> None:
    ports = Ports(fleet.home / "ports.json")
    (fleet.home / "logs").mkdir(exist_ok=True)
    for service in PROCESSES:
        for number in range(1, SPARE + (service != "console")):
            name = f"{service}-{number}"
            env = {
                **os.environ,
                "MAKEGOOD_KAFKA": fleet.kafka,
                "MAKEGOOD_DATABASE": role_dsn(fleet.database, service),
                "MAKEGOOD_PORT": str(ports.keep(name)),
                "MAKEGOOD_INSTANCE": name,
                "MAKEGOOD_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
                "PYTHONUNBUFFERED": "1",
            }
            replica = Replica(name, service, env, fleet.home / "logs" / f"{name}.log")
            fleet.replicas.append(replica)
            if number <= REPLICAS:
                replica.start()
