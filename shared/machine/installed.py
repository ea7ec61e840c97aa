"""What a process finds installed in its database."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import asyncpg
import structlog

from shared.machine.patience import patiently

REBUILDING_SECONDS = 2.0
"""How often it is looked whether the topics are whole again."""
REBUILDING = (
    "until the topics are made again: that is under way, or was interrupted, and `makegood topics rebuild` goes on with it; stop every "
    "service before"
)

log = structlog.get_logger()


class Installation(NamedTuple):
    """The installation's particulars, fixed when it was made."""

    generation: str
    tenant: str
    shards: int
    cluster: str
    """The id of its Kafka cluster: offsets mean nothing to another one."""


async def installation(pool: asyncpg.Pool, waits: Callable[[str], None] = lambda _: None) -> Installation:
    """What is installed. Waits until something is, and while its topics are made again: what we told them now would lie between.

    `waits` is told what we wait for, and nothing where it is no more.
    """
    while True:
        found, rebuilding = await _found(pool)
        waits(REBUILDING if rebuilding else "")
        if not rebuilding:
            return found
        log.warning("rebuilding", what=f"this waits {REBUILDING}")
        await asyncio.sleep(REBUILDING_SECONDS)


@patiently
async def _found(pool: asyncpg.Pool) -> tuple[Installation, bool]:
    try:
        row = await pool.fetchrow("SELECT generation, tenant, shards, cluster_id, rebuilding FROM public.installation")
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InsufficientPrivilegeError):
        log.warning("not_installed", what="nothing of this release is installed in this database yet: run `makegood install` as its owner")
        raise
    assert row is not None, "a service runs on an installation"
    return Installation(row["generation"], row["tenant"], row["shards"], row["cluster_id"]), row["rebuilding"]
