"""The disk is full, PostgreSQL's or Kafka's: all stops cleanly and says so, and goes on when there is room. On real, small file systems.

To mount one is root's. Where it can't be done these fail, unless they are told that nobody expects it of them.
"""

import asyncio
import os
import subprocess
from contextlib import contextmanager

import pytest

from deploy.install import install
from deploy.local.part import State
from deploy.local.postgres import owner_dsn
from shared.settings import Settings
from tests.faults.own_servers import broker, postgres_at
from tests.servers import SHARDS, Installation
from tests.shared.machine.live import Live, adds, is_so, until

WITHOUT_MOUNTS = "MAKEGOOD_TEST_WITHOUT_MOUNTS"
"""Set where the tests that need a file system of their own are to be passed over."""
SMALL_MB = 320
WITHOUT_SECONDS = 5
FILLER = 1024 * 1024
SOON_SECONDS = 90


@pytest.fixture
def small(tmp_path):
    """A small file system."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m,mode=0755", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode and os.environ.get(WITHOUT_MOUNTS):
        pytest.skip(f"{WITHOUT_MOUNTS} is set, and no file system can be mounted here")
    assert not mounted.returncode, (
        f"no file system can be mounted here ({mounted.stderr.strip()}): run it as root, or set {WITHOUT_MOUNTS}=1"
    )
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@contextmanager
def full(place):
    """Not a byte more fits on it, for as long as the block lasts."""
    filler = place / "filler"
    try:
        with filler.open("wb") as file:
            for size in (FILLER, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                        file.flush()
                except OSError:
                    continue
    except OSError:
        pass
    try:
        yield
    finally:
        filler.unlink()


async def installed(kafka, dsn):
    settings = Settings(kafka=kafka, shards=SHARDS, database=dsn)
    return Live(Installation(kafka, dsn, settings, await install(dsn, kafka, settings)))


async def whole(live, total):
    """Nothing is lost and nothing is there twice."""
    await until(lambda: is_so(live.total(), total), SOON_SECONDS)
    await until(live.relayed, SOON_SECONDS)
    await until(lambda: live.members[0].figures.ready()[0], SOON_SECONDS)
    assert await live.events("intake.Added.v1") == total
    on_kafka = await live.on_kafka()
    for one in await live.prove():
        assert list(dict.fromkeys(on_kafka[one.shard])) == list(range(1, one.events + 1))


async def test_postgres_has_no_room(servers, small, ports):
    await servers.without_topics()
    async with postgres_at(small, ports) as part:
        live = await installed(servers.kafka, owner_dsn(part.program.address))
        await live.start()
        await live.ready()
        await live.send(*adds(40))
        await until(lambda: is_so(live.total(), 40))
        with full(small):
            for _ in range(30):
                await live.send(*adds(200))
            await until(lambda: live.members[0].troubles, SOON_SECONDS)
            assert not live.members[0].figures.ready()[0]
            assert {cause for cause, _ in live.members[0].troubles.values()} <= {"disk full", "database"}
        await whole(live, 6_040)
        await live.stop()


async def test_kafka_has_no_room(servers, small, ports):
    async with broker(small, ports) as part:
        live = await installed(part.program.address, await servers.fresh_database())
        await live.start()
        await live.ready()
        await live.send(*adds(40))
        await until(lambda: is_so(live.total(), 40))

        async def send():
            for _ in range(60):
                await live.send(*adds(200))

        with full(small):
            sending = asyncio.create_task(send())
            await until(lambda: part.state != State.READY, SOON_SECONDS)  # Kafka ends itself, and can't be started again
            await asyncio.sleep(WITHOUT_SECONDS)
            assert not sending.done(), "nobody was told that it was taken"
        await asyncio.wait_for(sending, SOON_SECONDS)
        await whole(live, 12_040)
        await live.stop()
