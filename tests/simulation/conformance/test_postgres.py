"""The simulated PostgreSQL is to the machine's store what the real one is: every test here runs on both."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.roles import role_dsn
from shared import clock
from shared.machine import store
from shared.machine.answering import Answered
from shared.machine.bytes import GENESIS
from shared.machine.head import Fenced, Head
from shared.machine.installed import installation
from shared.machine.mind import Timer
from shared.machine.patience import PASSING
from shared.simulation.loop import Loop
from shared.simulation.postgres import Postgres
from tests.servers import SHARDS
from tests.shared.machine.bench import Bench, stream_in
from tests.shared.machine.tally import MIND, NOW, Add

Connect = Callable[[str, int], Awaitable[Any]]
"""A pool of a service's, of so many connections."""


@pytest.fixture(scope="module")
def template(servers):
    """A database that is installed, to be copied."""
    return urlsplit(asyncio.run(servers.fresh_installation()).owner_dsn).path[1:]


@pytest.fixture(params=["real", "simulated"])
def run(request):
    """Runs a body on a fresh installation, real or simulated."""
    if request.param == "simulated":

        def simulated(body):
            loop = Loop(Random(7))
            server = Postgres(loop, SHARDS, ("intake", "console"), lambda: loop.random.random() * 0.002)
            loop.run(body(lambda service, connections: server.connect("", service, connections)))

        return simulated
    servers, template = request.getfixturevalue("servers"), request.getfixturevalue("template")

    def real(body):
        async def whole():
            dsn, pools = await servers.fresh_database(template), []

            async def connect(service, connections):
                pools.append(await store.connect(role_dsn(dsn, service), service, connections))
                return pools[-1]

            try:
                await body(connect)
            finally:
                for pool in pools:
                    pool.terminate()

        asyncio.run(whole())

    return real


def taking(shard: int, owner: str = "anna", *, again: bool = False, unsettled=None) -> store.Taking:
    return store.Taking(shard, owner, again, 1, unsettled)


async def owned(connect: Connect, shard: int = 0, connections: int = 4):
    pool = await connect("intake", connections)
    head = await store.take_over(pool, await connect("intake", 1), taking(shard))
    async with pool.acquire() as connection:
        await store.make_room(connection, head)
    return pool, head


def batch_of(bench: Bench, head: Head, *records):
    """A batch that goes on from a head as it is stored."""
    bench.head, bench.now = replace(head), max(datetime.now(UTC), head.now)
    bench.batch(*records)
    return bench.last


async def written(pool, batch, timers=None) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await store.lock_head(connection, batch.head.shard, batch.head.epoch)
        await store.write(connection, batch, timers or store.TimerChanges({}, []))


def nothing() -> store.TimerChanges:
    return store.TimerChanges({}, [])


# ---- what is written is there ----------------------------------------------------------------------------------------------


def test_to_commit_what_was_aborted_writes_nothing_and_says_nothing(run):
    async def body(connect):
        pool, head = await owned(connect)
        bench = Bench()
        batch = batch_of(bench, head, bench.ask(Add(number=3), stream_in(0)))
        async with pool.acquire() as connection:
            async with connection.transaction():
                await store.write(connection, batch, nothing())
                with suppress(asyncpg.UniqueViolationError):
                    await store.write(connection, batch, nothing())
            assert (await store.read_head(connection, 0)).entry == head.entry

    run(body)


def test_what_a_batch_writes_is_read_again(run):
    async def body(connect):
        pool, head = await owned(connect)
        bench, stream = Bench(), stream_in(0)
        batch = batch_of(bench, head, bench.ask(Add(number=3, then_tell=stream_in(1)), stream))
        await written(pool, batch)
        async with pool.acquire() as connection:
            found = await store.read_head(connection, 0)
            assert found == batch.head
            rows = await store.read_ledger(connection, 0, 0, 100)
            assert [row.hash for row in rows] == [row.hash for row in batch.rows.ledger]
            assert [row.previous for row in rows] == [GENESIS, *(row.hash for row in batch.rows.ledger[:-1])]
            assert rows[-1].target == stream_in(1)
            streams = await store.read_streams(connection, MIND, 0, [("tally", stream), ("tally", stream_in(0, 9))])
            assert streams == {("tally", stream): batch.touched["tally", stream]}
            messages = await store.read_messages(connection, 0, ["/test m1", "/test never"])
            assert messages == batch.met
            assert set(await store.read_policies(connection)) == {batch.head.policy}
            places = [(0, 1), (0, rows[-1].position), (1, 1), (0, 999)]
            assert sorted(await store.read_rows(connection, places)) == [(0, 1), (0, rows[-1].position)]

    run(body)


