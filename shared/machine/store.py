"""The machine's tables, as functions: the one place with SQL that writes. All of one transaction is about one shard."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import structlog

from shared.contract.machine import TimerDue
from shared.machine.answering import Answered
from shared.machine.bytes import GENESIS, JournalRow, LedgerRow
from shared.machine.deciding import Batch
from shared.machine.head import Fenced, Head, Stopped
from shared.machine.held import Key
from shared.machine.mind import Mind, Timer
from shared.machine.patience import patiently
from shared.machine.rows import Live
from shared.machine.stored import head_of, journal_row, ledger_row, policy_of
from shared.machine.told import SHARD
from shared.policy.model import Policy

LOCK_PATIENCE_SECONDS = 0.5
"""After so long whoever holds a head that is taken over is ended: it is fenced already."""
DUE_MAX = 500
"""Most timers of one batch."""
SILENCE_SECONDS = 2.0
"""A session that says nothing for so long in a transaction is ended by the server, so that it keeps no head locked."""
STATEMENT_SECONDS = 30.0
"""The longest that a statement may take before the server ends it."""
COMMAND_SECONDS = 60.0
"""The longest that PostgreSQL is waited for, should it not even do that."""
SESSION = {
    "idle_in_transaction_session_timeout": f"{SILENCE_SECONDS * 1000:.0f}", "statement_timeout": f"{STATEMENT_SECONDS * 1000:.0f}",
    "timezone": "UTC",
}  # fmt: skip

log = structlog.get_logger()

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

HEAD_COLUMNS = (
    "shard, epoch, entry, journal_hash, position, hash, now, policy, rules, offsets, incarnations, seen, attempts, trying, sealed_at"
)
JOURNAL_COLUMNS = (
    "shard", "entry", "topic", "partition", "offset", "until", "message_id", "type", "kind", "stream", "key", "headers", "body", "sent_ms",
    "now", "policy", "rules", "outcome", "reason", "refers", "first_position", "events", "received_at", "hash",
)  # fmt: skip
LEDGER_COLUMNS = (
    "shard", "position", "stream", "kind", "version", "type", "body", "entry", "now", "actor", "message_id", "correlation", "target",
    "origin_id", "cause_hash", "hash",
)  # fmt: skip
_JOURNAL = ", ".join(f'"{column}"' for column in JOURNAL_COLUMNS)
_LEDGER = ", ".join(LEDGER_COLUMNS)
STREAMED_ROWS = 2_000
"""Rows read at a time where a whole ledger or journal is read."""


@dataclass(frozen=True, slots=True)
class Due:
    """A timer whose time has come."""

    key: Key
    timer: TimerDue

    @property
    def place(self) -> str:
        """What an attempt at it is marked with."""
        kind, stream = self.key
        return f"timer/{kind}/{stream}/{self.timer.timer}/{self.timer.generation}"


@dataclass(frozen=True, slots=True)
class Taking:
    """Who takes a shard over."""

    shard: int
    owner: str
    """One worker's own name."""
    again: bool
    """Whether it had the shard already: then it takes it only from itself. Somebody else who has it meanwhile has it rightly."""
    rules: int
    """The newest rules that it knows."""
    unsettled: tuple[int, str] | None = None
    """The attempts, and the input being tried, as they were before an attempt of ours that was no death."""


@dataclass(slots=True)
class TimerChanges:
    """What a batch changes of the timers that are stored."""

    set: dict[tuple[Key, str], Timer]
    cleared: list[tuple[Key, str]]


@patiently
async def connect(dsn: str, service: str, connections: int) -> asyncpg.Pool:
    """A service's pool. Waits for PostgreSQL as long as it takes."""
    return await asyncpg.create_pool(
        dsn, min_size=1, max_size=connections, command_timeout=COMMAND_SECONDS, reset=_as_it_is,
        server_settings={**SESSION, "application_name": f"makegood {service}", "search_path": service})  # fmt: skip


async def _as_it_is(_: object) -> None:
    """No session is ever changed, so none is reset when it goes back to the pool: that would be one more round trip a batch."""


# ---- the head --------------------------------------------------------------------------------------------------------------


async def lock_head(connection: Connection, shard: int, epoch: int) -> tuple[Head, datetime]:
    """The head, locked until the transaction ends, and the database's clock. Raises Fenced where it is another epoch."""
    row: Any = await connection.fetchrow(f"SELECT {HEAD_COLUMNS}, clock_timestamp() AS clock FROM head WHERE shard = $1 FOR UPDATE", shard)
    head = head_of(row, shard)
    if head.epoch != epoch:
        raise Fenced
    return head, row["clock"]


