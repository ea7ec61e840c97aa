"""The proofs bite: whatever is changed behind the machine's back is found, also by somebody who knows how the chains are made."""

import pytest

from shared.contract.envelope import shard_of
from shared.machine import store
from shared.machine.bytes import GENESIS
from shared.machine.fault import ProofFailed
from shared.machine.proof import verify_shard
from tests.shared.machine.live import STREAMS, adds, is_so, until
from tests.shared.machine.tally import Add

SHARD = 2
TABLES = ("ledger", "journal", "state", "timers", "head")

CHANGED = {
    "a byte of a ledger row": "UPDATE ledger SET body = set_byte(body, 2, get_byte(body, 2) # 1) WHERE shard = 2 AND position = 3",
    "who did it": "UPDATE ledger SET actor = 'person:somebody.else' WHERE shard = 2 AND position = 3",
    "a missing row": "DELETE FROM ledger WHERE shard = 2 AND position = 3",
    "what it came from": "UPDATE ledger SET entry = entry - 1 WHERE shard = 2 AND position = 3",
    "a journalled body": "UPDATE journal SET body = body || ' ' WHERE shard = 2 AND entry = 3",
    "a missing entry": "DELETE FROM journal WHERE shard = 2 AND entry = 3",
    "the last entry": "DELETE FROM journal WHERE shard = 2 AND entry = (SELECT entry FROM head WHERE shard = 2)",
    "a state": "UPDATE state SET body = convert_to('{\"total\":7,\"wake_at\":null}', 'UTF8') WHERE shard = 2 AND kind = 'tally'",
    "a state's version": "UPDATE state SET version = version + 1 WHERE shard = 2 AND kind = 'tally'",
    "a missing state": "DELETE FROM state WHERE shard = 2 AND kind = 'tally'",
    "a state of no stream": "INSERT INTO state SELECT shard, 'nobody', stream, version, 0, 0, '' FROM state WHERE shard = 2 LIMIT 1",
    "a timer that nobody wants": (
        "INSERT INTO timers SELECT shard, kind, stream, 'nap', now(), 1 FROM state WHERE shard = 2 AND kind = 'tally'"
    ),
    "a missing timer": "DELETE FROM timers WHERE shard = 2",
    "when a timer is due": "UPDATE timers SET due_at = due_at + interval '1 second' WHERE shard = 2",
    "the head's position": "UPDATE head SET position = position - 1 WHERE shard = 2",
    "the head's journal": "UPDATE head SET journal_hash = hash WHERE shard = 2",
    "the head's policy": "UPDATE head SET policy = 'another' WHERE shard = 2",
    "the head's rules": "UPDATE head SET rules = rules + 1 WHERE shard = 2",
    "the head's time": "UPDATE head SET now = now - interval '1 day' WHERE shard = 2",
    "the last row, and the head with it": (
        "WITH gone AS (DELETE FROM ledger WHERE shard = 2 AND position = (SELECT max(position) FROM ledger WHERE shard = 2)"
        " RETURNING position)"
        " UPDATE head SET position = gone.position - 1, hash = (SELECT hash FROM ledger WHERE shard = 2 AND position = gone.position - 1)"
        " FROM gone WHERE shard = 2"
    ),
}
"""By somebody who knows nothing of the chains."""

CHAINED = {
    "a journalled body": "UPDATE journal SET body = body || ' ' WHERE shard = 2 AND entry = 3",
    "what came of an input": "UPDATE journal SET outcome = 'ignored' WHERE shard = 2 AND entry = 3",
}
"""And the journal's chain and the head made anew."""

ALL_CHAINED = {
    "where an entry's events begin": "UPDATE journal SET first_position = first_position + 100 WHERE shard = 2 AND entry = 3",
    "an entry with one event more": "UPDATE journal SET events = events + 1 WHERE shard = 2 AND entry = 3",
    "a last entry with one event more": (
        "UPDATE journal SET events = events + 1 WHERE shard = 2 AND entry = (SELECT max(entry) FROM journal WHERE shard = 2)"
    ),
    "an entry without its events": "UPDATE journal SET events = 0, first_position = 0 WHERE shard = 2 AND entry = 3",
    "a position left out": (
        "WITH one AS (UPDATE ledger SET position = position + 1 WHERE shard = 2 AND position = (SELECT position FROM head WHERE shard = 2)"
        " RETURNING entry), its AS (UPDATE journal SET events = events + 1 FROM one WHERE shard = 2 AND journal.entry = one.entry)"
        " UPDATE head SET position = position + 1 WHERE shard = 2"
    ),
    "an entry left out": (
        "WITH rows AS (UPDATE ledger SET entry = entry + 1 WHERE shard = 2 AND entry = (SELECT entry FROM head WHERE shard = 2)),"
        " one AS (UPDATE journal SET entry = entry + 1 WHERE shard = 2 AND entry = (SELECT entry FROM head WHERE shard = 2))"
        " UPDATE head SET entry = entry + 1 WHERE shard = 2"
    ),
    "an entry's rules": "UPDATE journal SET rules = rules + 1 WHERE shard = 2 AND entry = 3",
    "an entry's policy": "UPDATE journal SET policy = 'another' WHERE shard = 2 AND entry = 3",
    "an entry's time": "UPDATE journal SET now = now - interval '1 day' WHERE shard = 2 AND entry = 3",
    "a version": "UPDATE ledger SET version = version + 1 WHERE shard = 2 AND position = 3",
    "an event": "UPDATE ledger SET body = convert_to('{\"number\":7}', 'UTF8') WHERE shard = 2 AND position = 3",
    "an event's type": "UPDATE ledger SET type = 'intake.Nonsense.v1' WHERE shard = 2 AND position = 3",
}
"""And both chains, every row's cause and the head made anew."""

