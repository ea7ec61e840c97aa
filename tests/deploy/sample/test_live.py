"""The sample on a whole running system: fed once, fed again, through kills, and as what an installation begins with."""

import asyncio
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from deploy.cli.exits import Exit
from deploy.cli.main import app
from deploy.local import state
from deploy.sample.feed import FIRST_COMPLAINTS, Terms, feed, first_sample, shown
from deploy.sample.paths import script_of
from tests.deploy.sample.minds import BEGAN
from tests.system import NAMES, started

FEW = 60
SEED = 60
COUNTED = ("complaints", "by_stage", "refusals", "parked", "with_conflicts")


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def fed(system):
    """A small sample, gone through, and what the console counted before and after."""
    before = counts(system)
    summary = asyncio.run(feed(Terms(system.stack.kafka, FEW, SEED)))
    assert summary.unexpected == 0, summary.shown
    return summary, before, settled(system, before["complaints"] + FEW)


@pytest.fixture(scope="module")
def own():
    """A system of this module's own: new, and what happens to it is nobody else's business."""
    with started() as found:
        yield found


def counts(system):
    with system.http() as client:
        return {name: client.get("/api/counts").json()[name] for name in COUNTED}


def settled(system, complaints):
    """The counts, when they have not changed for a moment."""
    deadline = time.monotonic() + 30
    seen = [counts(system)]
    while len(seen) < 3 or any(one != other for one, other in pairwise(seen[-3:])) or seen[-1]["complaints"] < complaints:
        assert time.monotonic() < deadline, seen[-1]
        time.sleep(0.2)
        seen.append(counts(system))
    return seen[-1]


def planned(seed, many):
    return Counter(script_of(seed, number, BEGAN).reaches for number in range(many))


def test_a_sample_goes_through_and_every_stage_fills(fed):
    summary, before, after = fed
    assert not summary.unanswered
    assert summary.complaints == FEW
    assert summary.stages == planned(SEED, FEW)
    gained = {stage: after["by_stage"][stage] - before["by_stage"][stage] for stage in after["by_stage"]}
    assert gained == dict(summary.stages)
    assert after["refusals"] - before["refusals"] == summary.refused > 0


def test_it_brings_a_conflict_and_what_cannot_be_read(fed):
    _, before, after = fed
    assert after["with_conflicts"] > before["with_conflicts"]
    assert after["parked"] > before["parked"]


def test_the_same_seed_again_changes_nothing(system, fed):
    first, _, after = fed
    again = asyncio.run(feed(Terms(system.stack.kafka, FEW, SEED)))
    assert again.as_dict() == first.as_dict()
    assert again.repeated == again.answered
    assert settled(system, after["complaints"]) == after


def makegood(system, *words):
    done = CliRunner().invoke(app, [*words, "--home", str(system.home), "--json"])
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


def test_the_command_tells_what_became_of_it(system, fed):
    code, said = makegood(system, "sample", "--complaints", str(FEW), "--seed", str(SEED))
    assert (code, said) == (Exit.DONE, fed[0].as_dict())


def test_submissions_alone_are_counted_as_submit_counts_them(system):
    words = ("sample", "--only", "submissions", "--complaints", "250", "--seed", str(SEED))
    assert makegood(system, *words) == (Exit.DONE, {"rows": 250, "accepted": 250, "repeated": 0, "conflicting": 0, "bad": 0})
    assert makegood(system, *words) == (Exit.DONE, {"rows": 250, "accepted": 0, "repeated": 250, "conflicting": 0, "bad": 0})


def test_a_rate_is_kept(system):
    summary = asyncio.run(feed(Terms(system.stack.kafka, 40, SEED + 1, worked=False, rate=20)))
    assert summary.submissions == {"accepted": 40}
    assert summary.seconds > 39 / 20


# ---- a system of its own ---------------------------------------------------------------------------------------------------


def test_a_new_installation_begins_with_all_there_is_to_see(own):
    summary = first_sample(own.stack)
    found = counts(own)
    assert summary.complaints == found["complaints"] == FIRST_COMPLAINTS
    assert found["by_stage"] == dict(summary.stages)
    assert min(found["by_stage"].values()) >= 50
    assert found["refusals"] == summary.refused > 100
    assert found["with_conflicts"] >= 1
    assert 1 <= found["parked"] <= 2
    assert summary.unexpected == 0, summary.shown
    assert summary.seconds < 60


def test_services_and_the_broker_killed_in_mid_run_change_nothing_of_it(own):
    before = counts(own)
    over = threading.Event()
    killing = threading.Thread(target=kill_again_and_again, args=(own.home, over))
    killing.start()
    try:
        summary = asyncio.run(feed(Terms(own.stack.kafka, 200, SEED)))
    finally:
        over.set()
        killing.join()
    assert summary.unexpected == 0, summary.shown
    assert not summary.unanswered
    assert summary.stages == planned(SEED, 200)
    assert asyncio.run(shown(own.console, summary))
    after = settled(own, before["complaints"] + 200)
    assert after["refusals"] - before["refusals"] == summary.refused


def kill_again_and_again(home, over):
    dice = random.Random(5)
    for name in ("intake", "kafka", "resolution", "rootcause", "console", "intake"):
        if over.wait(dice.uniform(0.6, 1.4)):
            return
        part = next(part for part in state.read(home).parts if part.name == name)
        if part.pid is not None and state.same(part.pid, part.born):
            os.kill(part.pid, signal.SIGKILL)
