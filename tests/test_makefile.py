"""make clean, which must not pull the data out from under what runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import state
from deploy.local.part import born

ROOT = Path(__file__).parents[1]


def clean(folder):
    return subprocess.run(
        ["make", "clean"], cwd=folder, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path):
    """A clone in which something was started, and whose .venv is not usable any more."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".makegood" / "postgres").mkdir(parents=True)
    return tmp_path


def note(folder, pid):
    """The state of a supervisor, as it is written; of its parts, too, whose ids are not its own."""
    part = state.PartState(name="kafka", state="ready", pid=1, born="x", since=1.0, restarts=0, address="a", log="l")
    state.write(
        folder / ".makegood",
        state.StackState(phase="running", pid=pid, born=born(pid), release="1", started_at="now", parts=[part]),
    )


@pytest.mark.parametrize("venv", ["none", "broken"])
def test_without_what_would_stop_the_stack_nothing_is_removed_while_it_runs(folder, venv):
    if venv == "broken":
        program = folder / ".venv" / "bin" / "makegood"
        program.parent.mkdir(parents=True)
        program.write_text("#!/nowhere/python\n")
        program.chmod(0o755)
    with subprocess.Popen(["/bin/sleep", "60"]) as running:
        note(folder, running.pid)
        done = clean(folder)
        running.kill()
    assert done.returncode != 0
    assert f"process {running.pid} seems to run what lies in .makegood" in done.stderr
    assert (folder / ".makegood" / "postgres").is_dir()
    done = clean(folder)
    assert (done.returncode, (folder / ".makegood").exists()) == (0, False), done.stderr


def test_where_nothing_was_ever_started_there_is_nothing_to_refuse(folder):
    shutil.rmtree(folder / ".makegood")
    assert clean(folder).returncode == 0
    (folder / ".makegood").mkdir()
    assert clean(folder).returncode == 0
    assert not (folder / ".makegood").exists()


def test_what_runs_here_is_stopped_wherever_the_home_of_others_is(folder):
    program = folder / ".venv" / "bin" / "makegood"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@" >> told\n')
    program.chmod(0o755)
    assert clean(folder).returncode == 0
    assert (folder / "told").read_text().splitlines() == ["--version", "down --home .makegood"]