REPLAYED = {
    "an event of others that was not seen": """UPDATE head SET seen = '{"resolution/2": [5, ""]}' WHERE shard = 2""",
}
"""What only a replay finds."""


async def chain(connection, *, ledger: bool):
    """Makes the journal's chain anew, and the ledger's, as who has the owner's rights and this code can."""
    async with connection.transaction():
        journal = [row async for row in store.stream_journal(connection, SHARD)]
        events = [row async for row in store.stream_ledger(connection, SHARD)]
    previous = GENESIS
    for row in journal:
        previous = row.hash = row.chain(previous)
    await connection.executemany("UPDATE journal SET hash = $2 WHERE shard = 2 AND entry = $1", [(row.entry, row.hash) for row in journal])
    await connection.execute("UPDATE head SET journal_hash = $1 WHERE shard = 2", previous)
    if not ledger:
        return
    causes, previous = {row.entry: row.hash for row in journal}, GENESIS
    for event in events:
        event.cause_hash = causes[event.entry]
        previous = event.hash = event.chain(previous)
    await connection.executemany(
        "UPDATE ledger SET hash = $2, cause_hash = $3 WHERE shard = 2 AND position = $1",
        [(event.position, event.hash, event.cause_hash) for event in events],
    )
    await connection.execute("UPDATE head SET hash = $1 WHERE shard = 2", previous)


async def test_whatever_is_changed_behind_the_machines_back_is_found(live):
    member = await live.start()
    await live.ready()
    in_shard = next(stream for stream in STREAMS if shard_of(stream, live.shards) == SHARD)
    await live.send(*adds(120), (Add(number=1, wake_in_seconds=3600), in_shard))
    await until(lambda: is_so(live.events("intake.Added.v1"), 121))
    await member.stop()
    await live.prove()
    connection = await live.owner()
    saved = {table: await connection.fetch(f"SELECT * FROM {table} WHERE shard = $1", SHARD) for table in TABLES}

    for changes, chains in ((CHANGED, None), (CHAINED, False), (ALL_CHAINED, True), (REPLAYED, None)):
        for what, change in changes.items():
            assert not (await connection.execute(change)).endswith(" 0"), what
            if chains is not None:
                await chain(connection, ledger=chains)
            if changes is REPLAYED:
                await verify_shard(connection, live.mind, SHARD)
                with pytest.raises(ProofFailed) as failed:
                    await live.replay(connection, SHARD)
            else:
                with pytest.raises(ProofFailed) as failed:
                    pytest.fail(f"nobody noticed {what}: {await verify_shard(connection, live.mind, SHARD)}")
            assert failed.value.fault.shard == SHARD, what
            if what in {"a byte of a ledger row", "who did it"}:
                assert failed.value.fault.position == 3, what
            for table, rows in saved.items():
                await connection.execute(f"DELETE FROM {table} WHERE shard = $1", SHARD)
                await connection.copy_records_to_table(table, records=[tuple(row) for row in rows])
    await connection.close()
    await live.prove()


async def test_a_policy_that_was_changed_or_is_gone_is_found(live):
    member = await live.start()
    await live.ready()
    await until(lambda: is_so(live.events("machine.PolicyAdopted.v1"), live.shards))
    await member.stop()
    connection = await live.owner()
    (saved,) = await connection.fetch("SELECT * FROM policy_versions")
    for change in ("UPDATE policy_versions SET body = body || ' '", "DELETE FROM policy_versions"):
        await connection.execute(change)
        with pytest.raises(ProofFailed, match="policy"):
            await verify_shard(connection, live.mind, SHARD)
        await connection.execute("DELETE FROM policy_versions")
        await connection.copy_records_to_table("policy_versions", records=[tuple(saved)])
    await verify_shard(connection, live.mind, SHARD)
    await connection.close()
