"""One of the console's projections, made again from the ledgers beside the live one, which it takes the place of in one transaction.

It is made in a schema of its own, page by page, its places written with what is made of the events: interrupted, it goes on from there.
One run at a time: two would both take the same page in, and what counts would count twice, under places that say nothing of it.
It goes as far as the live one and no further, since both share what comes next. Whoever reads sees the old one whole, or the new one.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import asyncpg

from deploy.database import connected, installation, use
from deploy.install import CONSOLE
from deploy.local.supervisor import release
from deploy.migrate import found, migrate
from deploy.roles import role
from services.console.projections.kept import Kept
from shared.contract.envelope import SERVICES
from shared.machine import store
from shared.machine.chain import taken_in
from shared.machine.head import Seen
from shared.machine.projecting import Heard

PAGE_ROWS = 2_000
"""Events taken in at a time, in one transaction."""
NEARLY_ROWS = 2_000
"""So few events behind the live one, it may wait for the rest."""
LOCK_MS = 2_000
"""So long may whoever reads the live one keep us from changing places; then it is tried again."""
TRIES = 10
"""So often is it tried to change places."""

Place = tuple[str, int]
"""A service and one of its shards."""


class Differs(RuntimeError):
    """It is not what the live one is. Nothing was changed, and what was made stays. The message says what differs and what to do."""


class Busy(RuntimeError):
    """Somebody is in the way: another run, or whoever reads the live one all the time. What was made stays."""


class OtherRelease(RuntimeError):
    """The installation's tables are not those of this release: one of ours in their midst would be unknown to whoever runs."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was done."""

    projection: str
    events: int
    """Taken in, all in all."""
    now: int
    """Of these, by this run: others by runs that were interrupted."""
    rows_before: int
    rows_after: int
    reason: str
    actor: str


