"""Makes an installation, or brings one up to date: database, roles, schemas, tables, topics. Done twice it changes nothing."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.migrate import LOCK, migrate
from deploy.roles import STAGES, role
from deploy.topics import admin, cluster_id, ensure
from shared.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
MACHINE = ROOT / "shared" / "machine" / "migrations"
CONSOLE = ROOT / "services" / "console" / "migrations"
FOLDERS: Mapping[str, Path] = {**dict.fromkeys(STAGES, MACHINE), "console": CONSOLE}
"""Which migrations each service's schema gets: the deciding services are the same machine."""
GENERATION = "g1"
CONNECT_SECONDS = 10.0


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
    """Makes what is missing and checks what is there.

    Args:
        owner_dsn: PostgreSQL, as a role that may create roles and schemas (and the database, if it isn't there).
        kafka: Kafka's bootstrap servers.
        settings: The tenant, and the number of shards of a new installation; an existing one keeps its own number.
        folders: The migrations of each service.

    Raises:
        ConnectionError: when PostgreSQL or Kafka can't be reached.
        InstallationDiffers: when the database was installed with another Kafka or for another tenant.
        TopicsDiffer: when a topic has another number of partitions than there are shards.
        MigrationsDiffer: when the migrations and the database don't belong together.
    """
    connection = await _connect(owner_dsn)
    try:
        async with admin(kafka) as client:
            row = await _installation(connection, await cluster_id(client), settings)
            applied = []
            for service, folder in folders.items():
                await _let_in(connection, service, os.environ.get("MAKEGOOD_ROLE_PASSWORD", ""))
                done = await migrate(connection, folder, service, role(service), row["shards"])
                applied += [f"{service}/{migration.number:04}_{migration.name}" for migration in done]
            made = await ensure(client, row["shards"])
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
            name = parts.path.lstrip("/")
            server = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")), timeout=CONNECT_SECONDS)
            try:
                with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                    await server.execute(f"CREATE DATABASE {_quoted(name)} ENCODING 'UTF8' TEMPLATE template0")
            finally:
                await server.close()
            return await asyncpg.connect(owner_dsn, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError) as problem:
        where = urlsplit(owner_dsn)
        raise ConnectionError(f"no PostgreSQL answers at {where.hostname}:{where.port or 5432}: {problem}") from problem


async def _installation(connection: asyncpg.Connection, cluster: str, settings: Settings) -> asyncpg.Record:
    """The installation's one row, made the first time and compared ever after."""
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute("""
            CREATE TABLE IF NOT EXISTS public.installation (
                one          boolean PRIMARY KEY DEFAULT true CHECK (one),
                generation   text NOT NULL,
                tenant       text NOT NULL,
                shards       integer NOT NULL CHECK (shards BETWEEN 1 AND 1024),
                cluster_id   text NOT NULL,
                installed_at timestamptz NOT NULL DEFAULT now())""")
        await connection.execute(
            "INSERT INTO public.installation (generation, tenant, shards, cluster_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            GENERATION, settings.tenant, settings.shards, cluster,
        )  # fmt: skip
        row = await connection.fetchrow("SELECT generation, tenant, shards, cluster_id FROM public.installation")
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
    assert row is not None, "it was inserted, and nothing deletes it"
    if row["cluster_id"] != cluster:
        raise InstallationDiffers(
            f"a different Kafka cluster is behind the address: this installation belongs to {row['cluster_id']}, but {cluster} answers. "
            "Its offsets mean nothing to the ledgers here, so nothing is started. Check MAKEGOOD_KAFKA and MAKEGOOD_DATABASE."
        )
    if row["tenant"] != settings.tenant:
        raise InstallationDiffers(f"this installation was made for the tenant {row['tenant']!r}, not {settings.tenant!r}")
    return row


async def _let_in(connection: asyncpg.Connection, service: str, password: str) -> None:
    """The service's role and schema: it may use what the migrations grant it there, and read the installation's row."""
    name = role(service)
    with contextlib.suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
            await connection.execute(f"CREATE ROLE {name} LOGIN")
    if password:
        quoted = await connection.fetchval("SELECT quote_literal($1::text)", password)
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