def test_the_ledger_is_read_in_pages_each_row_with_the_hash_before_it(run):
    async def body(connect):
        pool, head = await owned(connect)
        bench = Bench()
        batch = batch_of(bench, head, *(bench.ask(Add(number=1), stream_in(0), f"m{number}") for number in range(9)))
        await written(pool, batch)
        whole = batch.rows.ledger
        async with pool.acquire() as connection:
            for after in range(len(whole)):
                page = await store.read_ledger(connection, 0, after, 4)
                assert [row.position for row in page] == [row.position for row in whole[after : after + 4]]
                assert [row.previous for row in page] == [row.previous for row in whole[after : after + 4]]
            assert await store.read_ledger(connection, 0, len(whole), 4) == []
            assert await store.read_ledger(connection, 1, 0, 4) == []

    run(body)


def test_a_message_that_was_answered_twice_is_known_as_it_was_answered_last(run):
    async def body(connect):
        pool, head = await owned(connect)
        bench = Bench()
        batch = batch_of(bench, head, bench.ask(Add(number=1), stream_in(0)))
        await written(pool, batch)
        later = batch_of(bench, batch.head, bench.ask(Add(number=1), stream_in(0), "m2"))
        later.met["/test m1"] = Answered(b"x" * 16, 99, 0, 0, later.head.now + timedelta(days=1))
        await written(pool, later)
        async with pool.acquire() as connection:
            found = await store.read_messages(connection, 0, ["/test m1"])
        assert found["/test m1"].entry == 99

    run(body)


def test_timers_are_set_anew_cleared_and_read_by_when_they_are_due(run):
    async def body(connect):
        pool, head = await owned(connect)
        key, other = ("tally", stream_in(0)), ("tally", stream_in(0, 1))
        batch = batch_of(Bench(), head)
        first = {(key, "a"): Timer(NOW, 1), (key, "b"): Timer(NOW + timedelta(seconds=5), 1), (other, "a"): Timer(NOW, 1)}
        await written(pool, batch, store.TimerChanges(first, []))
        async with pool.acquire() as connection:
            assert await store.read_next_due(connection, 0) == NOW
            assert await store.read_next_due(connection, 1) is None
            due = await store.read_due(connection, 0, NOW + timedelta(seconds=1), 9)
            assert [one.key for one in due] == sorted((key, other), key=lambda one: one[1])
            assert len(await store.read_due(connection, 0, NOW + timedelta(seconds=5), 2)) == 2
        again = store.TimerChanges({(key, "a"): Timer(NOW + timedelta(seconds=9), 2)}, [(other, "a"), (key, "nothing")])
        await written(pool, batch_of(Bench(), batch.head, Bench().record(b"", partition=0)), again)
        async with pool.acquire() as connection:
            found = await store.read_due(connection, 0, NOW + timedelta(days=1))
            assert [(one.key, one.timer.timer, one.timer.generation) for one in found] == [(key, "b", 1), (key, "a", 2)]

    run(body)


def test_a_state_is_written_over(run):
    async def body(connect):
        pool, head = await owned(connect)
        bench, stream = Bench(), stream_in(0)
        batch = batch_of(bench, head, bench.ask(Add(number=3), stream))
        await written(pool, batch)
        later = batch_of(bench, batch.head, bench.ask(Add(number=4), stream, "m2"))
        await written(pool, later)
        async with pool.acquire() as connection:
            found = await store.read_streams(connection, MIND, 0, [("tally", stream)])
        assert found["tally", stream].state.total == 7
        assert found["tally", stream].version == 2

    run(body)


def test_how_far_the_relay_got_is_noted_by_the_owner_only_and_once(run):
    async def body(connect):
        pool, head = await owned(connect)
        async with pool.acquire() as connection:
            assert await store.read_relayed(connection, 0) == 0
            await store.note_relayed(connection, 0, head.epoch, [(3, NOW), (5, NOW)])
            await store.note_relayed(connection, 0, head.epoch, [(5, NOW), (4, NOW)])
            assert await store.read_relayed(connection, 0) == 5
            await store.note_relayed(connection, 0, head.epoch - 1, [(9, NOW)])
            assert await store.read_relayed(connection, 0) == 5

    run(body)


# ---- whose it is -----------------------------------------------------------------------------------------------------------


