"""Every shard of every service, proven side by side on a few connections, with a bar that tells how far it is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import asyncpg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.cli import output
from deploy.database import connected
from shared.machine.fault import Fault, ProofFailed
from shared.machine.mind import Mind
from shared.machine.stored import Damaged

CONNECTIONS = 4
"""Shards proven side by side."""

Proven = TypeVar("Proven")
Prove = Callable[[asyncpg.Connection, Mind, int], Awaitable[Proven]]
"""Proves one shard on a connection in its service's schema. Raises ProofFailed."""


@dataclass(frozen=True, slots=True)
class Found(Generic[Proven]):
    """What came of it."""

    proven: Sequence[Proven]
    """Of the shards that are as they must be, in order."""
    faults: Sequence[Fault]
    """The first of each of the others."""


async def side_by_side(dsn: str, minds: Sequence[Mind], shards: Sequence[int], prove: Prove[Proven], doing: str) -> Found[Proven]:
    """Proves these shards of these services."""
    jobs = [(mind, shard) for mind in minds for shard in shards]
    free = asyncio.Semaphore(CONNECTIONS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("shards"), TimeElapsedColumn())
    with Progress(*columns, console=output.err(), disable=not output.err().is_terminal, transient=True) as bar:
        task = bar.add_task(doing, total=len(jobs))

        async def one(mind: Mind, shard: int) -> Proven | Fault:
            async with free, connected(dsn, mind.service) as connection:
                try:
                    return await prove(connection, mind, shard)
                except ProofFailed as failed:
                    return failed.fault
                except Damaged as damaged:
                    return Fault(mind.service, damaged.shard, str(damaged))
                finally:
                    bar.advance(task)

        done = await asyncio.gather(*(one(*job) for job in jobs))
    faults = dict.fromkeys(one for one in done if isinstance(one, Fault))  # what shards share is one fault
    return Found([one for one in done if not isinstance(one, Fault)], list(faults))
