"""Feeding and listening while the broker is away: the end comes within seconds, and what is said at the end is true."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.cli.exits import Exit
from deploy.feed.listener import Listener
from deploy.local import state
from shared.contract.envelope import complaint_id, events_topic
from tests.system import SHARDS, started

PLACES = [(events_topic("intake"), SHARDS)]
BACK_SECONDS = 60
ENDS_SECONDS = 60
FEW = 100


@pytest.fixture(scope="module")
def own():
    """A system of this module's own: its broker goes away."""
    with started() as found:
        yield found


def part(home, name):
    return next(part for part in state.read(home).parts if part.name == name)


@contextlib.contextmanager
def gone(home):
    """The broker is killed, and whoever would start it again is held meanwhile; it is back afterwards."""
    supervisor, broker = state.read(home).pid, part(home, "kafka").pid
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(broker, signal.SIGKILL)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)
        deadline = time.monotonic() + BACK_SECONDS
        while part(home, "kafka").pid in {None, broker} or part(home, "kafka").state != "ready":
            assert time.monotonic() < deadline, part(home, "kafka")
            time.sleep(0.1)


async def test_a_listener_whose_broker_is_gone_hears_nothing_and_ends_as_if_nothing_were(own, caplog):
    before = asyncio.all_tasks()
    async with Listener(own.stack.kafka, PLACES) as listener:
        await listener.heard()
        with gone(own.home):
            assert [await listener.heard() for _ in range(3)] == [[], [], []]
            await listener.__aexit__(None, None, None)
            assert asyncio.all_tasks() <= before
            assert await listener.heard() == [], "nobody answers who is asked anew"
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_whoever_stops_a_listener_can_be_stopped(own):
    async with Listener(own.stack.kafka, PLACES) as listener:
        await listener.heard()
        with gone(own.home):
            await listener.heard()
            ending = asyncio.create_task(listener.__aexit__(None, None, None))
            await asyncio.sleep(0)
            ending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ending


@contextlib.contextmanager
def asleep(home, name):
    """A service that does nothing for a while."""
    pid = part(home, name).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def ticket():
    return json.dumps({"ref": uuid4().hex, "narrative": "The bread was wet."}) + "\n"


def makegood(own, *words):
    program = [str(Path(sys.executable).with_name("makegood")), *words, "--json", "--home", str(own.home)]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_whoever_gives_up_is_told_the_counts_and_which_rows_are_safe(own):
    first, three, two = ticket(), "".join(ticket() for _ in range(3)), "".join(ticket() for _ in range(2))
    with makegood(own, "submit", "--format", "jsonl", "--source", "away", "--timeout", "5", "-") as submitting:

        def write(rows):
            submitting.stdin.write(rows)
            submitting.stdin.flush()

        write(first)
        own.until(complaint_id("away", json.loads(first)["ref"]), source="away")
        with asleep(own.home, "intake"):
            write(three)
            time.sleep(1)
            with gone(own.home):
                write(two)
                submitting.wait(ENDS_SECONDS)  # though nobody closes the pipe
                out, err = submitting.communicate()
    assert "Traceback" not in err, err
    assert submitting.returncode == Exit.FAILED
    assert json.loads(out) == {"rows": 1, "accepted": 1, "repeated": 0, "conflicting": 0, "bad": 0}
    assert err.splitlines()[-1] == (
        "5 rows got no answer within 5 s. 3 rows: safe in Kafka; the services take them when they are back (`makegood status`). 2 rows: not"
        " acknowledged by Kafka; nobody knows whether it has them. What comes after them was not sent. Submit the same again: nothing"
        " happens twice."
    )
    assert "Traceback" not in err
    with makegood(own, "submit", "--format", "jsonl", "--source", "away", "-") as again:
        out, _ = again.communicate(first + three + two)
    counts = json.loads(out)
    assert counts["accepted"] in {2, 5}, "the two that nobody knew of, and the three, if the services were not back yet"
    assert counts["accepted"] + counts["repeated"] == counts["rows"] == 6


def known(own):
    with own.http() as client:
        return client.get("/api/counts").json()["complaints"]


def test_a_sample_without_a_broker_ends_in_time_and_tells_what_is_not_known(own):
    before = known(own)
    feeding = makegood(own, "sample", "--complaints", "4000", "--rate", "50", "--seed", "77", "--timeout", "4")
    with feeding:
        deadline = time.monotonic() + ENDS_SECONDS
        while known(own) < before + FEW:
            assert time.monotonic() < deadline, "it does not begin"
            time.sleep(0.1)
        with gone(own.home):
            feeding.wait(ENDS_SECONDS)
            out, err = feeding.communicate()
    assert feeding.returncode == Exit.FAILED, err
    assert 0 < json.loads(out)["complaints"] < 4000
    told = err.splitlines()[-1]
    assert "Traceback" not in err
    assert "of their messages: not acknowledged by Kafka; nobody knows whether it has them. The same again goes on from there" in told
