"""One program under the supervisor, with programs that are a line of shell."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.local import part as parts
from deploy.local.part import Part, PartFailed, Program, State, born, finish, rotate, tied

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(parts, "FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture
def program(tmp_path):
    """A program that lives on; it says `up` where it is ready."""

    def made(script="touch up; exec sleep 60", **told):
        async def ready():
            return (tmp_path / "up").exists()

        script = f"cd {tmp_path}; {script}"
        terms = {"ready": ready, "start_seconds": 5, "stop_seconds": 5} | told
        return Program("a program", ("/bin/sh", "-c", script), "nowhere", tmp_path / "logs" / "log", **terms)

    return made


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.01)


def lives(pid):
    return born(pid) is not None


async def test_it_is_started_told_of_when_ready_and_stopped(program):
    seen = []
    part = Part(program(), lambda: seen.append((part.state, part.pid)))
    await part.start()
    pid = part.pid
    assert lives(pid)
    await part.stop()
    assert not lives(pid)
    assert [state for state, _ in seen] == [State.STARTING, State.READY, State.STOPPING, State.STOPPED]
    assert (part.pid, part.restarts) == (None, 0)


async def test_when_it_dies_it_is_started_again_and_ready_again(program):
    part = Part(program())
    await part.start()
    first = part.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: part.state is State.READY and part.pid != first)
    assert part.restarts == 1
    await part.stop()


async def test_the_pauses_grow_while_it_keeps_dying(program, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "LONGEST_PAUSE_SECONDS", 0.16)
    part = Part(program("touch up; date +%s.%N >> starts; sleep 0.1"))
    await part.start()
    await until(lambda: part.restarts >= 6)
    await part.stop()
    starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert gaps[3] > gaps[0] + 0.05
    assert all(gap < 1 for gap in gaps)


async def test_one_that_dies_again_and_again_before_it_was_ever_ready_has_failed_and_its_last_words_are_told(program):
    part = Part(program("echo the disk is made of cheese; exit 7"))
    with pytest.raises(PartFailed, match=r"(?s)a program ended \(exit code 7\), before it was ever ready: see .*log.*made of cheese"):
        await part.start()
    assert part.state is State.STOPPED
    await part.stop()


async def test_one_that_is_never_ready_has_failed_and_is_gone(program):
    part = Part(program("exec sleep 60", start_seconds=0.3))
    starting = asyncio.create_task(part.start())
    await until(lambda: part.pid)
    pid = part.pid
    with pytest.raises(PartFailed, match="was not ready within 0 s"):
        await starting
    assert not lives(pid)


async def test_one_that_hangs_when_it_is_started_again_is_ended_and_started_once_more(program, tmp_path):
    part = Part(program("[ -e hang ] && rm hang && exec sleep 60; touch up; exec sleep 60", start_seconds=0.5))
    await part.start()
    (tmp_path / "hang").touch()
    (tmp_path / "up").unlink()
    os.kill(part.pid, signal.SIGKILL)
    await until(lambda: part.restarts == 2 and part.state is State.READY)
    await part.stop()


async def test_a_readiness_that_raises_is_none_yet(program, tmp_path):
    async def ready():
        return (tmp_path / "up").read_text() == "yes\n"

    part = Part(program("sleep 0.2; echo yes > up; exec sleep 60", ready=ready))
    await part.start()
    assert part.state is State.READY
    await part.stop()


async def test_one_that_does_not_listen_is_killed_with_its_children(program, tmp_path):
    part = Part(program("trap '' TERM; sleep 61 & echo $! > child; touch up; while :; do sleep 1; done", stop_seconds=0.3))
    await part.start()
    child = int((tmp_path / "child").read_text())
    pid = part.pid
    await part.stop()
    await until(lambda: not lives(pid) and not lives(child))


@pytest.mark.parametrize("delay", [0, 0.001, 0.01, 0.03, 0.1])
async def test_a_stop_at_any_moment_of_the_start_leaves_nothing(program, tmp_path, delay):
    part = Part(program("echo $$ > pid; touch up; exec sleep 60"))
    starting = asyncio.create_task(part.start())
    await asyncio.sleep(delay)
    async with asyncio.timeout(5):
        await part.stop()
        await asyncio.gather(starting, return_exceptions=True)
    assert part.state is State.STOPPED
    assert not (tmp_path / "pid").exists() or not lives(int((tmp_path / "pid").read_text()))


async def test_a_stop_between_two_lives_does_not_wait_for_the_next(program, monkeypatch):
    monkeypatch.setattr(parts, "FIRST_PAUSE_SECONDS", 60.0)
    part = Part(program())
    await part.start()
    os.kill(part.pid, signal.SIGKILL)
    await until(lambda: part.state is State.WAITING)
    async with asyncio.timeout(2):
        await part.stop()


async def test_what_cannot_be_started_just_now_is_tried_again(program):
    failures = iter([OSError("no more processes")])

    def before():
        for failure in failures:
            raise failure

    part = Part(program(before=before))
    await part.start()
    assert (part.state, part.restarts) == (State.READY, 1)
    await part.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_program_is_told_when_the_one_that_started_it_is_killed(tmp_path):
    script = "trap 'echo told > told; exit' TERM; echo $$ > pid; while :; do sleep 0.05; done"
    parent = f"""
import subprocess, sys, time
sys.path.insert(0, {str(Path.cwd())!r})
from deploy.local.part import tied
child = subprocess.Popen(tied(("/bin/sh", "-c", {script!r})), start_new_session=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], cwd=tmp_path) as started:
        deadline = time.monotonic() + 10
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        started.kill()
    pid = int((tmp_path / "pid").read_text())
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (tmp_path / "told").read_text() == "told\n"
    assert not lives(pid)


def test_a_program_whose_starter_is_dead_already_does_not_begin(tmp_path):
    words = tied(("/bin/touch", str(tmp_path / "begun")))
    words[5] = "1"  # the starter that is named is not the one that starts it
    assert subprocess.run(words, check=False).returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "begun").exists()


def test_a_tool_that_fails_says_why():
    finish(("/bin/true",), 5)
    with pytest.raises(RuntimeError, match="exit code 3: no space"):
        finish(("/bin/sh", "-c", "echo no space; exit 3"), 5)
    with pytest.raises(RuntimeError, match="longer than 0 s"):
        finish(("/bin/sleep", "60"), 0.1)


def test_a_process_is_named_by_its_id_and_birth():
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        assert born(child.pid) == born(child.pid) != born(os.getpid())
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert born(child.pid) is None, "a zombie lives no more"
    assert born(child.pid) is None
    assert born(None) is None


def test_a_log_that_has_grown_large_is_put_aside_and_three_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "LOG_BYTES", 5)
    log = tmp_path / "logs" / "log"
    for text in ("first", "second", "third", "fourth", "fifth", "six"):
        rotate(log)
        log.write_text(text)
    rotate(log)
    assert {file.name: file.read_text() for file in log.parent.iterdir()} == {
        "log": "six", "log.1": "fifth", "log.2": "fourth", "log.3": "third",
    }  # fmt: skip


async def test_whoever_writes_to_a_log_that_is_put_aside_goes_on_at_its_new_beginning(program, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "LOG_BYTES", 5)
    part = Part(program("echo before; touch up; until [ -e go ]; do sleep 0.01; done; echo after; exec sleep 60"))
    await part.start()
    log = part.program.log
    rotate(log)
    assert log.read_text() == ""
    (tmp_path / "go").touch()
    await until(lambda: log.read_bytes() == b"after\n")
    assert log.with_name("log.1").read_text() == "before\n"
    await part.stop()
