"""The installation's database, read as its owner. What can be foreseen to go wrong becomes a sentence."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg

from deploy.cli.exits import Exit, stop

T = TypeVar("T")
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Installation:
    """What an installation is: the row that was written when it was made."""

    generation: str
    tenant: str
    shards: int
    cluster_id: str


@asynccontextmanager
async def connected(dsn: str, schema: str = "") -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner's, for reading; in a service's schema where one is named."""
    told = {"application_name": "makegood cli", "timezone": "UTC"} | ({"search_path": schema} if schema else {})
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, server_settings=told)
    try:
        yield connection
    finally:
        await connection.close()


async def installation(connection: asyncpg.Connection) -> Installation:
    """The installation's row. Ends the command where nothing is installed."""
    row = await connection.fetchrow("SELECT generation, tenant, shards, cluster_id FROM public.installation")
    if row is None:
        stop("Nothing is installed in this database: `makegood up` does it, or `makegood install` on servers of your own.")
    return Installation(*row)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Does what needs the database, or Kafka, to its end. Ends the command with a sentence where they are away."""
    try:
        return asyncio.run(work)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InvalidCatalogNameError):
        stop("Nothing is installed in this database: `makegood up` does it, or `makegood install` on servers of your own.")
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        stop(f"PostgreSQL does not let us: {error}. MAKEGOOD_DATABASE must name the installation's owner.")
    except asyncpg.SyntaxOrAccessError:  # a fault of ours
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        stop(f"PostgreSQL does not answer ({str(error) or type(error).__name__}). `makegood status` tells what runs.")


def in_range(shard: int | None, shards: int) -> list[int]:
    """All shards, or the one that is named. Ends the command where there is no such shard."""
    if shard is None:
        return list(range(shards))
    if shard >= shards:
        stop(f"There is no shard {shard}: this installation has the shards 0 to {shards - 1}.", Exit.USAGE)
    return [shard]
