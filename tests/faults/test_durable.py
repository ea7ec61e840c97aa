"""What was committed outlives a killed PostgreSQL: killed as the kernel does it where memory runs out, with fsync on, as it is shipped."""

import asyncio
from contextlib import suppress

import asyncpg

from deploy.install import install
from deploy.local.postgres import owner_dsn
from shared.settings import Settings
from tests.faults.own_servers import kill, postgres_at
from tests.servers import SHARDS, Installation
from tests.shared.machine.live import Live, adds, is_so, until

SOON_SECONDS = 90
HEADS = "SELECT shard, entry, journal_hash, position, hash FROM head ORDER BY shard"
STANDS = """
    SELECT count(*) FROM journal JOIN ledger USING (shard) WHERE shard = $1 AND journal.entry = $2 AND journal.hash = $3
    AND ledger.position = $4 AND ledger.hash = $5"""
WITHOUT_INPUT = "SELECT count(*) FROM ledger WHERE NOT EXISTS (SELECT FROM journal WHERE shard = ledger.shard AND entry = ledger.entry)"


async def test_what_was_committed_is_there_after_postgres_was_killed(servers, tmp_path, ports):
    await servers.without_topics()
    async with postgres_at(tmp_path, ports) as part:
        dsn = owner_dsn(part.program.address)
        settings = Settings(kafka=servers.kafka, shards=SHARDS, database=dsn)
        live = Live(Installation(servers.kafka, dsn, settings, await install(dsn, servers.kafka, settings)))
        assert await live.fetchval("SHOW fsync") == "on"
        await live.start()
        await live.ready()
        sending = asyncio.create_task(live.send(*adds(3_000)))
        for enough in (300, 900, 1_500):
            await until(lambda enough=enough: reaches(live, enough), SOON_SECONDS)
            connection = await live.owner()
            seen, before = await connection.fetch(HEADS), part.pid
            kill(part)  # while more is being committed
            with suppress(asyncpg.PostgresError, OSError):
                await connection.close()
            await until(lambda before=before: part.pid not in {None, before}, SOON_SECONDS)
            await until(lambda: answers(live), SOON_SECONDS)
            for head in seen:
                assert await live.fetchval(STANDS, *head) == 1, "what somebody saw is there, with the input that led to it"
            assert await live.fetchval(WITHOUT_INPUT) == 0
        await asyncio.wait_for(sending, SOON_SECONDS)
        await until(lambda: is_so(live.total(), 3_000), SOON_SECONDS)
        await live.prove()
        await live.stop()


async def reaches(live, enough):
    return await live.total() >= enough


async def answers(live):
    with suppress(asyncpg.PostgresError, OSError):
        return await live.fetchval("SELECT true")
    return False
