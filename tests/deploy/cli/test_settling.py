"""parked retry and discard: what somebody at a terminal sees of an input that is settled, and that it is."""

import asyncio
import json
import re
from uuid import uuid4

import pytest

from deploy.cli.exits import Exit
from shared.contract.envelope import complaint_id, shard_of
from shared.contract.machine import InputParked
from tests.deploy.cli.conftest import makegood
from tests.deploy.cli.test_looking import parked_as, sent
from tests.shared.machine.conftest import live  # noqa: F401 - a fixture
from tests.shared.machine.live import STREAMS, adds, is_so, until
from tests.shared.machine.tally import Add


@pytest.fixture
def ref():
    return uuid4().hex


@pytest.fixture
def one(cli, system, ref):
    """An input that can't be read, as it is listed."""
    asyncio.run(sent(system, json.dumps({"source": "shop", "ref": ref, "narative": "wet"}).encode(), ref))
    return parked_as(cli, ref)


def corrected(ref):
    return json.dumps({"source": "shop", "ref": ref, "narrative": "The bread was wet."})


def test_a_retry_with_another_body_makes_the_complaint_and_both_are_shown(cli, system, one, ref, tmp_path):
    at = one["input"]
    (tmp_path / "corrected.json").write_text(corrected(ref))
    looked = cli("parked", "retry", at, "--reason", "a typing error", "--body", f"@{tmp_path}/corrected.json", "--dry-run")
    assert (looked.code, looked.out) == (Exit.DONE, "")
    assert "It can be read so." in looked.err
    assert "Nothing was sent." in looked.err
    done = cli("parked", "retry", at, "--reason", "a typing error", "--body", corrected(ref), "--actor", "person:anna")
    assert done.code == Exit.DONE, done.err
    assert done.out.startswith(f"{at} was ")
    found = system.until(complaint_id("shop", ref), stage="own")
    assert found["summary"] == "The bread was wet."
    assert at not in [other["input"] for other in cli("parked", "list", "--json").json["parked"]]
    shown = cli("parked", "show", at, "--json").json
    assert "narative" not in json.dumps(shown["reason"]) or shown["corrected_base64"], "as it was, and as it was corrected"
    assert [again["outcome"] for again in shown["again"]] in (["accepted"], ["passed_on"])
    again = cli("parked", "retry", at, "--reason", "twice", "--body", corrected(ref))
    assert again.code == Exit.CONFLICT
    assert "parked no more" in again.err


def test_what_would_not_be_read_is_not_sent(cli, one):
    for more in ([], ["--body", "{"]):
        done = cli("parked", "retry", one["input"], "--reason", "once more", *more)
        assert (done.code, done.out) == (Exit.CONFLICT, "")
        assert "Nothing was sent" in done.err
    assert cli("parked", "show", one["input"], "--json").json["again"] == []


def unread(cli):
    """How many inputs the doctor says could not be read."""
    told = " ".join(one["what"] for one in cli("doctor", "--json").json["findings"] if one["about"] == "parked")
    return int(found[1]) if (found := re.search(r"([\d,]+) undecodable", told)) else 0


def test_what_is_given_up_is_listed_and_counted_no_more(cli, one):
    before = unread(cli)
    done = cli("parked", "discard", one["input"], "--reason", "a test of the upstream's", "--json")
    assert (done.code, done.json["status"]) == (Exit.DONE, "given_up")
    assert one["input"] not in [other["input"] for other in cli("parked", "list", "--json").json["parked"]]
    shown = cli("parked", "show", one["input"])
    assert "settled on" in shown.out
    assert unread(cli) == before - 1


def test_who_is_no_person_and_what_is_not_parked_is_said_at_once(cli, one):
    assert cli("parked", "discard", one["input"], "--reason", "x", "--actor", "system:cron").code == Exit.USAGE
    assert cli("parked", "discard", "intake/0/1", "--reason", "x").code == Exit.NOT_FOUND
    assert cli("parked", "discard", one["input"], "--reason", " ").code == Exit.USAGE
    assert cli("parked", "discard", one["input"]).code == Exit.USAGE
    assert cli("parked", "retry", one["input"], "--reason", "x", "--body", "@/nowhere").code == Exit.USAGE


async def test_what_waited_behind_it_is_told_of(live, monkeypatch):  # noqa: F811
    for name, value in {"MAKEGOOD_KAFKA": live.installation.kafka, "MAKEGOOD_DATABASE": live.installation.owner_dsn}.items():
        monkeypatch.setenv(name, value)
    await live.start()
    await live.ready()
    stream = STREAMS[0]
    await live.send((Add(number=13), stream), *adds(2, of=[stream]), (Add(number=13), stream), (Add(number=2), stream))
    await until(lambda: is_so(live.fetchval("SELECT count(*) FROM journal WHERE outcome = 'waiting'"), 4))
    shard = shard_of(stream, live.shards)
    entries = await live.fetchval("SELECT array_agg(entry ORDER BY entry) FROM journal WHERE outcome IN ('parked', 'waiting')")
    first, *_, third, _ = (f"intake/{shard}/{entry}" for entry in entries)

    async def cli(*words):
        return await asyncio.to_thread(makegood, *words)

    done = await cli("parked", "retry", third, "--reason", "x")
    assert (done.code, f"Settle {first}" in done.err) == (Exit.CONFLICT, True)
    done = await cli("parked", "discard", first, "--reason", "not wanted")
    assert done.out == f"{first} was given up\n"
    assert "4 wait behind it" in done.err
    assert "Of those that waited behind it: 2 accepted, 1 parked." in done.err
    assert f"{third} is parked now, and 1 wait on behind it" in done.err
    assert done.code == Exit.FAILED
    listed = (await cli("parked", "list", "--json")).json["parked"]
    assert [(one["input"], one["state"]) for one in listed if one["state"] == "parked"] == [(third, "parked")]
    for one in listed:  # also how it was decided once more, and what it waits for
        shown = (await cli("parked", "show", one["input"], "--json")).json
        assert one == {name: shown[name] for name in one}
    assert await live.events(InputParked.type) == 2
    done = await cli("parked", "discard", third, "--reason", "not wanted")
    assert (done.code, "1 accepted" in done.err) == (Exit.DONE, True)
    assert await live.total() == 4
    assert (await cli("parked", "list")).err.strip() == "Nothing is parked."