async def read_head(connection: Connection, shard: int) -> Head:
    """The head as it is, without a lock. Raises Damaged."""
    return head_of(await connection.fetchrow(f"SELECT {HEAD_COLUMNS} FROM head WHERE shard = $1", shard), shard)


async def take_over(pool: asyncpg.Pool, spare: asyncpg.Pool, taking: Taking) -> Head:
    """Raises the epoch: whoever had the shard before can't write any more.

    A holder that does not let go of the head in half a second is frozen, or is about to find itself fenced: its session is ended, over a
    connection of the `spare` pool, since all of `pool` may be waiting just so.

    Raises:
        Fenced: somebody else has it by now, and this is not the first time that we take it.
        Damaged: there is no head, or it can't be read.
        Stopped: it is decided by newer rules than this process knows: it is not taken.
    """
    async with pool.acquire() as connection, connection.transaction():
        attempts, trying = taking.unsettled or (None, None)
        updating = asyncio.ensure_future(
            connection.fetchrow(
                "UPDATE head SET epoch = epoch + 1, owner = $2,"
                " attempts = CASE WHEN owner = $2 THEN coalesce($4, attempts) ELSE attempts END,"
                " trying = CASE WHEN owner = $2 THEN coalesce($5, trying) ELSE trying END"
                f" WHERE shard = $1 AND (owner = $2 OR NOT $3) RETURNING {HEAD_COLUMNS}",
                taking.shard, taking.owner, taking.again, attempts, trying,
            )
        )  # fmt: skip
        try:
            done, _ = await asyncio.wait({updating}, timeout=LOCK_PATIENCE_SECONDS)
            if not done:
                await _end_holders(spare, connection.get_server_pid())
            row = await updating
        finally:
            updating.cancel()
        if row is None and taking.again:
            raise Fenced
        head = head_of(row, taking.shard)
        if head.rules > taking.rules:
            raise Stopped("rules", _NEWER_RULES.format(shard=head.shard, newer=head.rules, known=taking.rules))
        return head


async def _end_holders(spare: asyncpg.Pool, waiting: int) -> None:
    async with spare.acquire() as connection:
        await connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(pg_blocking_pids($1)) AS pid", waiting)


async def make_room(connection: Connection, head: Head) -> None:
    """Makes sure that the next rows have a table to go to, and lets go of old ones. Raises asyncpg.LockNotAvailableError."""
    await connection.execute("SELECT make_room($1, $2, $3, clock_timestamp())", head.shard, head.entry, head.position)


async def mark_attempts(connection: Connection, shard: int, epoch: int, attempts: int, trying: str) -> None:
    """Says how many attempts there were with the one that comes now.

    Args:
        connection: The service's.
        shard: Which one.
        epoch: Whose attempt it is.
        attempts: How often the shard was taken over without coming as far as Kafka went then.
        trying: The input that is tried alone and how often by now; empty for a whole batch.
    """
    await connection.execute("UPDATE head SET attempts = $3, trying = $4 WHERE shard = $1 AND epoch = $2", shard, epoch, attempts, trying)


# ---- what a batch needs to know --------------------------------------------------------------------------------------------


async def read_messages(connection: Connection, shard: int, ids: Sequence[str]) -> dict[str, Answered]:
    """Which of these messages were answered before, and how the last time: one that was forgotten may have been answered again."""
    rows = await connection.fetch(
        "SELECT message_id, body, entry, first_position, events, met_at FROM messages"
        " WHERE shard = $1 AND message_id = ANY($2) ORDER BY met_at",
        shard, ids,
    )  # fmt: skip
    return {row["message_id"]: Answered(row["body"], row["entry"], row["first_position"], row["events"], row["met_at"]) for row in rows}


async def read_entry(connection: Connection, shard: int, entry: int) -> JournalRow | None:
    """A row of the journal, where there is one."""
    row = await connection.fetchrow(f"SELECT {_JOURNAL} FROM journal WHERE shard = $1 AND entry = $2", shard, entry)
    return journal_row(row) if row else None


async def read_streams(connection: Connection, mind: Mind, shard: int, keys: Sequence[Key]) -> dict[Key, Live]:
    """Those of these streams that there are."""
    kinds, streams = [kind for kind, _ in keys], [stream for _, stream in keys]
    rows = await connection.fetch(
        "SELECT kind, stream, version, parked, waiting, body FROM state"
        " WHERE shard = $1 AND (kind, stream) IN (SELECT * FROM unnest($2::text[], $3::uuid[]))",
        shard, kinds, streams,
    )  # fmt: skip
    return {(row["kind"], row["stream"]): live_of(mind, row) for row in rows}


