"""What each of the machine's statements does with the simulated tables: a statement that is not known here, word for word, does not run."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shared.contract.envelope import SERVICES
from shared.machine import store, waiting
from shared.machine.bytes import GENESIS
from shared.simulation.tables import CLUSTER, MESSAGES_COLUMNS, NO_SHARD, STATEMENTS, Effect, Place, Row, Transaction, does

__all__ = ["STATEMENTS", "copy"]

# ---- the head --------------------------------------------------------------------------------------------------------------


def _head_lock(shard: int, *_: Any) -> Place:
    return "head", shard


@does(f"SELECT {store.HEAD_COLUMNS}, clock_timestamp() AS clock FROM head WHERE shard = $1 FOR UPDATE", lock=_head_lock)
def _lock_head(tx: Transaction, clock: datetime, shard: int) -> list[Row]:
    return [{**row, "clock": clock} for row in (tx.get("head", shard, shard),) if row]


@does(f"SELECT {store.HEAD_COLUMNS} FROM head WHERE shard = $1")
def _read_head(tx: Transaction, _: datetime, shard: int) -> list[Row]:
    return [row for row in (tx.get("head", shard, shard),) if row]


@does(
    "UPDATE head SET epoch = epoch + 1, owner = $2,"
    " attempts = CASE WHEN owner = $2 THEN coalesce($4, attempts) ELSE attempts END,"
    " trying = CASE WHEN owner = $2 THEN coalesce($5, trying) ELSE trying END"
    f" WHERE shard = $1 AND (owner = $2 OR NOT $3) RETURNING {store.HEAD_COLUMNS}",
    lock=_head_lock, writes=True,
)  # fmt: skip
def _take_over(
    tx: Transaction, _: datetime, shard: int, owner: str, again: bool, attempts: int | None, trying: str | None
) -> list[Row]:  # fmt: skip
    row = tx.get("head", shard, shard)
    if row is None or not (row["owner"] == owner or not again):
        return []
    ours = row["owner"] == owner
    taken = {
        **row, "epoch": row["epoch"] + 1, "owner": owner,
        "attempts": attempts if ours and attempts is not None else row["attempts"],
        "trying": trying if ours and trying is not None else row["trying"],
    }  # fmt: skip
    tx.put("head", shard, shard, taken)
    return [taken]


@does("UPDATE head SET attempts = $3, trying = $4 WHERE shard = $1 AND epoch = $2", lock=_head_lock, writes=True)
def _mark_attempts(tx: Transaction, _: datetime, shard: int, epoch: int, attempts: int, trying: str) -> None:
    row = tx.get("head", shard, shard)
    if row is not None and row["epoch"] == epoch:
        tx.put("head", shard, shard, {**row, "attempts": attempts, "trying": trying})


@does(
    "UPDATE head SET entry = $2, journal_hash = $3, position = $4, hash = $5, now = $6, policy = $7, rules = $8, offsets = $9,"
    " incarnations = $10, seen = $11, attempts = $12, trying = '', sealed_at = $13 WHERE shard = $1",
    lock=_head_lock, writes=True,
)  # fmt: skip
def _write_head(tx: Transaction, _: datetime, shard: int, *values: Any) -> None:
    names = (
        "entry", "journal_hash", "position", "hash", "now", "policy", "rules", "offsets", "incarnations", "seen", "attempts", "sealed_at"
    )  # fmt: skip
    tx.put("head", shard, shard, {**(tx.get("head", shard, shard) or {}), **dict(zip(names, values, strict=True)), "trying": ""})


@does("SELECT make_room($1, $2, $3, clock_timestamp())")
def _make_room(_: Transaction, __: datetime, ___: int, ____: int, _____: int) -> list[Row]:
    return [{"make_room": ""}]


# ---- what a batch needs to know --------------------------------------------------------------------------------------------


@does(
    "SELECT message_id, body, entry, first_position, events, met_at FROM messages WHERE shard = $1 AND message_id = ANY($2) ORDER BY met_at"
)
def _read_messages(tx: Transaction, _: datetime, shard: int, ids: Sequence[str]) -> list[Row]:
    wanted = set(ids)
    return sorted((row for (name, _), row in tx.rows("messages", shard) if name in wanted), key=lambda row: row["met_at"])


@does(
    "SELECT kind, stream, version, parked, waiting, body FROM state"
    " WHERE shard = $1 AND (kind, stream) IN (SELECT * FROM unnest($2::text[], $3::uuid[]))"
)
def _read_streams(tx: Transaction, _: datetime, shard: int, kinds: Sequence[str], streams: Sequence[Any]) -> list[Row]:
    return [row for key in zip(kinds, streams, strict=True) if (row := tx.get("state", shard, key))]


@does(
    "SELECT kind, stream, timer, due_at, generation FROM timers WHERE shard = $1 AND due_at <= $2 ORDER BY due_at, stream, timer LIMIT $3"
)
def _read_due(tx: Transaction, _: datetime, shard: int, now: datetime, limit: int) -> list[Row]:
    due = [row for _, row in tx.rows("timers", shard) if row["due_at"] <= now]
    return sorted(due, key=lambda row: (row["due_at"], row["stream"], row["timer"]))[:limit]


@does("SELECT min(due_at) FROM timers WHERE shard = $1")
def _next_due(tx: Transaction, _: datetime, shard: int) -> list[Row]:
    return [{"min": min((row["due_at"] for _, row in tx.rows("timers", shard)), default=None)}]


@does(
    "SELECT digest, body FROM policy_versions UNION ALL SELECT DISTINCT policy, NULL::bytea FROM head"
    " WHERE policy <> '' AND NOT EXISTS (SELECT FROM policy_versions WHERE digest = head.policy) ORDER BY digest"
)
def _read_policies(tx: Transaction, _: datetime) -> list[Row]:
    found = {digest: row["body"] for digest, row in tx.rows("policy_versions", NO_SHARD)}
    for shard in range(tx.schema.shards):
        head = tx.get("head", shard, shard)
        if head and head["policy"]:
            found.setdefault(head["policy"], None)
    return [{"digest": digest, "body": found[digest]} for digest in sorted(found)]


# ---- what a batch writes ---------------------------------------------------------------------------------------------------


def copy(tx: Transaction, table: str, columns: Sequence[str] | None, records: Sequence[Sequence[Any]]) -> str:
    """COPY … FROM: rows that must not be there yet."""
    keys = {"journal": "entry", "ledger": "position"}
    for record in records:
        row = dict(zip(columns or MESSAGES_COLUMNS, record, strict=True))
        key = row[keys[table]] if table in keys else (row["message_id"], row["met_at"])
        tx.insert(table, row["shard"], key, row)
    return f"COPY {len(records)}"


@does("INSERT INTO policy_versions (digest, body) SELECT * FROM unnest($1::text[], $2::bytea[]) ON CONFLICT DO NOTHING", writes=True)
def _write_policies(tx: Transaction, _: datetime, digests: Sequence[str], bodies: Sequence[bytes]) -> None:
    for digest, body in zip(digests, bodies, strict=True):
        if tx.get("policy_versions", NO_SHARD, digest) is None:
            tx.put("policy_versions", NO_SHARD, digest, {"digest": digest, "body": body})


@does(
    "INSERT INTO state (shard, kind, stream, version, parked, waiting, body)"
    " SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::int[], $5::bigint[], $6::int[], $7::bytea[])"
    " ON CONFLICT (shard, kind, stream) DO UPDATE SET version = excluded.version, parked = excluded.parked,"
    " waiting = excluded.waiting, body = excluded.body",
    writes=True,
)
def _write_states(tx: Transaction, _: datetime, shard: int, *columns: Sequence[Any]) -> None:
    for values in zip(*columns, strict=True):
        row = dict(zip(("kind", "stream", "version", "parked", "waiting", "body"), values, strict=True))
        tx.put("state", shard, (row["kind"], row["stream"]), row)


@does(
    "DELETE FROM timers WHERE shard = $1 AND (kind, stream, timer) IN (SELECT * FROM unnest($2::text[], $3::uuid[], $4::text[]))",
    writes=True,
)
def _clear_timers(tx: Transaction, _: datetime, shard: int, *columns: Sequence[Any]) -> None:
    for key in zip(*columns, strict=True):
        tx.put("timers", shard, key, None)


@does(
    "INSERT INTO timers (shard, kind, stream, timer, due_at, generation)"
    " SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::int[])"
    " ON CONFLICT (shard, kind, stream, timer) DO UPDATE SET due_at = excluded.due_at, generation = excluded.generation",
    writes=True,
)
def _set_timers(tx: Transaction, _: datetime, shard: int, *columns: Sequence[Any]) -> None:
    for kind, stream, timer, due_at, generation in zip(*columns, strict=True):
        row = {"kind": kind, "stream": stream, "timer": timer, "due_at": due_at, "generation": generation}
        tx.put("timers", shard, (kind, stream, timer), row)


# ---- what is parked, or waits ----------------------------------------------------------------------------------------------


@does(f"SELECT {store._JOURNAL} FROM journal WHERE shard = $1 AND entry = $2")
def _read_entry(tx: Transaction, _: datetime, shard: int, entry: int) -> list[Row]:
    return [row for row in (tx.get("journal", shard, entry),) if row]


def again_of(tx: Transaction, shard: int, entry: int) -> list[Row]:
    """The rows that decide an input once more, in order."""
    found = [row for _, row in tx.rows("journal", shard) if row["refers"] == entry and row["topic"] == "" and row["refers"] > 0]
    return sorted(found, key=lambda row: row["entry"])


@does(
    f"SELECT {waiting._INPUT}, told.kind AS of_kind, told.stream AS of_stream, told.correlation, {waiting.WAITS} AS waits"
    " FROM journal AS input"
    " JOIN journal AS newest ON newest.shard = input.shard"
    f" AND newest.entry = coalesce((SELECT max(again.entry) {waiting.AGAIN_OF}), input.entry)"
    " JOIN ledger AS told ON told.shard = newest.shard AND told.position = newest.first_position"
    f" WHERE input.shard = $1 AND input.entry = ANY($2) AND {waiting.IS_HELD} ORDER BY input.entry"
)
def _held(tx: Transaction, _: datetime, shard: int, entries: Sequence[int]) -> list[Row]:
    found: list[Row] = []
    for entry in sorted(set(entries)):
        row = tx.get("journal", shard, entry)
        if row is None or row["outcome"] not in {"parked", "waiting"} or (row["topic"] == "" and row["refers"] > 0):
            continue
        again = again_of(tx, shard, entry)
        if any(one["outcome"] != "parked" for one in again):
            continue
        told = tx.get("ledger", shard, (again[-1] if again else row)["first_position"])
        if told is not None:
            waits = row["outcome"] == "waiting" and not again
            whose = {"of_kind": told["kind"], "of_stream": told["stream"], "correlation": told["correlation"], "waits": waits}
            found.append({**row, **whose})
    return found


@does(
    "WITH still AS (SELECT entry, coalesce(length(body), 0) AS size FROM journal WHERE shard = $1 AND stream = $2 AND kind = $3"
    " AND outcome = 'waiting' ORDER BY entry DESC LIMIT $4),"
    " next AS (SELECT entry, sum(size) OVER (ORDER BY entry) - size AS before FROM still ORDER BY entry LIMIT $5)"
    " SELECT entry FROM next WHERE before <= $6 ORDER BY entry"
)
def _next(tx: Transaction, _: datetime, shard: int, stream: Any, kind: str, still: int, most: int, most_bytes: int) -> list[Row]:
    waiting_rows = [
        (row["entry"], len(row["body"] or b"")) for _, row in tx.rows("journal", shard)
        if row["stream"] == stream and row["kind"] == kind and row["outcome"] == "waiting"
    ]  # fmt: skip
    found: list[Row] = []
    before = 0
    for entry, size in sorted(sorted(waiting_rows, reverse=True)[:still])[:most]:
        if before <= most_bytes:
            found.append({"entry": entry})
        before += size
    return found


# ---- the ledger, and the relay's place in it -------------------------------------------------------------------------------

_LEDGER = ", ".join(store.LEDGER_COLUMNS)


@does(f"SELECT {_LEDGER} FROM ledger WHERE shard = $1 AND position >= $2 ORDER BY position LIMIT $3")
def _read_ledger(tx: Transaction, _: datetime, shard: int, after: int, limit: int) -> list[Row]:
    found: list[Row] = []
    at = max(after, 1)  # positions have no gaps
    while len(found) < limit and (row := tx.get("ledger", shard, at)):
        found.append(row)
        at += 1
    return found


@does(
    f"SELECT found.* FROM unnest($1::int[], $2::bigint[]) AS place(shard, position),"
    f" LATERAL (SELECT {_LEDGER} FROM ledger WHERE shard = place.shard AND position = place.position OFFSET 0) AS found"
)
def _read_rows(tx: Transaction, _: datetime, shards: Sequence[int], positions: Sequence[int]) -> list[Row]:
    return [row for shard, position in zip(shards, positions, strict=True) if (row := tx.get("ledger", shard, position))]


@does("SELECT hash FROM ledger WHERE shard = $1 AND position = $2")
def _read_hash(tx: Transaction, _: datetime, shard: int, position: int) -> list[Row]:
    return [{"hash": row["hash"]} for row in (tx.get("ledger", shard, position),) if row]


@does("SELECT coalesce(max(position), 0) FROM relayed WHERE shard = $1")
def _read_relayed(tx: Transaction, _: datetime, shard: int) -> list[Row]:
    return [{"max": max((position for position, _ in tx.rows("relayed", shard)), default=0)}]


@does(
    "INSERT INTO relayed (shard, position, at) SELECT $1, * FROM unnest($3::bigint[], $4::timestamptz[])"
    " WHERE EXISTS (SELECT FROM head WHERE shard = $1 AND epoch = $2) ON CONFLICT DO NOTHING",
    writes=True,
)
def _note_relayed(
    tx: Transaction, _: datetime, shard: int, epoch: int, positions: Sequence[int], times: Sequence[datetime]
) -> None:  # fmt: skip
    head = tx.get("head", shard, shard)
    if head is None or head["epoch"] != epoch:
        return
    for position, at in zip(positions, times, strict=True):
        if tx.get("relayed", shard, position) is None:
            tx.put("relayed", shard, position, {"at": at})


@does("SELECT generation, tenant, shards, cluster_id, rebuilding FROM public.installation")
def _installation(tx: Transaction, _: datetime) -> list[Row]:
    there = {"generation": tx.schema.generation, "tenant": "default", "shards": tx.schema.shards}
    return [{**there, "cluster_id": CLUSTER, "rebuilding": False}]


# ---- a read side's places --------------------------------------------------------------------------------------------------


@does("INSERT INTO places (service, shard) SELECT service, $2 FROM unnest($1::text[]) AS service ON CONFLICT DO NOTHING", writes=True)
def _begin_places(tx: Transaction, _: datetime, services: Sequence[str], shard: int) -> None:
    for service in services:
        if tx.get("places", shard, service) is None:
            fresh = {"service": service, "position": 0, "hash": GENESIS, "next_offset": 0, "incarnation": ""}
            tx.put("places", shard, service, fresh)


def _places(*columns: str) -> Effect:
    def read(tx: Transaction, _: datetime, shard: int) -> list[Row]:
        rows = (tx.get("places", shard, service) for service in sorted(SERVICES))
        return [{column: row[column] for column in columns} for row in rows if row]

    return read


does("SELECT service, next_offset, incarnation FROM places WHERE shard = $1")(_places("service", "next_offset", "incarnation"))
does("SELECT service, position, hash FROM places WHERE shard = $1 ORDER BY service FOR UPDATE", lock=lambda shard: ("places", shard))(
    _places("service", "position", "hash")
)


@does(
    "UPDATE places SET position = $3, hash = $4, next_offset = $5, incarnation = $6, at = clock_timestamp()"
    " WHERE shard = $1 AND service = $2",
    lock=lambda shard, *_: ("places", shard), writes=True,
)  # fmt: skip
def _write_place(
    tx: Transaction, _: datetime, shard: int, service: str, position: int, digest: bytes, next_offset: int, incarnation: str
) -> None:  # fmt: skip
    told = {"service": service, "position": position, "hash": digest, "next_offset": next_offset, "incarnation": incarnation}
    tx.put("places", shard, service, told)