async def rebuild(
    owner_dsn: str,
    name: str,
    kept: Kept,
    *,
    anew: bool = False,
    reason: str = "",
    actor: str,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Rebuilt:
    """Makes a projection again, and lets it take the live one's place.

    Args:
        owner_dsn: PostgreSQL, as the installation's owner.
        name: The projection's.
        kept: What it is.
        anew: Whether what an interrupted run left is thrown away.
        reason: Why it may have more or fewer rows than the live one; empty: it may not.
        actor: Who answers for it, a person.
        tell: Hears how many events were taken in, and of how many.

    Raises:
        Differs: it saw other events than the live one, or has more or fewer rows and no reason for it was given.
        Busy: another run is at work, or it is caught up but could not take the other's place.
        OtherRelease: the installation was not brought up to this release, or to a newer one.
        Stopped: a ledger has a gap, or is not what was written.
        NotInstalled, OSError, asyncpg.PostgresError: what was made stays.
    """
    schema = f"console_again_{name}"
    async with connected(owner_dsn) as reader, connected(owner_dsn, schema) as writer:
        there = await installation(reader)
        if not await writer.fetchval("SELECT pg_try_advisory_lock($1)", lock(name)):  # until the session that writes ends
            raise Busy(_ANOTHER.format(name=name))
        if [tuple(row) for row in await reader.fetch(_MIGRATIONS)] != [(one.number, one.checksum) for one in found(CONSOLE)]:
            raise OtherRelease(_OTHER_TABLES)
        await _prepared(writer, schema, there.shards, anew=anew)
        making = _Making(reader, writer, schema, kept)
        while True:
            live = await making.live()
            behind = await making.behind(live)
            of = sum(place.position for place in live.values())
            tell(of - behind, of)
            if behind <= NEARLY_ROWS:
                break
            await making.catch_up(live, partial(_further, tell, of - behind, of))
        before, after = await making.change_places(name, reason, actor)
        return Rebuilt(name, of, making.taken, before, after, reason, actor)


def lock(name: str) -> int:
    """What whoever makes a projection again holds."""
    return int.from_bytes(hashlib.sha256(f"makegood projection {name}".encode()).digest()[:8], signed=True)


async def _prepared(writer: asyncpg.Connection, schema: str, shards: int, *, anew: bool) -> None:
    """The schema, empty or as an earlier run of this release left it."""
    left = await writer.fetchval("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1", schema)
    if anew or left != release():
        await writer.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await writer.execute(f"CREATE SCHEMA {schema}")
    await migrate(writer, CONSOLE, schema, role("console"), shards)
    await writer.execute(
        "INSERT INTO places (service, shard) SELECT service, shard FROM unnest($1::text[]) AS service, generate_series(0, $2 - 1) AS shard"
        " ON CONFLICT DO NOTHING",
        list(SERVICES), shards,
    )  # fmt: skip
    said = await writer.fetchval("SELECT quote_literal($1::text)", release())
    await writer.execute(f"COMMENT ON SCHEMA {schema} IS {said}")


class _Making:
    """One projection in the making."""

    def __init__(self, reader: asyncpg.Connection, writer: asyncpg.Connection, schema: str, kept: Kept) -> None:
        """`reader` reads ledgers; `writer` writes, in the new schema."""
        self._reader, self._writer, self._schema, self._kept = reader, writer, schema, kept
        self.taken = 0
        """Events."""

    async def live(self, lock: str = "") -> Mapping[Place, Seen]:
        """How far the live one is."""
        rows = await self._writer.fetch(f"SELECT service, shard, position, hash FROM console.places ORDER BY shard, service {lock}")  # noqa: S608
        return {(row["service"], row["shard"]): Seen(row["position"], row["hash"]) for row in rows}

    async def _ours(self) -> Mapping[Place, Seen]:
        rows = await self._writer.fetch("SELECT service, shard, position, hash FROM places")
        return {(row["service"], row["shard"]): Seen(row["position"], row["hash"]) for row in rows}

    async def behind(self, live: Mapping[Place, Seen]) -> int:
        """How many events the live one has taken in that this one has not."""
        ours = await self._ours()
        return sum(max(0, seen.position - ours[place].position) for place, seen in live.items())

    async def catch_up(self, live: Mapping[Place, Seen], tell: Callable[[int], None] = lambda _: None) -> None:
        """Takes in what the live one has, a page a transaction."""
        began = self.taken
        for place, upto in live.items():
            seen = (await self._ours())[place]
            while seen.position < upto.position:
                seen = await self._page(place, seen, upto.position)
                tell(self.taken - began)

    async def _page(self, place: Place, seen: Seen, upto: int) -> Seen:
        service, shard = place
        before = seen.position
        await use(self._reader, service)
        rows = await store.read_ledger(self._reader, shard, seen.position, min(PAGE_ROWS, upto - seen.position))
        heard = []
        for row in rows:
            new = taken_in(row, seen, service, f"{service}'s ledger, shard {shard}")
            assert new is not None, "it is the next one"
            seen = new
            heard.append(Heard(service, row))
        if not heard:
            raise Differs(f"{service}'s ledger, shard {shard}, ends at {seen.position}, but the console has seen {upto}: `makegood verify`")
        async with self._writer.transaction():
            moved = await self._writer.execute(
                "UPDATE places SET position = $3, hash = $4 WHERE (service, shard, position) = ($1, $2, $5)",
                service, shard, seen.position, seen.hash, before,
            )  # fmt: skip
            if moved != "UPDATE 1":
                raise Busy(_MOVED.format(schema=self._schema, where=_in_words([place]), before=before))
            await self._kept.projection.project(self._writer, heard)
        self.taken += len(heard)
        return seen

    async def change_places(self, name: str, reason: str, actor: str) -> tuple[int, int]:
        """Takes the live one's place. How many rows that had, and how many are there now."""
        taken = self.taken
        for _ in range(TRIES):
            self.taken = taken
            try:
                async with self._writer.transaction():
                    await self._writer.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
                    return await self._changed_places(name, reason, actor)
            except asyncpg.LockNotAvailableError:
                await asyncio.sleep(LOCK_MS / 1000)
        raise Busy("it is caught up, but somebody reads the live one all the time: run it again, it goes on from here")

    async def _changed_places(self, name: str, reason: str, actor: str) -> tuple[int, int]:
        """Nobody projects meanwhile: whoever does holds a lock on the places of its shard."""
        live = await self.live("FOR UPDATE")
        await self.catch_up(live)
        ours, table = await self._ours(), self._kept.table
        if apart := [place for place, seen in live.items() if ours[place] != seen]:
            raise Differs(_OTHER_EVENTS.format(where=_in_words(apart)))
        before = await self._writer.fetchval(f"SELECT count(*) FROM console.{table}")  # noqa: S608
        after = await self._writer.fetchval(f"SELECT count(*) FROM {self._schema}.{table}")  # noqa: S608
        if before != after and not reason:
            raise Differs(_OTHER_ROWS.format(before=before, after=after))
        await self._writer.execute(f"DROP TABLE console.{table}")
        await self._writer.execute(f"ALTER TABLE {self._schema}.{table} SET SCHEMA console")
        await self._writer.execute(
            "INSERT INTO console.rebuilt (projection, release, events, rows_before, rows_after, reason, actor)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            name, release(), sum(seen.position for seen in live.values()), before, after, reason, actor,
        )  # fmt: skip
        await self._writer.execute(f"DROP SCHEMA {self._schema} CASCADE")
        return before, after


def _further(tell: Callable[[int, int], None], before: int, of: int, done: int) -> None:
    tell(before + done, of)


def _in_words(places: Sequence[Place]) -> str:
    return ", ".join(f"{service}/{shard}" for service, shard in sorted(places))


_MIGRATIONS = "SELECT number, checksum FROM console.migrations ORDER BY number"
_OTHER_TABLES = (
    "the console's tables are another release's: bring them up to this one first (`makegood install`), or make it again with the release "
    "that is installed"
)
_ANOTHER = (
    "another `makegood projection rebuild {name}` is at work, perhaps from a terminal that was lost: wait for it, or end that process and "
    "run it again, it goes on from there"
)
_MOVED = "somebody else wrote {schema}.places: {where} stands at {before:,} no more. Nothing of this page was kept: run it with --anew"
_OTHER_EVENTS = (
    "it has not seen the same events as the live one: the hashes differ at {where}. It can't take its place. `makegood verify` tells which "
    "of the two is right; with --anew it is made from the first event again"
)
_OTHER_ROWS = (
    "it has {after:,} rows, and the live one {before:,}, of the same events. Where this release is meant to make others of them, or the "
    "live one is known to be wrong, say so: --anyway REASON"
)