def live_of(mind: Mind, row: Any) -> Live:
    """A row of `state` as the stream it keeps."""
    kind, body = row["kind"], row["body"]
    state = None if kind == SHARD else mind.streams[kind].state_type.validate_json(body)
    return Live(kind, row["stream"], state, row["version"], row["parked"], row["waiting"])


def state_bytes(mind: Mind, live: Live) -> bytes:
    """A stream's state as it is stored."""
    return b"" if live.kind == SHARD else mind.streams[live.kind].state_type.dump_json(live.state)


async def read_due(connection: Connection, shard: int, now: datetime, limit: int = DUE_MAX) -> list[Due]:
    """The timers whose time has come, the first due first."""
    rows = await connection.fetch(
        "SELECT kind, stream, timer, due_at, generation FROM timers"
        " WHERE shard = $1 AND due_at <= $2 ORDER BY due_at, stream, timer LIMIT $3",
        shard, now, limit,
    )  # fmt: skip
    return [
        Due((row["kind"], row["stream"]), TimerDue(timer=row["timer"], due_at=row["due_at"], generation=row["generation"])) for row in rows
    ]


async def read_next_due(connection: Connection, shard: int) -> datetime | None:
    """When the next timer is due."""
    found: datetime | None = await connection.fetchval("SELECT min(due_at) FROM timers WHERE shard = $1", shard)
    return found


async def read_policies(connection: Connection) -> dict[str, Policy]:
    """All policies that were ever in force, by digest. Raises Damaged where one was changed, or one that is in force is gone."""
    rows = await connection.fetch(
        "SELECT digest, body FROM policy_versions UNION ALL SELECT DISTINCT policy, NULL::bytea FROM head"
        " WHERE policy <> '' AND NOT EXISTS (SELECT FROM policy_versions WHERE digest = head.policy) ORDER BY digest"
    )
    return {row["digest"]: policy_of(row["digest"], row["body"]) for row in rows}


# ---- what a batch writes ---------------------------------------------------------------------------------------------------


async def write(connection: Connection, batch: Batch, timers: TimerChanges) -> None:
    """All of a batch, in the transaction that holds the head's lock."""
    head, rows = batch.head, batch.rows
    if rows.journal:
        await connection.copy_records_to_table("journal", records=map(_journal_record, rows.journal), columns=JOURNAL_COLUMNS)
    if rows.ledger:
        await connection.copy_records_to_table("ledger", records=map(_ledger_record, rows.ledger), columns=LEDGER_COLUMNS)
    if batch.met:
        met = [(head.shard, name, one.body, one.entry, one.first_position, one.events, one.met_at) for name, one in batch.met.items()]
        await connection.copy_records_to_table("messages", records=met)
    if batch.adopted:
        await connection.execute(
            "INSERT INTO policy_versions (digest, body) SELECT * FROM unnest($1::text[], $2::bytea[]) ON CONFLICT DO NOTHING",
            list(batch.adopted), list(batch.adopted.values()),
        )  # fmt: skip
    if begun := [live for live in batch.touched.values() if live.version]:  # a fact may concern a stream that there is not
        await _write_states(connection, head.shard, batch.mind, begun)
    await _write_timers(connection, head.shard, timers)
    seen = {name: (one.position, one.hash.hex()) for name, one in head.seen.items()}
    await connection.execute(
        "UPDATE head SET entry = $2, journal_hash = $3, position = $4, hash = $5, now = $6, policy = $7, rules = $8, offsets = $9,"
        " incarnations = $10, seen = $11, attempts = $12, trying = '', sealed_at = $13 WHERE shard = $1",
        head.shard, head.entry, head.journal_hash, head.position, head.hash, head.now, head.policy, head.rules, _json(head.offsets),
        _json(head.incarnations), _json(seen), head.attempts, head.sealed_at,
    )  # fmt: skip


async def _write_states(connection: Connection, shard: int, mind: Mind, lives: Iterable[Live]) -> None:
    kinds, streams, versions, parked, waiting, bodies = zip(
        *((live.kind, live.stream, live.version, live.parked, live.waiting, state_bytes(mind, live)) for live in lives), strict=True
    )
    await connection.execute(
        "INSERT INTO state (shard, kind, stream, version, parked, waiting, body)"
        " SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::int[], $5::bigint[], $6::int[], $7::bytea[])"
        " ON CONFLICT (shard, kind, stream) DO UPDATE SET version = excluded.version, parked = excluded.parked,"
        " waiting = excluded.waiting, body = excluded.body",
        shard, kinds, streams, versions, parked, waiting, bodies,
    )  # fmt: skip