def test_whoever_takes_over_raises_the_epoch_and_the_one_before_is_fenced(run):
    async def body(connect):
        pool, head = await owned(connect)
        spare = await connect("intake", 1)
        assert (await store.take_over(pool, spare, taking(0, "bert"))).epoch == head.epoch + 1
        async with pool.acquire() as connection:
            with pytest.raises(Fenced):
                async with connection.transaction():
                    await store.lock_head(connection, 0, head.epoch)
            async with connection.transaction():
                await store.lock_head(connection, 0, head.epoch + 1)
        with pytest.raises(Fenced):
            await store.take_over(pool, spare, taking(0, "anna", again=True))
        assert (await store.take_over(pool, spare, taking(0, "bert", again=True))).epoch == head.epoch + 2

    run(body)


def test_attempts_are_counted_by_the_owner_and_taken_back_by_the_same_owner_only(run):
    async def body(connect):
        pool, head = await owned(connect)
        spare = await connect("intake", 1)
        async with pool.acquire() as connection:
            await store.mark_attempts(connection, 0, head.epoch - 1, 9, "nobody's")
            assert (await store.read_head(connection, 0)).attempts == 0
            await store.mark_attempts(connection, 0, head.epoch, 2, "topic/0/7#1")
        found = await store.take_over(pool, spare, taking(0, "bert", unsettled=(0, "")))
        assert (found.attempts, found.trying) == (2, "topic/0/7#1")
        found = await store.take_over(pool, spare, taking(0, "bert", again=True, unsettled=(1, "")))
        assert (found.attempts, found.trying) == (1, "")

    run(body)


def test_who_asks_for_a_head_waits_until_it_is_let_go_and_finds_what_was_written(run):
    async def body(connect):
        pool, head = await owned(connect)
        batch, order = batch_of(Bench(), head), []

        async def other():
            async with pool.acquire() as connection, connection.transaction():
                found, _ = await store.lock_head(connection, 0, head.epoch)
                order.append("second")
                return found

        async with pool.acquire() as connection, connection.transaction():
            await store.lock_head(connection, 0, head.epoch)
            waiting = asyncio.ensure_future(other())
            await asyncio.sleep(0.3)
            await store.write(connection, batch, nothing())
            order.append("first")
        assert (await waiting).entry == batch.head.entry
        assert order == ["first", "second"]

    run(body)


def test_heads_of_other_shards_are_not_waited_for(run):
    async def body(connect):
        pool, head = await owned(connect)
        other = await store.take_over(pool, await connect("intake", 1), taking(1))
        async with pool.acquire() as connection, connection.transaction():
            await store.lock_head(connection, 0, head.epoch)
            async with pool.acquire() as beside, beside.transaction():
                await asyncio.wait_for(store.lock_head(beside, 1, other.epoch), 1)

    run(body)


def test_a_holder_that_does_not_let_go_is_ended_and_nothing_of_its_transaction_is_there(run):
    async def body(connect):
        pool, head = await owned(connect)
        holder, batch = await connect("intake", 1), batch_of(Bench(), head)
        with pytest.raises(PASSING):  # noqa: PT012 - it is the whole transaction that fails
            async with holder.acquire() as connection, connection.transaction():
                await store.lock_head(connection, 0, head.epoch)
                await store.write(connection, batch, nothing())
                began = clock.passed()
                taken = await store.take_over(pool, await connect("intake", 1), taking(0, "bert"))
                assert taken.epoch == head.epoch + 1
                assert taken.entry == 0
                assert clock.passed() - began < store.SILENCE_SECONDS
        async with holder.acquire() as connection:  # a new one in its place
            assert await store.read_ledger(connection, 0, 0, 9) == []

    run(body)


def test_a_session_that_is_silent_in_a_transaction_is_ended(run):
    async def body(connect):
        pool, head = await owned(connect)
        with pytest.raises(PASSING):  # noqa: PT012 - it is the whole transaction that fails
            async with pool.acquire() as connection, connection.transaction():
                await store.lock_head(connection, 0, head.epoch)
                await asyncio.sleep(store.SILENCE_SECONDS + 1)
                async with pool.acquire() as other, other.transaction():
                    await asyncio.wait_for(store.lock_head(other, 0, head.epoch), 1)
                await store.read_head(connection, 0)

    run(body)


# ---- transactions ----------------------------------------------------------------------------------------------------------


