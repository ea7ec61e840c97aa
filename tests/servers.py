"""Real servers for tests: Kafka and PostgreSQL, from containers where a Docker engine answers, embedded otherwise.

MAKEGOOD_TEST_SERVERS=containers or =embedded forces the one or the other. Where testcontainers cannot fetch its own helper image, set
TESTCONTAINERS_RYUK_DISABLED=true.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import docker
from docker.errors import DockerException
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from deploy.install import FOLDERS, Installed, install
from deploy.local import kafka as broker
from deploy.local import stack
from deploy.local.postgres import owner_dsn
from deploy.roles import role_dsn
from deploy.topics import TOPICS, admin, partitions
from shared.settings import Settings

WAYS = ("containers", "embedded")
POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = "apache/kafka:4.3.1"
ENGINE_SECONDS = 5
START_SECONDS = 60.0
SHARDS = 4
"""Of a test's installation: enough for streams to part, few enough to be quick."""
ROLE_PASSWORD = "only for tests"


@dataclass(frozen=True)
class Installation:
    """An installation of a test's own, with nothing in it yet."""

    kafka: str
    owner_dsn: str
    settings: Settings
    installed: Installed

    def role_dsn(self, service: str) -> str:
        """A service's way into the database."""
        return role_dsn(self.owner_dsn, service)

    def env(self, service: str) -> dict[str, str]:
        """What a process of this service finds in its environment."""
        return {"MAKEGOOD_KAFKA": self.kafka, "MAKEGOOD_DATABASE": self.role_dsn(service)}


@dataclass(frozen=True)
class Servers:
    """Where Kafka and PostgreSQL are; nothing is installed in them."""

    kafka: str
    """Bootstrap servers."""
    owner_dsn: str
    """The owner's way in, to the database `postgres`."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _migrated: dict[tuple[object, ...], str] = field(default_factory=dict)
    """Databases to copy: migrations take longer than all the rest."""

    async def fresh_database(self, template: str = "template0") -> str:
        """The owner's DSN of a new database: an empty one, or a copy of another to which nobody is connected."""
        name = f"test_{next(self._numbers)}"
        connection = await asyncpg.connect(self.owner_dsn)
        try:
            await connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE {template}")
        finally:
            await connection.close()
        return database(self.owner_dsn, name)

    def fresh_topic(self) -> str:
        """A topic name that no test had before. Whoever wants the topic makes it: Kafka doesn't by itself."""
        return f"test.{next(self._numbers)}"

    async def without_topics(self) -> None:
        """Deletes an installation's topics: their names are fixed, so one Kafka holds one installation at a time."""
        async with admin(self.kafka) as client:
            while there := TOPICS.keys() & await partitions(client):
                await client.delete_topics(list(there))

    async def fresh_installation(self, folders: Mapping[str, Path] = FOLDERS, shards: int = SHARDS) -> Installation:
        """A new database and new topics, installed. What an earlier test installed is without topics from now on."""
        await self.without_topics()
        settings = Settings(kafka=self.kafka, shards=shards, tenant="default")
        kind = (shards, *folders.items())
        if kind not in self._migrated:
            dsn = await self.fresh_database()
            await install(dsn, self.kafka, settings, folders)
            self._migrated[kind] = urlsplit(dsn).path[1:]
        dsn = await self.fresh_database(self._migrated[kind])
        settings = settings.model_copy(update={"database": dsn})
        return Installation(self.kafka, dsn, settings, await install(dsn, self.kafka, settings, folders))


def database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@contextmanager
def started() -> Iterator[Servers]:
    """Servers for as long as the block lasts."""
    with (
        patch.dict(os.environ, {"MAKEGOOD_ROLE_PASSWORD": ROLE_PASSWORD}),
        containers() if way() == "containers" else embedded() as servers,
    ):
        asyncio.run(_hurry(servers.owner_dsn))
        yield servers


async def _hurry(dsn: str) -> None:
    """Without fsync a killed process loses nothing, and no test pulls the plug; with it, waiting for the disk takes most of the time."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


def way() -> str:
    told = os.environ.get("MAKEGOOD_TEST_SERVERS", "")
    if told and told not in WAYS:
        raise RuntimeError(f"MAKEGOOD_TEST_SERVERS is {told!r}: say {' or '.join(WAYS)}, or leave it out")
    if told == "embedded":
        return told
    silence = engine_silence()
    if told and silence:
        raise RuntimeError(f"MAKEGOOD_TEST_SERVERS=containers, but no Docker engine answers ({silence}): start one, or say embedded")
    return "embedded" if silence else "containers"


def engine_silence() -> str:
    """Why no Docker engine answers; empty where one does."""
    try:
        client = docker.from_env(timeout=ENGINE_SECONDS)
        try:
            client.ping()
        finally:
            client.close()
    except (DockerException, OSError) as problem:
        return str(problem)
    return ""


@contextmanager
def embedded() -> Iterator[Servers]:
    home = Path(tempfile.mkdtemp(prefix="makegood-tests-"))
    try:
        found = stack.wait(home, stack.start(home, only_servers=True, with_us=True))
        address = next(part.address for part in found.parts if part.name == "postgres")
        yield Servers(found.kafka, owner_dsn(address, "postgres"))
    finally:
        stack.stop(home)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def containers() -> Iterator[Servers]:
    with ExitStack() as running:
        postgres = running.enter_context(PostgresContainer(POSTGRES_IMAGE, username="makegood", password="test", driver=None))
        container = running.enter_context(_KafkaContainer())
        yield Servers(container.address, database(postgres.get_connection_url(), "postgres"))


class _KafkaContainer(DockerContainer):
    """The official image with the embedded broker's settings.

    The broker must be told the address under which clients reach it, and that is known only when the container runs: so it waits for a
    script with it. (testcontainers' own KafkaContainer is for Confluent's image.)
    """

    SCRIPT = "/tmp/start.sh"
    PORT, CONTROLLER_PORT = 9092, 9093

    def __init__(self) -> None:
        super().__init__(KAFKA_IMAGE)
        listeners = f"PLAINTEXT://0.0.0.0:{self.PORT},CONTROLLER://127.0.0.1:{self.CONTROLLER_PORT}"
        for name, value in {**broker.properties(Path("/tmp/kafka"), self.PORT, self.CONTROLLER_PORT), "listeners": listeners}.items():
            self.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        self.with_exposed_ports(self.PORT)
        self.with_command(["sh", "-c", f"until [ -f {self.SCRIPT} ]; do sleep 0.1; done; . {self.SCRIPT}"])

    @property
    def address(self) -> str:
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(self.PORT)}"

    def start(self) -> "_KafkaContainer":
        super().start()
        script = f"export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{self.address}\nexec /etc/kafka/docker/run\n"
        self.copy_into_container(script.encode(), self.SCRIPT)
        asyncio.run(_until_it_answers(self.address))
        return self


async def _until_it_answers(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if await broker.answers(address):
                return
        except Exception:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)
