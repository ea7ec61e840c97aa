"""up and down, in a process of their own, as somebody at a terminal has them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from deploy.cli.exits import Exit
from deploy.cli.up import SAMPLE_BEGUN
from deploy.local import stack, state
from deploy.sample.summary import Summary
from tests.deploy.cli.conftest import makegood
from tests.system import NAMES

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[3]
INTERRUPTED = 128 + signal.SIGINT
MAKEGOOD = [sys.executable, "-m", "deploy.cli"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("up") / "home"
    yield home
    stack.stop(home)


def begin(*words, home):
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    environment |= {"MAKEGOOD_SHARDS": "1", "MAKEGOOD_HOME": str(home)}
    return subprocess.Popen([*MAKEGOOD, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*words, home):
    process = begin(*words, home=home)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def of(home):
    """All processes that have to do with a home."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        told = [*(process.info["cmdline"] or ()), (process.info["environ"] or {}).get("MAKEGOOD_HOME", "")]
        if any(word == str(home) or word.startswith(f"{home}/") for word in told):
            found.append(process)
    return found


def parts(home):
    found = state.read(home)
    return {part.name: part.state for part in found.parts} if found else {}


MOMENTS = {
    "at once": (lambda home: True, signal.SIGINT),
    "when the supervisor has begun": (lambda home: state.read(home) is not None, signal.SIGTERM),
    "while Kafka starts": (lambda home: "kafka" in parts(home), signal.SIGINT),
    "while services start": (lambda home: "intake" in parts(home), signal.SIGINT),
}


def test_an_interrupt_at_any_moment_leaves_nothing_running_and_nothing_broken(home):
    for moment, (reached, sent) in MOMENTS.items():
        process = begin("up", "--no-sample", home=home)
        until(lambda reached=reached: reached(home))
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) in {(INTERRUPTED, ""), (-sent, "")}, (moment, err)
        assert of(home) == [], moment
    code, out, err = run("up", "--no-sample", home=home)
    assert code == Exit.DONE, err


def test_a_start_tells_what_is_ready_and_where_the_console_is(home):
    stack.stop(home)
    code, out, err = run("up", "--no-sample", home=home)
    assert code == Exit.DONE, err
    ready = [line.split(" is ready at ")[0] for line in err.splitlines() if " is ready at " in line]
    assert set(ready[:2]) == {"postgres", "kafka"}
    assert set(ready[2:]) == {"intake", "resolution", "rootcause", "console"}
    console = state.read(home).console
    assert out.splitlines()[0].split() == ["console", console]
    assert out.splitlines()[1].split()[:2] == ["complaints", "0"]
    assert out.count("\n  makegood ") == 3


def test_what_is_suggested_works_as_it_is_printed(home):
    code, out, _ = run("up", "--no-sample", home=home)
    assert code == Exit.DONE
    for line in out.splitlines():
        if line.startswith("  makegood "):
            words = line.strip().replace("makegood", f"{sys.executable} -m deploy.cli", 1)
            environment = {**os.environ, "MAKEGOOD_HOME": str(home)}
            done = subprocess.run(["sh", "-c", words], cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
            assert done.returncode == Exit.DONE, (line, done.stderr)


def test_a_second_start_finds_the_first_and_an_interrupt_of_it_stops_nothing(home):
    before = state.read(home)
    code, _, err = run("up", "--no-sample", home=home)
    assert code == Exit.DONE
    assert err.startswith("Everything runs already")
    process = begin("up", "--no-sample", home=home)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert state.read(home) == before


def test_a_stop_leaves_nothing_running_and_nothing_to_stop_is_no_error(home):
    code, out, err = run("down", home=home)
    assert (code, out) == (Exit.DONE, "")
    assert err.startswith("Stopped.")
    assert of(home) == []
    assert run("down", home=home) == (Exit.DONE, "", f"Nothing runs in {home}.\n")


def test_up_is_not_for_servers_from_outside_and_says_what_is(monkeypatch):
    monkeypatch.setenv("MAKEGOOD_KAFKA", "kafka.example:9092")
    monkeypatch.setenv("MAKEGOOD_DATABASE", "postgresql://owner@db.example/makegood")
    done = makegood("up")
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert "makegood install" in done.err
    assert "makegood run intake" in done.err


def test_install_and_run_say_what_they_need(monkeypatch, tmp_path):
    done = makegood("install")
    assert (done.code, "MAKEGOOD_KAFKA" in done.err) == (Exit.USAGE, True)
    assert makegood("run", "kitchen").code == Exit.USAGE
    monkeypatch.setenv("MAKEGOOD_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("MAKEGOOD_DATABASE", "postgresql://makegood@127.0.0.1:1/makegood")
    assert makegood("run", "console", "--home", tmp_path).err.startswith("The console needs a port")
    done = makegood("install")
    assert (done.code, done.out) == (Exit.FAILED, "")
    assert done.err.startswith("It could not be installed: no PostgreSQL answers at 127.0.0.1:1")


@pytest.fixture
def feed(monkeypatch):
    """Stands for the sample's feed: what it does is set by the test."""
    fed = []

    def first_sample(stack, progress):
        fed.append(stack.home)
        progress(1)
        return feed.does()

    feed = SimpleNamespace(fed=fed, does=lambda: Summary(complaints=500))
    monkeypatch.setattr("deploy.sample.feed.first_sample", first_sample)
    return feed


def test_where_there_are_complaints_no_sample_comes_in(cli, system, walked, feed):
    assert cli("up").code == Exit.DONE
    assert feed.fed == []


def test_a_sample_that_was_interrupted_goes_on_at_the_next_start(cli, system, walked, feed):
    begun = system.home / SAMPLE_BEGUN
    begun.touch()

    def fails():
        raise TimeoutError("no answer came")

    feed.does = fails
    done = cli("up")
    assert (done.code, begun.exists()) == (Exit.FAILED, True)
    assert "The sample did not come in whole: no answer came. `makegood up` goes on with it." in done.err
    assert done.out.startswith("console "), "everything runs all the same"
    feed.does = lambda: Summary(complaints=500)
    done = cli("up")
    assert (done.code, begun.exists()) == (Exit.DONE, False)
    assert "A sample of 500 complaints came in" in done.err
    assert feed.fed == [system.home, system.home]
