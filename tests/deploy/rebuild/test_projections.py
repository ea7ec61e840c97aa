"""A projection is made again beside the live one and takes its place at once, or not at all."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import asyncpg
import pytest

from deploy.rebuild import projections as rebuilding
from deploy.rebuild.projections import Busy, Differs, OtherRelease
from services.console.projections.kept import KEPT
from shared.machine import store
from shared.machine.head import Stopped
from tests.shared.machine.live import until

rebuild = partial(rebuilding.rebuild, actor="person:anna")
CONTENT = {
    "queue": "SELECT to_jsonb(t) FROM console.complaints t ORDER BY id",
    "story": "SELECT to_jsonb(t) FROM console.story t ORDER BY shard, service, position",
    "outcomes": "SELECT to_jsonb(t) FROM console.outcomes t ORDER BY message_id, service, shard, first",
}


@dataclass(frozen=True)
class Forgetful:
    """A projection that leaves events out."""

    real: Any
    every: int = 5

    async def project(self, connection, heard):
        await self.real.project(connection, [one for one in heard if one.row.position % self.every])


@pytest.fixture(autouse=True)
def complaints(system):
    for _ in range(4):
        complaint = system.submit(product="bread")
        system.ask(complaint, "StartFix")
        system.ask(complaint, "AssignOwner", owner="person:anna")


@asynccontextmanager
async def owner(system):
    connection = await asyncpg.connect(system.stack.owner_dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def database(system):
    async with owner(system) as connection:
        await until(lambda: quiet(connection))
        yield connection
        for name in KEPT:
            await connection.execute(f"DROP SCHEMA IF EXISTS console_again_{name} CASCADE")


async def quiet(connection):
    """Whether the console has taken in all that was decided."""
    decided = [await connection.fetchval(f"SELECT sum(position) FROM {service}.head") for service in ("intake", "resolution", "rootcause")]
    return sum(decided) == await connection.fetchval("SELECT sum(position) FROM console.places")


@pytest.mark.parametrize("name", KEPT)
async def test_it_is_the_live_one_again_and_goes_on(system, database, name):
    before = await database.fetch(CONTENT[name])
    oid = await database.fetchval("SELECT $1::regclass::oid", f"console.{KEPT[name].table}")
    done = await rebuild(system.stack.owner_dsn, name, KEPT[name])
    assert await database.fetch(CONTENT[name]) == before
    assert done.now == done.events == await database.fetchval("SELECT sum(position) FROM console.places")
    assert done.rows_before == done.rows_after == len(before)
    assert await database.fetchval("SELECT $1::regclass::oid", f"console.{KEPT[name].table}") != oid, "another one is there"
    assert await database.fetchval("SELECT to_regnamespace($1)", f"console_again_{name}") is None
    complaint = system.submit(product="cake")
    system.until(complaint, stage="own")
    await until(lambda: grown(database, name, len(before)))


async def grown(connection, name, rows):
    return len(await connection.fetch(CONTENT[name])) > rows


@pytest.mark.parametrize("name", ["story", "queue"])
async def test_one_that_left_anything_out_is_not_changed_to(system, database, name):
    every = {"story": 5, "queue": 1}[name]
    kept = replace(KEPT[name], projection=Forgetful(KEPT[name].projection, every))
    before = await database.fetch(CONTENT[name])
    with pytest.raises(Differs, match="rows, and the live one"):
        await rebuild(system.stack.owner_dsn, name, kept)
    assert await database.fetch(CONTENT[name]) == before
    await rebuild(system.stack.owner_dsn, name, kept, reason="it is known")
    assert len(await database.fetch(CONTENT[name])) < len(before)
    said = "SELECT reason, actor FROM console.rebuilt WHERE projection = $1 ORDER BY at DESC LIMIT 1"
    assert tuple(await database.fetchrow(said, name)) == ("it is known", "person:anna")
    await rebuild(system.stack.owner_dsn, name, KEPT[name], reason="the true one")
    assert await database.fetch(CONTENT[name]) == before


async def test_one_that_saw_other_events_is_not_changed_to_whatever_is_said(system, database):
    await interrupted(system, "story")
    await database.execute(
        "UPDATE console_again_story.places SET position = live.position, hash = sha256(live.hash) FROM console.places live"
        " WHERE (live.service, live.shard) = (places.service, places.shard) AND live.position > 0"
    )
    with pytest.raises(Differs, match="the hashes differ at intake/0"):
        await rebuild(system.stack.owner_dsn, "story", KEPT["story"], reason="whatever")
    await rebuild(system.stack.owner_dsn, "story", KEPT["story"], anew=True)


async def test_a_page_that_was_passed_over_is_found(system, database):
    await interrupted(system, "story")
    await database.execute("UPDATE console_again_story.places SET position = position + 1 WHERE (service, shard) = ('resolution', 0)")
    with pytest.raises(Stopped, match="does not follow"):
        await rebuild(system.stack.owner_dsn, "story", KEPT["story"])


async def test_interrupted_it_goes_on(system, database, monkeypatch):
    monkeypatch.setattr("deploy.rebuild.projections.PAGE_ROWS", 3)
    before = await database.fetch(CONTENT["queue"])
    await interrupted(system, "queue", after=10)
    assert await database.fetch(CONTENT["queue"]) == before, "nobody sees half of it"
    done = await rebuild(system.stack.owner_dsn, "queue", KEPT["queue"])
    assert 0 < done.now < done.events
    assert await database.fetch(CONTENT["queue"]) == before


async def test_whoever_reads_sees_the_whole_at_every_moment(system, database, monkeypatch):
    monkeypatch.setattr("deploy.rebuild.projections.PAGE_ROWS", 5)
    expected = await database.fetchval("SELECT count(*) FROM console.complaints")
    seen = set()

    async def looks():
        async with owner(system) as connection:
            while True:
                seen.add(await connection.fetchval("SELECT count(*) FROM console.complaints"))
                await asyncio.sleep(0)

    looking = asyncio.create_task(looks())
    for _ in range(3):
        await rebuild(system.stack.owner_dsn, "queue", KEPT["queue"])
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    assert seen == {expected}


async def test_while_somebody_reads_the_live_one_without_end_it_is_left(system, database, monkeypatch):
    monkeypatch.setattr("deploy.rebuild.projections.LOCK_MS", 100)
    monkeypatch.setattr("deploy.rebuild.projections.TRIES", 2)
    async with owner(system) as reading, reading.transaction():
        await reading.fetchval("SELECT count(*) FROM console.complaints")
        with pytest.raises(Busy):
            await rebuild(system.stack.owner_dsn, "queue", KEPT["queue"])
    await rebuild(system.stack.owner_dsn, "queue", KEPT["queue"])


async def test_two_at_once_there_are_not(system, database, monkeypatch):
    """The first one lives on where its terminal was lost, and somebody runs it again."""
    before = await database.fetch(CONTENT["queue"])
    async with held_up(system, "queue", monkeypatch) as (first, goes_on):
        for anew in (False, True):
            with pytest.raises(Busy, match="another `makegood projection rebuild queue` is at work"):
                await rebuild(system.stack.owner_dsn, "queue", KEPT["queue"], anew=anew)
        await rebuild(system.stack.owner_dsn, "outcomes", KEPT["outcomes"])
        goes_on.set()
        assert (await first).rows_after == len(before)
    assert await database.fetch(CONTENT["queue"]) == before
    await rebuild(system.stack.owner_dsn, "queue", KEPT["queue"])


async def test_a_page_that_somebody_else_took_in_meanwhile_does_not_count_twice(system, database, monkeypatch):
    """Whatever became of the lock."""
    numbers = count()
    monkeypatch.setattr("deploy.rebuild.projections.lock", lambda _: next(numbers))
    before = await database.fetch(CONTENT["queue"])
    async with held_up(system, "queue", monkeypatch) as (first, goes_on):
        await interrupted(system, "queue")
        goes_on.set()
        with pytest.raises(Busy, match=r"somebody else wrote console_again_queue\.places: intake/0 stands at 0 no more"):
            await first
    assert await database.fetch(CONTENT["queue"]) == before
    await rebuild(system.stack.owner_dsn, "queue", KEPT["queue"], anew=True)
    assert await database.fetch(CONTENT["queue"]) == before


@pytest.mark.parametrize(
    "release",
    ["DELETE FROM console.migrations WHERE number > 1", "INSERT INTO console.migrations VALUES (9999, 'newer', '')"],
    ids=["older", "newer"],
)
async def test_tables_of_another_release_are_left_alone(system, database, release):
    """A later `makegood install` would bring ours up once more, or whoever runs would not find what it looks for."""
    before = await database.fetch("SELECT * FROM console.migrations")
    try:
        await database.execute(release)
        with pytest.raises(OtherRelease, match="`makegood install`"):
            await rebuild(system.stack.owner_dsn, "queue", KEPT["queue"])
    finally:
        await database.execute("TRUNCATE console.migrations")
        await database.copy_records_to_table("migrations", schema_name="console", records=before)
    assert await database.fetchval("SELECT to_regnamespace('console_again_queue')") is None


@asynccontextmanager
async def held_up(system, name, monkeypatch):
    """A run that has its first page in hand, and what lets it go on."""
    monkeypatch.setattr("deploy.rebuild.projections.PAGE_ROWS", 3)
    monkeypatch.setattr("deploy.rebuild.projections.NEARLY_ROWS", 0)
    read, has_it, goes_on = store.read_ledger, asyncio.Event(), asyncio.Event()

    async def reads(*place):
        rows = await read(*place)
        if not has_it.is_set():
            has_it.set()
            await goes_on.wait()
        return rows

    monkeypatch.setattr(store, "read_ledger", reads)
    running = asyncio.create_task(rebuild(system.stack.owner_dsn, name, KEPT[name]))
    try:
        await asyncio.wait_for(has_it.wait(), 20)
        yield running, goes_on
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await running


async def interrupted(system, name, after=0):
    """A run that ends when it has taken in more than so many events."""

    def dies(done, _):
        if done > after:
            raise InterruptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deploy.rebuild.projections.NEARLY_ROWS", 0)
        with pytest.raises(InterruptedError):
            await rebuild(system.stack.owner_dsn, name, KEPT[name], tell=dies)
