"""What the tables remember of messages, and for how long: never shorter than the rules ask them."""

import random
from datetime import UTC, datetime, timedelta

from shared.contract.envelope import shard_of
from shared.machine.answering import MESSAGES_REMEMBERED
from shared.machine.told import ORIGIN_MAX
from tests.shared.machine.live import STREAMS, is_so, until
from tests.shared.machine.tally import Add


async def test_a_month_of_messages_goes_only_after_the_last_of_them_was_forgotten_by_every_shard(live):
    months = [datetime(2030 + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(25)]
    there = "SELECT to_regclass($1) IS NOT NULL"
    connection = await live.owner()
    for month in months:
        await connection.execute("SELECT make_month($1)", month)
    for before, month, after in zip(months, months[1:], months[2:], strict=False):
        last = after - timedelta(microseconds=1)
        await connection.execute("UPDATE head SET now = $1", last + timedelta(days=400))
        await connection.execute("UPDATE head SET now = $1 WHERE shard = 1", last + MESSAGES_REMEMBERED)
        await connection.execute("SELECT drop_months()")
        assert await connection.fetchval(there, f"messages_{month:%Y_%m}"), f"shard 1 remembers what came at {last}"
        assert not await connection.fetchval(there, f"messages_{before:%Y_%m}")
    await connection.close()


async def test_what_the_tables_still_hold_of_a_forgotten_message_does_not_count(live):
    stream = STREAMS[0]
    await live.start()
    await live.ready()
    long_ago = datetime.now(UTC) - MESSAGES_REMEMBERED - timedelta(minutes=5)
    await live.execute("SELECT make_month($1)", long_ago)
    await live.execute("INSERT INTO messages VALUES ($1, '/test m1', 'another', 1, 1, 1, $2)", shard_of(stream, live.shards), long_ago)
    await live.send((Add(number=1), stream))
    await until(lambda: is_so(live.events("intake.Added.v1"), 1))
    live.sent = 0
    await live.send((Add(number=1), stream))
    await until(lambda: is_so(live.events("machine.MessageRepeated.v1"), 1))
    await live.prove()


async def test_the_longest_name_of_a_message_is_remembered(live):
    """An index of PostgreSQL's takes 2,704 bytes, and not many more where they can be compressed."""
    dice = random.Random(17)
    longest = "".join(chr(dice.randrange(0x10000, 0x20000)) for _ in range(ORIGIN_MAX // 4)) + "x" * (ORIGIN_MAX % 4)
    assert len(longest.encode()) == ORIGIN_MAX
    await live.execute("SELECT make_month(now())")
    await live.execute("INSERT INTO messages VALUES (0, $1, 'a digest of it..', 1, 1, 1, now())", longest)
