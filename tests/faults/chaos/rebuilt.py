"""The console's projections, made again from the topics alone, must be those that were kept live through all of it."""

import asyncio
from contextlib import suppress

import asyncpg

from tests.faults.chaos.fleet import SHARDS
from tests.services.console import again
from tests.shared.machine.live import until

PATIENCE_SECONDS = 120.0


async def rebuilt(owner: asyncpg.Connection, dsn: str, kafka: str) -> list[str]:
    """What differs, in sentences."""
    await again.make(owner, SHARDS)
    making = asyncio.create_task(again.project(dsn, kafka))
    try:
        await until(lambda: again.same(owner, again.KEPT["places"]), PATIENCE_SECONDS)
        differ = [what for what, query in again.KEPT.items() if not await again.same(owner, query)]
    except AssertionError:
        return ["the projections made again do not come to where the live ones are"]
    finally:
        making.cancel()
        with suppress(asyncio.CancelledError):
            await making
    return [f"{what} made again differ from those kept live" for what in differ]
