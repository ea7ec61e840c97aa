"""An installation whose ledger has many rows already, made by SQL: what they say does not matter, how many there are does."""

from uuid import UUID

import asyncpg

from shared.contract.envelope import shard_of
from shared.machine.store import JOURNAL_COLUMNS, LEDGER_COLUMNS
from tests.benchmarks import load
from tests.servers import Installation

ROWS_PER_STREAM = 5

_STREAM = f"coalesce(($3)[1 + n / {ROWS_PER_STREAM}], md5($1 || '/' || n / {ROWS_PER_STREAM})::uuid)"
_JOURNAL = f"""
INSERT INTO journal ({", ".join(f'"{column}"' for column in JOURNAL_COLUMNS)})
SELECT $1, n, 'intake.commands', $1, n, n + 1, 'old/' || $1 || '/' || n, 'intake.Note.v1', 'notes', {_STREAM},
       NULL, '', convert_to(repeat('x', 100), 'UTF8'), 0, '2026-03-03', '', 1, 'accepted', '', 0, n, 1, '2026-03-03', sha256(n::text::bytea)
FROM generate_series(1, $2) n"""
_LEDGER = f"""
INSERT INTO ledger ({", ".join(LEDGER_COLUMNS)})
SELECT $1, n, {_STREAM}, 'notes', n % {ROWS_PER_STREAM} + 1, 'intake.Noted.v1',
       convert_to(repeat('x', 100), 'UTF8'), n, '2026-03-03', 'system:bench', 'old/' || $1 || '/' || n, {_STREAM},
       NULL, '', sha256(n::text::bytea), sha256(n::text::bytea)
FROM generate_series(1, $2) n"""
_MESSAGES = """
INSERT INTO messages SELECT $1, '/bench old/' || $1 || '/' || n, substr(sha256(n::text::bytea), 1, 16), n, n, 1, clock_timestamp()
FROM generate_series(1, $2) n"""
_STATE = f"""
INSERT INTO state
SELECT $1, 'notes', coalesce(($3)[1 + n], md5($1 || '/' || n)::uuid), {ROWS_PER_STREAM}, 0, 0,
       '{{"count":{ROWS_PER_STREAM},"last":0}}'
FROM generate_series(0, $2 / {ROWS_PER_STREAM}) n"""


async def grow(installation: Installation, rows: int) -> None:
    """Makes the ledger of all shards together so long; the journal, the messages and the states with it.

    Half of the streams that the load is about are among those that are there, as far as there are so many.
    """
    shards = installation.installed.shards
    known: dict[int, list[UUID]] = {shard: [] for shard in range(shards)}
    for stream in load.streams(load.STREAMS)[::2]:
        known[shard_of(stream, shards)].append(stream)
    connection = await asyncpg.connect(installation.owner_dsn, server_settings={"search_path": "intake"})
    try:
        for shard in range(shards):
            of_shard = rows // shards
            there = known[shard][: of_shard // ROWS_PER_STREAM]
            await connection.execute("SELECT make_room($1, $2, $2, clock_timestamp())", shard, of_shard)
            for query in (_JOURNAL, _LEDGER, _MESSAGES, _STATE):
                filled = query.replace("$1", str(shard)).replace("$2", str(of_shard)).replace("$3", "$1::uuid[]")
                await connection.execute(filled, *([there] if "$3" in query else ()))
            await connection.execute("UPDATE head SET entry = $2, position = $2 WHERE shard = $1", shard, of_shard)
            await connection.execute("INSERT INTO relayed VALUES ($1, $2, clock_timestamp())", shard, of_shard)
        await connection.execute("ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
