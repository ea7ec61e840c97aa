"""verify and replay, on an installation that is whole, and on one in which a byte was changed."""

import asyncio
from contextlib import contextmanager

import asyncpg
import pytest

from deploy.cli.exits import Exit
from shared.contract.envelope import shard_of
from tests.system import SHARDS

SERVICES = ["intake", "resolution", "rootcause"]


def test_a_ledger_that_is_whole_is_verified(cli, walked):
    done = cli("verify", "--json")
    assert done.code == Exit.DONE, done.err
    told = done.json
    assert (told["ok"], told["faults"]) == (True, [])
    assert [(one["service"], one["shard"]) for one in told["shards"]] == [(name, shard) for name in SERVICES for shard in range(SHARDS)]
    assert {one["service"] for one in told["shards"] if one["events"]} == set(SERVICES)
    assert told["claims"] >= 3 * SHARDS * 2, "of each shard at least the relay's and the console's"
    assert all(len(one) == 64 for one in told["hashes"].values())
    assert "agree" in cli("verify").err


def test_a_fact_that_concerns_nothing_of_a_service_leaves_nothing_there(cli, system):
    ident = system.submit()
    assert system.ask(ident, "RecordReply", text="when will it be?").status_code == 200  # resolution hears of it and has no case yet
    for _ in range(100):
        told = cli("doctor", "--json").json["findings"]
        if "wait to be read" not in str(told):
            break
    shard = shard_of(ident, SHARDS)
    done = cli("verify", "--shard", shard, "--json")
    assert (done.code, done.json["faults"]) == (Exit.DONE, [])


def test_one_shard_of_one_service_can_be_verified(cli, walked):
    told = cli("verify", "--service", "intake", "--shard", "2", "--json").json
    assert [(one["service"], one["shard"]) for one in told["shards"]] == [("intake", 2)]
    assert cli("verify", "--service", "kitchen").code == Exit.USAGE
    assert cli("verify", "--shard", str(SHARDS)).code == Exit.USAGE


def test_a_journal_that_leads_to_its_ledger_is_replayed(cli, walked):
    done = cli("replay", "--check", "--json")
    assert done.code == Exit.DONE, done.err
    assert (done.json["ok"], len(done.json["shards"])) == (True, 3 * SHARDS)
    assert "every event is the one that stands there" in cli("replay", "--check", "--service", "resolution").err


def test_a_replay_that_is_not_told_what_for_says_what_there_is(cli):
    done = cli("replay")
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert "makegood replay --check" in done.err


# ---- what was changed by somebody who can ----------------------------------------------------------------------------------


@contextmanager
def changed(system, change, back, *values):
    """A row changed as only the owner of everything can, and put back."""

    async def do(statement):
        connection = await asyncpg.connect(system.stack.owner_dsn)
        try:
            assert (await connection.execute(statement, *values)).endswith(" 1")
        finally:
            await connection.close()

    asyncio.run(do(change))
    try:
        yield
    finally:
        asyncio.run(do(back))


async def _last(system, complaint):
    connection = await asyncpg.connect(system.stack.owner_dsn)
    try:
        return await connection.fetchrow(
            "SELECT shard, position, entry FROM resolution.ledger WHERE stream = $1 ORDER BY version LIMIT 1", complaint
        )
    finally:
        await connection.close()


@pytest.fixture
def row(system, walked):
    """The ledger row that somebody tampers with."""
    return asyncio.run(_last(system, walked))


FLIPPED = "UPDATE resolution.ledger SET body = set_byte(body, 3, get_byte(body, 3) # 1) WHERE shard = $1 AND position = $2"


def test_one_changed_byte_is_found_and_named_by_shard_and_position(cli, system, walked, row):
    at = row["shard"], row["position"]
    with changed(system, FLIPPED, FLIPPED, *at):
        done = cli("verify", "--json")
        assert (done.code, done.json["ok"]) == (Exit.PROOF_FAILED, False)
        [fault] = done.json["faults"]
        assert (fault["service"], fault["shard"], fault["position"]) == ("resolution", *at)
        assert f"resolution, shard {at[0]}, position {at[1]}: its hash does not follow" in cli("verify").err
        replayed = cli("replay", "--check", "--json")
        assert replayed.code == Exit.PROOF_FAILED
        assert [(one["service"], one["shard"], one["position"]) for one in replayed.json["faults"]] == [("resolution", *at)]
    assert cli("verify").code == Exit.DONE
    assert cli("replay", "--check").code == Exit.DONE


def test_a_changed_input_is_found_and_named_by_its_entry(cli, system, row):
    change = "UPDATE resolution.journal SET {} WHERE shard = $1 AND entry = $2"
    flip = change.format("now = now + interval '1 microsecond'")
    back = change.format("now = now - interval '1 microsecond'")
    with changed(system, flip, back, row["shard"], row["entry"]):
        [fault] = cli("verify", "--json").json["faults"]
        assert (fault["service"], fault["shard"], fault["entry"]) == ("resolution", row["shard"], row["entry"])


