"""Services killed in mid-load, again and again: every count exact, every ledger whole, no hand needed."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import httpx
import pytest

from deploy.cli.minds import MINDS
from deploy.local import state
from shared.machine.proof import verify_shard
from shared.machine.replay import check_shard
from shared.machine.told import Reader
from tests.system import SHARDS, started

SERVICES = ("intake", "resolution", "rootcause", "console")
ROWS = 12_000
KILLS = 3


@pytest.fixture(scope="module")
def own():
    """A system of this module's own: what happens to it is nobody else's business."""
    with started() as found:
        yield found


def test_killed_in_mid_load_nothing_is_lost_or_doubled(own, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"ref": f"K-{n}", "narrative": f"Loaf {n} was wet.", "product": "bread"}) + "\n" for n in range(ROWS))
    )
    words = [str(Path(sys.executable).with_name("makegood")), "submit", "--format", "jsonl", "--source", "kills", "--json", str(rows)]
    submitting = subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "MAKEGOOD_HOME": str(own.home)}, cwd=Path.cwd())
    killed = 0
    for _ in range(KILLS):
        time.sleep(0.7)
        for name in random.Random(killed).sample(SERVICES, len(SERVICES)):
            killed += kill(own.home, name)
            time.sleep(0.15)
    out, _ = submitting.communicate(timeout=240)
    assert submitting.returncode == 0
    assert json.loads(out.splitlines()[-1]) == {"rows": ROWS, "accepted": ROWS, "repeated": 0, "conflicting": 0, "bad": 0}
    assert killed >= KILLS
    catches_up(own)
    assert asyncio.run(counted(own)) == ROWS
    asyncio.run(proven(own))


def kill(home, name):
    """Kills a service where it runs; whether it did."""
    part = next(part for part in state.read(home).parts if part.name == name)
    if part.pid is None:
        return 0
    os.kill(part.pid, signal.SIGKILL)
    return 1


def catches_up(own):
    """The console comes to know of every one of them by itself."""
    deadline = time.monotonic() + 120
    while not knows_all(own):
        assert time.monotonic() < deadline, "it does not catch up"
        time.sleep(0.2)


def knows_all(own):
    try:
        with own.http() as client:
            return client.get("/api/counts").json().get("complaints") == ROWS and client.get("/readyz").json()["ready"]
    except (httpx.HTTPError, ValueError):
        return False


async def counted(own):
    """How many complaints intake's ledger says were received."""
    connection = await asyncpg.connect(own.stack.owner_dsn)
    try:
        return await connection.fetchval("SELECT count(*) FROM intake.ledger WHERE type = 'intake.ComplaintReceived.v1'")
    finally:
        await connection.close()


async def proven(own):
    """Every ledger is whole, every journal replays to it, and the console has seen all of it, unchanged."""
    for service, mind in MINDS.items():
        connection = await asyncpg.connect(own.stack.owner_dsn, server_settings={"search_path": service})
        for shard in range(SHARDS):
            whole = await verify_shard(connection, mind, shard)
            await check_shard(connection, mind, Reader(mind, SHARDS, ("complaints.submissions",), "g1"), shard)
            seen = await connection.fetchrow(
                "SELECT position, hash FROM console.places WHERE service = $1 AND shard = $2", service, shard
            )  # fmt: skip
            assert (seen["position"], seen["hash"].hex()) == (whole.events, whole.hash)
        await connection.close()
