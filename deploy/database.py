"""The installation's database, read as its owner."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

CONNECT_SECONDS = 5.0
"""How long PostgreSQL may take to be connected to."""


class NotInstalled(RuntimeError):
    """There is no installation in this database."""


NOTHING_THERE = (NotInstalled, asyncpg.InvalidSchemaNameError, asyncpg.InvalidCatalogNameError)
"""What is raised where nothing was installed in a database, or where there is no such database."""
NOT_THE_OWNER = (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.UndefinedTableError)
"""What is raised where somebody looks who may not. Tables in a schema that one may not use are not found."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What an installation is: the row that was written when it was made."""

    generation: str
    tenant: str
    shards: int
    cluster_id: str
    rebuilding: bool = False
    """Whether its topics are being made again, or that was interrupted: nobody is at work until they are whole."""


@asynccontextmanager
async def connected(dsn: str, schema: str = "") -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner's, for reading; in a service's schema where one is named."""
    told = {"application_name": "makegood cli", "timezone": "UTC"} | ({"search_path": schema} if schema else {})
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, server_settings=told)
    try:
        yield connection
    finally:
        await connection.close()


async def use(connection: asyncpg.Connection, service: str) -> None:
    """From now on the tables of this service are meant."""
    await connection.execute("SELECT set_config('search_path', $1, false)", service)


async def installation(connection: asyncpg.Connection) -> Installation:
    """The installation's row. Raises NotInstalled."""
    try:
        row = await connection.fetchrow("SELECT * FROM public.installation")
    except asyncpg.UndefinedTableError as error:
        raise NotInstalled from error
    if row is None:
        raise NotInstalled
    return Installation(row["generation"], row["tenant"], row["shards"], row["cluster_id"], row.get("rebuilding", False))
