"""Who had the topics made again, why, and what was known to be lost by it: the owner's table, kept for ever."""

from collections.abc import Sequence

import asyncpg

_TABLE = """
    CREATE TABLE IF NOT EXISTS public.topics_rebuilt (
        begun_at       timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
        ended_at       timestamptz,
        actor          text   NOT NULL,
        reason         text   NOT NULL,
        services       text[] NOT NULL,
        lost           text[] NOT NULL,
        cluster_before text   NOT NULL,
        cluster_after  text   NOT NULL)"""
"""`ended_at`: none, where it was interrupted and nobody went on with it. `lost`: what may be lost, in sentences, as it was accepted."""


async def begun(
    connection: asyncpg.Connection, *, actor: str, reason: str, services: Sequence[str], lost: Sequence[str], clusters: tuple[str, str]
) -> None:
    """Writes it down, in the transaction that says where everybody goes on. `clusters`: the installation's until now, and from now on."""
    await connection.execute(_TABLE)
    await connection.execute(
        "INSERT INTO public.topics_rebuilt (actor, reason, services, lost, cluster_before, cluster_after) VALUES ($1, $2, $3, $4, $5, $6)",
        actor, reason, list(services), list(lost), *clusters,
    )  # fmt: skip


async def ended(connection: asyncpg.Connection) -> None:
    """All is done that was begun, by this run and by those that were interrupted."""
    await connection.execute("UPDATE public.topics_rebuilt SET ended_at = clock_timestamp() WHERE ended_at IS NULL")


async def interrupted(connection: asyncpg.Connection) -> set[str]:
    """The services whose topics were begun to be made again, and need not be whole."""
    if await connection.fetchval("SELECT to_regclass('public.topics_rebuilt')") is None:
        return set()
    found = await connection.fetch("SELECT DISTINCT unnest(services) AS service FROM public.topics_rebuilt WHERE ended_at IS NULL")
    return {row["service"] for row in found}
