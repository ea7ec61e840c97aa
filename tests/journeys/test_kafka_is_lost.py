"""All of Kafka is lost: the disk under it, or the machine. What was decided is in the ledgers, and everybody goes on from there."""

import asyncio
import json
import os
import shutil
import subprocess
import sys

import asyncpg
import pytest

from deploy.cli.exits import Exit
from deploy.local import stack
from shared.contract.envelope import SERVICES
from tests.shared.machine.live import until
from tests.system import started

CAUGHT_UP_SECONDS = 60


@pytest.fixture(scope="module")
def ours():
    """A system that may lose its ground."""
    with started() as found:
        yield found


def makegood(home, *words):
    """Runs the command line as a program."""
    environment = {**os.environ, "MAKEGOOD_HOME": str(home), "MAKEGOOD_SHARDS": "4"}
    return subprocess.run(
        [sys.executable, "-P", "-m", "deploy.cli", *words], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


async def hashes(system):
    """Where every ledger ends, and how far the console has seen each: (position, hash)."""
    connection = await asyncpg.connect(system.stack.owner_dsn)
    try:
        ledgers = {
            (service, row["shard"]): (row["position"], row["hash"])
            for service in SERVICES
            for row in await connection.fetch(f"SELECT shard, position, hash FROM {service}.head")
        }
        places = await connection.fetch("SELECT service, shard, position, hash FROM console.places")
    finally:
        await connection.close()
    return ledgers, {(row["service"], row["shard"]): (row["position"], row["hash"]) for row in places}


async def caught_up(system):
    ledgers, places = await hashes(system)
    return ledgers if ledgers == places else None


def test_all_of_kafka_is_lost_and_everybody_goes_on(ours):
    complaints = [ours.submit(product="bread") for _ in range(6)]
    for complaint in complaints:
        ours.ask(complaint, "AssignOwner", owner="person:anna")
        ours.ask(complaint, "AcceptOwnership")
    before = asyncio.run(until(lambda: caught_up(ours), CAUGHT_UP_SECONDS))
    assert makegood(ours.home, "topics", "rebuild", "--yes", "--reason", "lost").returncode == Exit.CONFLICT, (
        "while everything runs it is refused"
    )
    stack.stop(ours.home)
    shutil.rmtree(ours.home / "kafka")

    refused = makegood(ours.home, "up", "--no-sample")
    assert refused.returncode == Exit.FAILED
    assert "a different Kafka cluster is behind the address" in refused.stderr
    cluster = refused.stderr.partition("--cluster ")[2].partition("`")[0]

    losing = makegood(ours.home, "topics", "rebuild", "--cluster", cluster)
    assert losing.returncode == Exit.CONFLICT
    assert "complaints.submissions is begun anew: intake, shards 0 to 3" in losing.stderr
    done = makegood(ours.home, "topics", "rebuild", "--cluster", cluster, "--yes", "--reason", "the disk died", "--json")
    assert done.returncode == Exit.DONE, done.stderr
    assert json.loads(done.stdout)["written"] == sum(position for position, _ in before.values())

    assert makegood(ours.home, "up", "--no-sample").returncode == Exit.DONE
    for complaint in complaints:
        assert ours.ask(complaint, "Acknowledge", text="Dear Bo, we heard you.").status_code == 200
    later = ours.submit(product="cake")
    ours.until(later, stage="own")
    after = asyncio.run(until(lambda: caught_up(ours), CAUGHT_UP_SECONDS))
    assert all(after[place][0] >= position for place, (position, _) in before.items())
    asyncio.run(until(lambda: well(ours), CAUGHT_UP_SECONDS))
    assert makegood(ours.home, "verify").returncode == Exit.DONE
    assert makegood(ours.home, "replay", "--check").returncode == Exit.DONE


def well(system):
    return makegood(system.home, "doctor").returncode == Exit.DONE


def test_where_only_the_data_was_wiped_it_is_the_same_cluster(ours):
    before = asyncio.run(until(lambda: caught_up(ours), CAUGHT_UP_SECONDS))
    stack.stop(ours.home)
    shutil.rmtree(ours.home / "kafka" / "data")
    assert makegood(ours.home, "topics", "rebuild", "--yes", "--reason", "lost").returncode == Exit.DONE
    assert makegood(ours.home, "up", "--no-sample").returncode == Exit.DONE
    assert asyncio.run(until(lambda: caught_up(ours), CAUGHT_UP_SECONDS)).keys() == before.keys()
    ours.until(ours.submit(product="cake"), stage="own")