@pytest.mark.parametrize(
    "case",
    [
        (
            "UPDATE console.places SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1) WHERE service = 'resolution' AND shard = $1",
            "UPDATE console.places SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1) WHERE service = 'resolution' AND shard = $1",
            "console has seen another event there",
        ),
        (
            "INSERT INTO resolution.relayed VALUES ($1, 1000000, now())",
            "DELETE FROM resolution.relayed WHERE shard = $1 AND position = 1000000",
            "its relay has got there, but the ledger has no such position",
        ),
    ],
)
def test_whoever_has_seen_something_else_is_found(cli, system, walked, case):
    change, back, said = case
    shard = shard_of(walked, SHARDS)
    with changed(system, change, back, shard):
        done = cli("verify", "--json")
        assert done.code == Exit.PROOF_FAILED
        [fault] = done.json["faults"]
        assert (fault["service"], fault["shard"], fault["what"].startswith(said)) == ("resolution", shard, True)
    assert cli("verify").code == Exit.DONE


def test_another_service_that_has_seen_something_else_is_found(cli, system, walked):
    shard = shard_of(walked, SHARDS)
    seen = "jsonb_set(seen::jsonb, ARRAY['resolution/' || shard, '1'], to_jsonb({}))::text"
    first = "seen::jsonb -> ('resolution/' || shard) ->> 1"
    turned = f"translate({first}, '0123456789abcdef', '123456789abcdef0')"
    back = f"translate({first}, '123456789abcdef0', '0123456789abcdef')"
    statement = "UPDATE rootcause.head SET seen = {} WHERE shard = $1"
    with changed(system, statement.format(seen.format(turned)), statement.format(seen.format(back)), shard):
        done = cli("verify", "--service", "resolution")
        assert done.code == Exit.PROOF_FAILED
        assert f"rootcause, shard {shard} has seen another event there" in done.err
    assert cli("verify").code == Exit.DONE


# ---- what can't be read any more -------------------------------------------------------------------------------------------


@contextmanager
def instead(system, table, where, column, value):
    """A value that stands in the place of another, or, of a whole row, nothing; put back in the end."""

    async def do(*statements):
        connection = await asyncpg.connect(system.stack.owner_dsn)
        try:
            async with connection.transaction():
                for statement, *values in statements:
                    await connection.execute(statement, *values)
        finally:
            await connection.close()

    keep = f"CREATE TABLE public.kept AS SELECT * FROM {table} WHERE {where}"
    change = (f"UPDATE {table} SET {column} = $1 WHERE {where}", value) if column else (f"DELETE FROM {table} WHERE {where}",)
    asyncio.run(do((keep,), change))
    try:
        yield
    finally:
        back = f"UPDATE {table} SET {column} = (SELECT {column} FROM public.kept) WHERE {where}" if column else ""
        asyncio.run(do((back or f"INSERT INTO {table} SELECT * FROM public.kept",), ("DROP TABLE public.kept",)))


@pytest.fixture
def resting(cli, system):
    """A shard of rootcause in which nothing happens: its service does not write the head that is tampered with."""
    for _ in range(100):
        if not any(one["lag"] for one in cli("status", "--json").json["relay"]) and "wait to be read" not in cli("doctor").out:
            break


HEADS = {
    "the head is gone": (None, None, "it has no head: the row is gone"),
    "what was seen is no JSON": ("seen", "{", "its head can't be read: seen is not what was written there"),
    "offsets are no JSON": ("offsets", "[1", "its head can't be read: offsets is not what was written there"),
}


@pytest.mark.parametrize("case", HEADS)
def test_a_head_that_cannot_be_read_is_named_by_its_service_and_shard(cli, system, walked, resting, case):
    column, value, what = HEADS[case]
    with instead(system, "rootcause.head", "shard = 3", column, value):
        done = cli("verify", "--json")
        assert (done.code, [(one["service"], one["shard"], one["what"]) for one in done.json["faults"]]) == (
            Exit.PROOF_FAILED, [("rootcause", 3, what)],
        )  # fmt: skip
        done = cli("doctor", "--json")
        assert done.code == Exit.FAILED
        assert f"rootcause, shard 3: {what}" in [one["what"] for one in done.json["findings"] if one["about"] == "damage"]
    assert cli("verify").code == Exit.DONE


@pytest.mark.parametrize("body", [b'{"version":2}', b"{", None])
def test_a_policy_that_was_changed_is_named_by_its_service(cli, system, walked, body):
    async def digest():
        connection = await asyncpg.connect(system.stack.owner_dsn)
        try:
            return await connection.fetchval("SELECT digest FROM resolution.policy_versions")
        finally:
            await connection.close()

    named = asyncio.run(digest())
    with instead(system, "resolution.policy_versions", f"digest = '{named}'", body and "body", body):
        for words in (("verify",), ("replay", "--check")):
            done = cli(*words, "--json")
            assert done.code == Exit.PROOF_FAILED, (words, done.err)
            [fault] = done.json["faults"]
            assert (fault["service"], fault["shard"]) == ("resolution", None), "all its shards share it"
            assert f"resolution: the policy {named} {'is gone' if body is None else 'was changed'}" in cli(*words).err
        done = cli("doctor", "--json")
        [damage] = [one["what"] for one in done.json["findings"] if one["about"] == "damage"]
        assert damage.startswith(f"resolution: the policy {named}")
    assert cli("verify").code == Exit.DONE
