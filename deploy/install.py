"""Makes an installation, or brings one up to date: database, roles, schemas, tables, topics. Done twice it changes nothing."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from deploy.migrate import LOCK, migrate
from deploy.roles import password, role
from deploy.topics import admin, cluster_id, ensure, holding_records, partitions
from shared.contract.envelope import SERVICES, events_topic
from shared.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
MACHINE = ROOT / "shared" / "machine" / "migrations"
CONSOLE = ROOT / "services" / "console" / "migrations"
FOLDERS: Mapping[str, Path] = {**dict.fromkeys(SERVICES, MACHINE), "console": CONSOLE}
"""Which migrations each service's schema gets: the deciding services are the same machine."""
GENERATION = "g1"
CONNECT_SECONDS = 10.0
"""How long PostgreSQL may take to be connected to."""


class InstallationDiffers(RuntimeError):
    """The database belongs to an installation with other particulars; the message says which."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What is there now, and what of it was made just now."""

    generation: str
    tenant: str
    shards: int
    cluster_id: str
    migrations: tuple[str, ...]
    topics: tuple[str, ...]


async def install(owner_dsn: str, kafka: str, settings: Settings, folders: Mapping[str, Path] = FOLDERS) -> Installed:
    """Makes what is missing and checks what is there. Two at once take turns.

    Args:
        owner_dsn: PostgreSQL, as a role that may create roles and schemas (and the database, if it isn't there).
        kafka: Kafka's bootstrap servers.
        settings: The tenant, the topics of upstreams, and the number of shards of a new installation; an existing one keeps its own.
        folders: The migrations of each service.

    Raises:
        ConnectionError: when PostgreSQL or Kafka can't be reached.
        InstallationDiffers: when the database was installed with another Kafka or for another tenant, or is new while Kafka holds the
            facts of an older one.
        TopicsDiffer: when a topic has another number of partitions than there are shards.
        MigrationsDiffer: when the migrations and the database don't belong together.
    """
    connection = await _connect(owner_dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)  # until the connection is closed
        async with admin(kafka) as client:
            found = await _found(connection)
            cluster = await cluster_id(client)
            if found is None:
                await _refuse_old_facts(kafka, await partitions(client))
            else:
                _compare(found, cluster, settings.tenant)
            made = await ensure(client, found["shards"] if found else settings.shards, settings.submission_topics)
        row = found or await _begin(connection, settings, cluster)
        applied = []
        for service, folder in folders.items():
            await _let_in(connection, service)
            done = await migrate(connection, folder, service, role(service), row["shards"])
            applied += [f"{service}/{migration.number:04}_{migration.name}" for migration in done]
    finally:
        await connection.close()
    return Installed(row["generation"], row["tenant"], row["shards"], row["cluster_id"], tuple(applied), tuple(made))


async def _connect(owner_dsn: str) -> asyncpg.Connection:
    """The owner's connection, the database made where it isn't there yet."""
    try:
        try:
            return await asyncpg.connect(owner_dsn, timeout=CONNECT_SECONDS)
        except asyncpg.InvalidCatalogNameError:
            parts = urlsplit(owner_dsn)
            server = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")), timeout=CONNECT_SECONDS)
            try:
                with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                    await server.execute(f"CREATE DATABASE {_quoted(unquote(parts.path[1:]))} ENCODING 'UTF8' TEMPLATE template0")
            finally:
                await server.close()
            return await asyncpg.connect(owner_dsn, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError) as problem:
        where = urlsplit(owner_dsn)
        raise ConnectionError(f"no PostgreSQL answers at {where.hostname}:{where.port or 5432}: {problem}") from problem


async def _found(connection: asyncpg.Connection) -> asyncpg.Record | None:
    """The installation's one row; none where nothing was installed yet. `rebuilding`: its topics are being made again."""
    await connection.execute("""
        CREATE TABLE IF NOT EXISTS public.installation (
            one          boolean PRIMARY KEY DEFAULT true CHECK (one),
            generation   text NOT NULL,
            tenant       text NOT NULL,
            shards       integer NOT NULL CHECK (shards BETWEEN 1 AND 1024),
            cluster_id   text NOT NULL,
            installed_at timestamptz NOT NULL DEFAULT now())""")
    found = await connection.fetchrow("SELECT * FROM public.installation")
    if found is None or "rebuilding" not in found:  # to ask whether it is there locks nobody out
        await connection.execute("ALTER TABLE public.installation ADD COLUMN IF NOT EXISTS rebuilding boolean NOT NULL DEFAULT false")
        found = await connection.fetchrow("SELECT * FROM public.installation")
    return found


async def _begin(connection: asyncpg.Connection, settings: Settings, cluster: str) -> asyncpg.Record:
    """Writes the installation's one row: only now, when the topics are as it says."""
    row = await connection.fetchrow(
        "INSERT INTO public.installation (generation, tenant, shards, cluster_id) VALUES ($1, $2, $3, $4) RETURNING *",
        GENERATION, settings.tenant, settings.shards, cluster,
    )  # fmt: skip
    assert row is not None, "an insert returns its row"
    return row


def _compare(row: asyncpg.Record, cluster: str, tenant: str) -> None:
    if row["cluster_id"] != cluster:
        raise InstallationDiffers(
            f"a different Kafka cluster is behind the address: this installation belongs to {row['cluster_id']}, but {cluster} answers. "
            "Its offsets mean nothing to the ledgers here, so nothing is started. Check MAKEGOOD_KAFKA and MAKEGOOD_DATABASE; if the old "
            f"cluster is gone for good and this one is to take its place, `makegood topics rebuild --cluster {cluster}` makes its topics."
        )
    if row["rebuilding"]:
        raise InstallationDiffers(
            "its topics are being made again, or that was interrupted: `makegood topics rebuild` goes on with it; nothing is started before"
        )
    if row["tenant"] != tenant:
        raise InstallationDiffers(
            f"this installation was made for the tenant {row['tenant']!r}, which this release does not serve ({tenant!r} alone): name "
            "another database in MAKEGOOD_DATABASE"
        )


async def _refuse_old_facts(kafka: str, there: Mapping[str, int]) -> None:
    """A new database beside old facts would tell a second story from position 1 on, and every reader would have to choose."""
    told = await holding_records(kafka, {topic: there[topic] for topic in map(events_topic, SERVICES) if topic in there})
    if told:
        raise InstallationDiffers(
            f"the database is new, but {', '.join(told)} in this Kafka already hold the facts of an installation. Name its database in "
            "MAKEGOOD_DATABASE (or restore it), or use another Kafka, or delete these topics if their facts are not wanted."
        )


async def _let_in(connection: asyncpg.Connection, service: str) -> None:
    """The service's role and schema: it may use what the migrations grant it there, and read the installation's row."""
    name = role(service)
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
        with contextlib.suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):  # made for another database just now
            await connection.execute(f"CREATE ROLE {name} LOGIN")
    if secret := password():
        quoted = await connection.fetchval("SELECT quote_literal($1::text)", secret)
        await connection.execute(f"ALTER ROLE {name} LOGIN PASSWORD {quoted}")
    database = _quoted(str(await connection.fetchval("SELECT current_database()")))
    await connection.execute(f"""
        CREATE SCHEMA IF NOT EXISTS {service};
        GRANT USAGE ON SCHEMA {service} TO {name};
        GRANT CONNECT ON DATABASE {database} TO {name};
        GRANT SELECT ON public.installation TO {name};
        ALTER ROLE {name} IN DATABASE {database} SET search_path TO {service}""")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
