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