async def _write_timers(connection: Connection, shard: int, changes: TimerChanges) -> None:
    if changes.cleared:
        kinds, streams, names = zip(*((kind, stream, name) for (kind, stream), name in changes.cleared), strict=True)
        await connection.execute(
            "DELETE FROM timers WHERE shard = $1 AND (kind, stream, timer) IN (SELECT * FROM unnest($2::text[], $3::uuid[], $4::text[]))",
            shard, kinds, streams, names,
        )  # fmt: skip
    if changes.set:
        kinds, streams, names, due, generations = zip(
            *((kind, stream, name, timer.due_at, timer.generation) for ((kind, stream), name), timer in changes.set.items()), strict=True
        )
        await connection.execute(
            "INSERT INTO timers (shard, kind, stream, timer, due_at, generation)"
            " SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::int[])"
            " ON CONFLICT (shard, kind, stream, timer) DO UPDATE SET due_at = excluded.due_at, generation = excluded.generation",
            shard, kinds, streams, names, due, generations,
        )  # fmt: skip


def _journal_record(row: JournalRow) -> tuple[Any, ...]:
    return (
        row.shard, row.entry, row.topic, row.partition, row.offset, row.until, row.message_id, row.type, row.kind, row.stream, row.key,
        row.headers, row.body, row.sent_ms, row.now, row.policy, row.rules, row.outcome, row.reason, row.refers, row.first_position,
        row.events, row.received_at, row.hash,
    )  # fmt: skip


def _ledger_record(row: LedgerRow) -> tuple[Any, ...]:
    return (
        row.shard, row.position, row.stream, row.kind, row.version, row.type, row.body, row.entry, row.now, row.actor, row.message_id,
        row.correlation, row.target, row.origin_id, row.cause_hash, row.hash,
    )  # fmt: skip


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


# ---- reading the ledger and the journal ------------------------------------------------------------------------------------


async def read_ledger(connection: Connection, shard: int, after: int, limit: int) -> list[LedgerRow]:
    """The ledger's rows after a position, in order, each with the hash before it."""
    rows = await connection.fetch(
        f"SELECT {_LEDGER} FROM ledger WHERE shard = $1 AND position >= $2 ORDER BY position LIMIT $3", shard, after, limit + 1
    )
    found = [ledger_row(row) for row in rows]
    previous = GENESIS
    if after > 0 and found:
        previous = found.pop(0).hash
    for one in found[:limit]:
        one.previous, previous = previous, one.hash
    return found[:limit]


async def read_rows(connection: Connection, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], LedgerRow]:
    """These ledger rows, of any shards, by shard and position."""
    rows = await connection.fetch(
        f"SELECT found.* FROM unnest($1::int[], $2::bigint[]) AS place(shard, position),"
        f" LATERAL (SELECT {_LEDGER} FROM ledger WHERE shard = place.shard AND position = place.position OFFSET 0) AS found",
        [shard for shard, _ in places], [position for _, position in places],
    )  # fmt: skip
    return {(row["shard"], row["position"]): ledger_row(row) for row in rows}


async def stream_ledger(connection: Connection, shard: int) -> AsyncIterator[LedgerRow]:
    """The whole ledger of a shard, in order, a few rows at a time. In a transaction."""
    query = f"SELECT {_LEDGER} FROM ledger WHERE shard = $1 ORDER BY position"
    async for row in connection.cursor(query, shard, prefetch=STREAMED_ROWS):
        yield ledger_row(row)


async def stream_journal(connection: Connection, shard: int) -> AsyncIterator[JournalRow]:
    """The whole journal of a shard, in order, a few rows at a time. In a transaction."""
    query = f"SELECT {_JOURNAL} FROM journal WHERE shard = $1 ORDER BY entry"
    async for row in connection.cursor(query, shard, prefetch=STREAMED_ROWS):
        yield journal_row(row)


# ---- the relay's place -----------------------------------------------------------------------------------------------------


async def read_relayed(connection: Connection, shard: int) -> int:
    """Up to which position every row was acknowledged."""
    return int(await connection.fetchval("SELECT coalesce(max(position), 0) FROM relayed WHERE shard = $1", shard))


async def note_relayed(connection: Connection, shard: int, epoch: int, places: Sequence[tuple[int, datetime]]) -> None:
    """Notes how far the relay got and when, unless somebody else has the shard by now."""
    positions, times = [position for position, _ in places], [at for _, at in places]
    await connection.execute(
        "INSERT INTO relayed (shard, position, at) SELECT $1, * FROM unnest($3::bigint[], $4::timestamptz[])"
        " WHERE EXISTS (SELECT FROM head WHERE shard = $1 AND epoch = $2) ON CONFLICT DO NOTHING",
        shard, epoch, positions, times,
    )  # fmt: skip


_NEWER_RULES = (
    "Shard {shard} is decided by rules {newer}, and this release knows them up to {known}: a newer one decided here. It is left alone; run "
    "the newer release again."
)
