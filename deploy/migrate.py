"""Migrations: plain SQL files, numbered without gaps, applied once each to a schema and never changed afterwards."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

NAME = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
PLACEHOLDER = re.compile(r"(?<!:):(schema|role|shards)\b")
LOCK = int.from_bytes(hashlib.sha256(b"makegood migrations").digest()[:8], signed=True)
"""One installation at a time migrates a database."""


class MigrationsDiffer(RuntimeError):
    """The files and what was applied don't belong together; the message says where they part."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text, before anything is put into it."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def found(folder: Path) -> list[Migration]:
    """The migrations of a folder, in order.

    Raises:
        MigrationsDiffer: when there are none, a file is named otherwise, or a number is missing or there twice.
    """
    migrations = []
    for file in sorted(folder.glob("*.sql")):
        match = NAME.fullmatch(file.name)
        if match is None:
            raise MigrationsDiffer(f"{file} is not named NNNN_name.sql")
        migrations.append(Migration(int(match["number"]), match["name"], file.read_text(encoding="utf-8")))
    if not migrations:
        raise MigrationsDiffer(f"{folder} has no migrations: this release is not whole")
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationsDiffer(f"{folder} has no migration {expected:04} but has {migration.number:04}_{migration.name} in its place")
    return migrations


async def migrate(connection: asyncpg.Connection, folder: Path, schema: str, role: str, shards: int) -> list[Migration]:
    """Applies to a schema what was not applied yet, each in a transaction of its own, and gives what was.

    In the SQL `:schema`, `:role` and `:shards` stand for this schema, the service's role and the number of shards. Names without a schema
    are this schema's.

    Args:
        connection: The owner's, outside a transaction.
        folder: Where the files lie.
        schema: The service's schema; it is there already.
        role: The service's role.
        shards: Shards of this installation.

    Raises:
        MigrationsDiffer: when an applied file was changed or is missing, or the numbers have a gap.
        asyncpg.PostgresError: when a file fails; nothing of that file stays.
    """
    migrations = found(folder)
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute(f"""
            CREATE TABLE IF NOT EXISTS {schema}.migrations (
                number     integer PRIMARY KEY,
                name       text NOT NULL,
                checksum   text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now())""")
        applied = await connection.fetch(f"SELECT number, name, checksum FROM {schema}.migrations ORDER BY number")  # noqa: S608
        _compare(schema, migrations, applied)
        waiting = migrations[len(applied) :]
        values = {"schema": schema, "role": role, "shards": str(shards)}
        for migration in waiting:
            await _apply(connection, migration, schema, values)
        return waiting
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


def _compare(schema: str, migrations: Sequence[Migration], applied: Sequence[asyncpg.Record]) -> None:
    for row in applied:
        named = f"{row['number']:04}_{row['name']}"
        if row["number"] > len(migrations):
            raise MigrationsDiffer(f"{schema} has migration {named}, which this release does not know: it was made by a newer one")
        if migrations[row["number"] - 1].checksum != row["checksum"]:
            raise MigrationsDiffer(f"migration {named} was changed after it was applied to {schema}: put it back, and write a new one")


async def _apply(connection: asyncpg.Connection, migration: Migration, schema: str, values: dict[str, str]) -> None:
    sql = PLACEHOLDER.sub(lambda match: values[match[1]], migration.sql)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL search_path TO {schema}")
        await connection.execute(sql)
        await connection.execute(
            f"INSERT INTO {schema}.migrations (number, name, checksum) VALUES ($1, $2, $3)",  # noqa: S608
            migration.number, migration.name, migration.checksum,
        )  # fmt: skip
