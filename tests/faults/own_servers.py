"""Servers of a test's own, to be killed, starved of room, and exchanged for others at the same address."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local import kafka, postgres
from deploy.local.part import Part, Program
from deploy.local.ports import Ports


@asynccontextmanager
async def broker(home: Path, ports: Ports):
    """A broker with the data of this home, at these ports, for as long as the block lasts."""
    async with _running(kafka.program, home, ports) as part:
        yield part


@asynccontextmanager
async def postgres_at(home: Path, ports: Ports):
    """The same of PostgreSQL."""
    async with _running(postgres.program, home, ports) as part:
        yield part


@asynccontextmanager
async def _running(make: Callable[[Path, Ports], Program], home: Path, ports: Ports):
    part = Part(await asyncio.to_thread(make, home, ports))
    try:
        await part.start()
        yield part
    finally:
        await part.stop()


def kill(part: Part) -> None:
    """As the kernel does it where memory runs out. It is started again by itself."""
    assert part.pid is not None, "it runs"
    os.kill(part.pid, signal.SIGKILL)
