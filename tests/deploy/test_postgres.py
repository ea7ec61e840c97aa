"""The embedded PostgreSQL's lock file, when its process id is somebody else's by now."""

import shutil
import subprocess
import time

import pytest

from deploy.local.postgres import _forget_dead


@pytest.fixture
def server(tmp_path):
    """Starts what looks like a server, at work in a folder, and notes it as the one of `data`."""
    started = []

    def begin(name, folder):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        shutil.copy("/bin/sleep", program)
        started.append(subprocess.Popen([program, "60"], cwd=folder))
        time.sleep(0.1)  # until it is that program
        (tmp_path / "data" / "postmaster.pid").write_text(f"{started[-1].pid}\n{tmp_path}/data\n")
        return tmp_path / "data"

    for folder in ("data", "another"):
        (tmp_path / folder).mkdir()
    yield begin
    for process in started:
        process.kill()
        process.wait()


def is_kept(data):
    _forget_dead(data)
    return (data / "postmaster.pid").exists()


def test_the_lock_of_a_server_that_runs_is_kept_also_when_its_home_was_moved(server, tmp_path):
    data = server("postgres", tmp_path / "data")
    assert is_kept(data)
    assert is_kept(data.rename(tmp_path / "moved"))


@pytest.mark.parametrize(("name", "folder"), [("postgres", "another"), ("sleep", "data")])
def test_a_lock_whose_process_is_another_homes_server_or_another_program_is_removed(server, tmp_path, name, folder):
    assert not is_kept(server(name, tmp_path / folder))