def test_what_is_not_committed_is_seen_by_its_transaction_only(run):
    async def body(connect):
        pool, head = await owned(connect)
        bench, stream = Bench(), stream_in(0)
        batch = batch_of(bench, head, bench.ask(Add(number=3), stream))
        timers = store.TimerChanges({(("tally", stream), "wake"): Timer(NOW)}, [])
        async with pool.acquire() as beside:
            with suppress(RuntimeError):
                async with pool.acquire() as connection, connection.transaction():
                    await store.lock_head(connection, 0, head.epoch)
                    await store.write(connection, batch, timers)
                    assert await store.read_next_due(connection, 0) == NOW
                    assert (await store.read_head(connection, 0)).entry == batch.head.entry
                    assert len(await store.read_ledger(connection, 0, 0, 9)) == len(batch.rows.ledger)
                    assert await store.read_next_due(beside, 0) is None
                    assert (await store.read_head(beside, 0)).entry == 0
                    assert await store.read_ledger(beside, 0, 0, 9) == []
                    assert await store.read_rows(beside, [(0, 1)]) == {}
                    raise RuntimeError("undone")
            assert await store.read_ledger(beside, 0, 0, 9) == []
            assert await store.read_messages(beside, 0, ["/test m1"]) == {}
            assert await store.read_next_due(beside, 0) is None

    run(body)


def test_an_entry_and_a_position_can_be_written_once_only_and_a_transaction_that_failed_can_only_end(run):
    async def body(connect):
        pool, head = await owned(connect)
        batch = batch_of(Bench(), head)
        await written(pool, batch)
        async with pool.acquire() as connection:
            with pytest.raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await store.write(connection, batch, nothing())
            with pytest.raises(asyncpg.InFailedSQLTransactionError):  # noqa: PT012 - it is the whole transaction that fails
                async with connection.transaction():
                    with suppress(asyncpg.UniqueViolationError):
                        await store.write(connection, batch, nothing())
                    await store.read_head(connection, 0)
            assert (await store.read_head(connection, 0)).entry == batch.head.entry

    run(body)


def test_of_two_that_write_the_same_entry_without_a_lock_one_is_refused(run):
    async def body(connect):
        pool, head = await owned(connect)
        batch = batch_of(Bench(), head)

        async def write():
            async with pool.acquire() as connection, connection.transaction():
                await connection.copy_records_to_table(
                    "journal", records=map(store._journal_record, batch.rows.journal), columns=store.JOURNAL_COLUMNS
                )
                await asyncio.sleep(0.2)

        outcomes = await asyncio.gather(write(), write(), return_exceptions=True)
        assert sorted(type(one).__name__ for one in outcomes) == ["NoneType", "UniqueViolationError"]

    run(body)


def test_whoever_stops_waiting_for_a_lock_does_not_have_it_and_gives_its_connection_back(run):
    async def body(connect):
        pool, head = await owned(connect, connections=2)
        async with pool.acquire() as connection:
            async with connection.transaction():
                await store.lock_head(connection, 0, head.epoch)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3), pool.acquire() as impatient, impatient.transaction():
                        await store.lock_head(impatient, 0, head.epoch)
            async with pool.acquire() as again, again.transaction():
                await asyncio.wait_for(store.lock_head(again, 0, head.epoch), 1)

    run(body)


def test_a_pool_that_has_no_connection_left_waits_for_one(run):
    async def body(connect):
        pool, _ = await owned(connect, connections=1)
        async with pool.acquire():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), pool.acquire():
                    pass
        async with pool.acquire() as connection:
            assert (await store.read_head(connection, 0)).shard == 0

    run(body)


# ---- a read side's places --------------------------------------------------------------------------------------------------


def test_a_place_is_begun_once_and_kept(run):
    async def body(connect):
        pool = await connect("console", 2)
        begin = "INSERT INTO places (service, shard) SELECT service, $2 FROM unnest($1::text[]) AS service ON CONFLICT DO NOTHING"
        services = ["intake", "resolution", "rootcause"]
        async with pool.acquire() as connection:
            await connection.execute(begin, services, 0)
            await connection.executemany(
                "UPDATE places SET position = $3, hash = $4, next_offset = $5, incarnation = $6, at = clock_timestamp()"
                " WHERE shard = $1 AND service = $2",
                [(0, "resolution", 7, b"\x01" * 32, 9, "abc")],
            )  # fmt: skip
            await connection.execute(begin, services, 0)
            rows = await connection.fetch("SELECT service, position, hash FROM places WHERE shard = $1 ORDER BY service FOR UPDATE", 0)
            assert [tuple(row.values()) for row in rows] == [
                ("intake", 0, GENESIS), ("resolution", 7, b"\x01" * 32), ("rootcause", 0, GENESIS)
            ]  # fmt: skip
            rows = await connection.fetch("SELECT service, next_offset, incarnation FROM places WHERE shard = $1", 0)
            assert {row["service"]: (row["next_offset"], row["incarnation"]) for row in rows}["resolution"] == (9, "abc")

    run(body)


def test_the_installation_is_told(run):
    async def body(connect):
        pool = await connect("intake", 1)
        assert (await installation(pool))[:3] == ("g1", "default", SHARDS)

    run(body)
