"""What reads the database, done to its end. What can be foreseen to go wrong becomes a sentence."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg

from deploy.cli.exits import Exit, stop
from deploy.database import NOT_THE_OWNER, NOTHING_THERE

T = TypeVar("T")
NOT_INSTALLED = "Nothing is installed in this database: `makegood up` does it, or `makegood install` on servers of your own."


def run(work: Coroutine[Any, Any, T]) -> T:
    """Does what needs the database to its end. Ends the command with a sentence where it is away, or not what is expected."""
    try:
        return asyncio.run(work)
    except NOTHING_THERE:
        stop(NOT_INSTALLED)
    except NOT_THE_OWNER as error:
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
