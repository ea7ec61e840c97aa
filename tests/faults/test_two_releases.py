"""Two releases side by side, as while they are exchanged one machine after the other: two processes of one service, on the same shards."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from shared.contract.envelope import shard_of
from tests.faults.release import RELEASES
from tests.shared.machine.live import STREAMS, Live, adds, is_so, until

SOON_SECONDS = 60
OLD, NEW = RELEASES[1].rules, RELEASES[2].rules


@pytest.fixture
async def live(servers):
    found = Live(await servers.fresh_installation())
    found.mind = RELEASES[2]
    yield found
    await found.stop()


@contextmanager
def process(live, release, log):
    """A process of its own."""
    environment = {**os.environ, **live.installation.env("intake"), "MAKEGOOD_SESSION_TIMEOUT_MS": "6000"}
    with log.open("ab") as file:
        child = subprocess.Popen([sys.executable, "-m", "tests.faults.release", str(release)], env=environment, stdout=file, stderr=file)
        try:
            yield child
        finally:
            child.terminate()
            child.wait(30)


async def rules(live):
    """By which rules each shard is decided."""
    connection = await live.owner()
    try:
        return [row["rules"] for row in await connection.fetch("SELECT rules FROM head ORDER BY shard")]
    finally:
        await connection.close()


async def test_an_older_and_a_newer_process_side_by_side_decide_each_shard_by_one_releases_rules_at_a_time(live, tmp_path):
    by_shard = [[stream for stream in STREAMS if shard_of(stream, live.shards) == shard] for shard in range(live.shards)]
    with process(live, 1, tmp_path / "older.log"):
        await live.send(*adds(80))
        await until(lambda: is_so(live.total(), 80), SOON_SECONDS)
        assert await rules(live) == [OLD] * live.shards
        with process(live, 2, tmp_path / "newer.log"):
            await until(lambda: assigned(tmp_path / "newer.log") and len(assigned(tmp_path / "older.log")) == 2, SOON_SECONDS)
            newer, older = assigned(tmp_path / "newer.log")[-1], assigned(tmp_path / "older.log")[-1]
            assert sorted([*newer, *older]) == list(range(live.shards))
            await live.send(*adds(80))
            tenfold = sum(10 if shard_of(STREAMS[n % len(STREAMS)], live.shards) in newer else 1 for n in range(80))
            await until(lambda: is_so(live.total(), 80 + tenfold), SOON_SECONDS)
            of = await rules(live)
            assert of == [NEW if shard in newer else OLD for shard in range(live.shards)]
        # the newer one is gone: its shards are not decided by older rules, the others go on
        total = await live.total()
        await live.send(*adds(10, of=by_shard[newer[0]]), *adds(10, of=by_shard[older[0]]))
        await until(lambda: is_so(live.total(), total + 10), SOON_SECONDS)
        await until(lambda: f"rules {NEW}" in (tmp_path / "older.log").read_text(), SOON_SECONDS)
        assert await rules(live) == of
    with process(live, 2, tmp_path / "newer.log"):
        await until(lambda: is_so(live.total(), total + 10 + 100), SOON_SECONDS)
        await until(live.relayed, SOON_SECONDS)
    on_kafka = await live.on_kafka()
    for one in await live.prove():
        assert list(dict.fromkeys(on_kafka[one.shard])) == list(range(1, one.events + 1))


def assigned(log):
    """The shards that a process was given, each time."""
    lines = map(json.loads, filter(None, log.read_text().splitlines())) if log.exists() else ()
    return [line["shards"] for line in lines if line["event"] == "assigned"]
