"""up and down, in a process of their own, as somebody at a terminal has them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from deploy.cli import up
from deploy.cli.exits import Exit
from deploy.cli.fed import FILE
from deploy.cli.up import SAMPLE_BEGUN
from deploy.local import stack, state
from deploy.sample.summary import Summary
from shared.contract.envelope import complaint_id
from tests.deploy.cli.conftest import exported, makegood
from tests.servers import ROLE_PASSWORD
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
    assert err.startswith("starting PostgreSQL and Kafka\n"), "where nobody looks on, each step is a line"
    assert "another program" not in err.lower()


def test_a_port_that_another_program_took_is_told(home):
    stack.stop(home)
    ports = json.loads((home / "ports.json").read_text())
    with socket.create_server(("127.0.0.1", ports["console"])):
        code, out, err = run("up", "--no-sample", home=home)
    assert code == Exit.DONE, err
    now = json.loads((home / "ports.json").read_text())["console"]
    assert f"Another program has port {ports['console']}, so console moves to {now}.\n" in err
    assert out.splitlines()[0].split() == ["console", f"http://127.0.0.1:{now}"]


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


def test_where_it_is_told_where_traces_go_they_are_exported_all_the_time(home, collector, monkeypatch):
    address, taken = collector
    run("down", home=home)
    monkeypatch.setenv("MAKEGOOD_OTLP", address)
    code, _, err = run("up", "--no-sample", home=home)
    assert (code, f"traces go to {address}" in err) == (Exit.DONE, True), err
    code, out, err = run("status", "--json", home=home)
    assert code == Exit.DONE, err
    [follower] = [part for part in json.loads(out)["parts"] if part["name"] == "traces"]
    assert (follower["state"], follower["address"]) == ("ready", address)
    assert "traces" not in [one["service"] for one in json.loads(out)["services"]], "it is asked nothing"

    def submit(ref):
        words = ("command", "send", f"shop:{ref}", "SubmitComplaint", "--set", "narrative=It was wet.", "--key", ref)
        until(lambda: run(*words, home=home)[0] == Exit.DONE)
        until(lambda: complaint_id("shop", ref).hex in {span.trace_id.hex() for _, span in exported(taken)})

    submit("traced-1")
    database = next(part for part in state.read(home).parts if part.name == "postgres")
    os.kill(database.pid, signal.SIGKILL)
    until(lambda: (database.pid, "ready") not in {(part.pid, part.state) for part in state.read(home).parts})
    until(lambda: parts(home)["postgres"] == "ready")
    submit("traced-2")
    assert (home / "traces.json").exists(), "it remembers where it was"
    followers = [part for part in state.read(home).parts if part.name == "traces"]
    assert [(part.pid, part.restarts) for part in followers] == [(follower["pid"], 0)], "it outlived PostgreSQL's restart"


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
    monkeypatch.setattr("os.execve", lambda *told: None)
    assert makegood("run", "intake").err.startswith("PostgreSQL does not answer yet (")
    done = makegood("install")
    assert (done.code, done.out) == (Exit.FAILED, "")
    assert done.err.startswith("It could not be installed: no PostgreSQL answers at 127.0.0.1:1")


@pytest.fixture
def installed(servers):
    """An installation of its own, on servers that others run."""
    return asyncio.run(servers.fresh_installation())


def elsewhere(monkeypatch, kafka, database):
    monkeypatch.setenv("MAKEGOOD_KAFKA", kafka)
    monkeypatch.setenv("MAKEGOOD_DATABASE", database)
    monkeypatch.setenv("MAKEGOOD_ROLE_PASSWORD", ROLE_PASSWORD)


def test_a_service_is_not_run_where_nothing_is_installed(monkeypatch, servers, tmp_path):
    became = []
    monkeypatch.setattr("os.execve", lambda *told: became.append(told))
    elsewhere(monkeypatch, servers.kafka, asyncio.run(servers.fresh_database()))
    done = makegood("run", "intake", "--home", tmp_path)
    assert (done.code, became) == (Exit.FAILED, [])
    assert "run `makegood install` first, as the database's owner." in done.err, "whether its role is there, from another database, or not"
    told = makegood("status", "--json", "--home", tmp_path).json
    assert told["wrong"] == ["Nothing is installed in this database: `makegood install` does it."]
    [wrong] = [one for one in makegood("doctor", "--json", "--home", tmp_path).json["findings"] if one["level"] == "wrong"]
    assert (wrong["about"], wrong["do"]) == ("postgres", "`makegood install`")


def test_the_doctor_says_what_to_do_on_servers_with_nothing_in_them(monkeypatch, servers, tmp_path):
    asyncio.run(servers.without_topics())
    elsewhere(monkeypatch, servers.kafka, asyncio.run(servers.fresh_database()))
    findings = makegood("doctor", "--json", "--home", tmp_path).json["findings"]
    assert [(one["about"], one["do"]) for one in findings if one["level"] == "wrong"] == [("postgres", "`makegood install`")]


def test_a_service_becomes_the_process_and_logs_in_with_its_own_role(monkeypatch, installed, tmp_path):
    became = []
    monkeypatch.setattr("os.execve", lambda *told: became.append(told))
    elsewhere(monkeypatch, installed.kafka, installed.owner_dsn)
    makegood("run", "intake", "--home", tmp_path)
    [(_, argv, environment)] = became
    assert argv[-1] == "services.intake"
    assert environment["MAKEGOOD_DATABASE"] == installed.role_dsn("intake")


def test_who_is_not_the_owner_is_told_to_be(monkeypatch, installed, tmp_path):
    elsewhere(monkeypatch, installed.kafka, installed.role_dsn("intake"))
    for words in (["status"], ["verify"]):
        done = makegood(*words, "--home", tmp_path)
        assert (done.code, "MAKEGOOD_DATABASE must name the installation's owner." in done.err) == (Exit.FAILED, True), done.err


def test_another_installations_console_is_not_taken_for_this_ones(monkeypatch, installed, system):
    elsewhere(monkeypatch, installed.kafka, installed.owner_dsn)
    assert makegood("status", "--json", "--home", system.home).json["counts"] is None
    assert makegood("complaint", "list", "--home", system.home).err.startswith("No console is known here: set MAKEGOOD_CONSOLE")


def test_servers_of_ones_own_are_fed_a_sample_only_after_a_yes(monkeypatch, installed, tmp_path):
    elsewhere(monkeypatch, installed.kafka, installed.owner_dsn)
    done = makegood("sample", "--complaints", "1", "--home", tmp_path)
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert done.err.endswith("would stand among the real ones for ever. If that is meant, say --yes.\n")
    done = makegood("sample", "--complaints", "1", "--only", "submissions", "--timeout", "1", "--home", tmp_path, "--yes")
    assert (done.code, done.err) == (
        Exit.FAILED, "Nothing was answered within 1 s. `makegood status` tells what runs; the same again goes on from here.\n",
    )  # fmt: skip


def test_a_sample_that_was_fed_before_is_said_to_be_nothing_new_at_once(cli, system):
    words = ["sample", "--complaints", "2", "--seed", "4711", "--json"]
    first = cli(*words)
    assert first.code == Exit.DONE, first.err
    began = time.monotonic()
    again = cli(*words)
    assert (again.code, again.json) == (Exit.DONE, first.json)
    assert again.err == "Nothing new: seed 4711 was fed before. Take another, as in --seed 4712.\n"
    assert time.monotonic() - began < 2
    (system.home / FILE).unlink()
    without_note = cli(*words)
    assert without_note.json == first.json
    assert without_note.err.endswith("Nothing new: seed 4711 was fed before. Take another, as in --seed 4712.\n")
    assert cli(*words[:2], "3", *words[3:]).json["complaints"] == 3, "more of the same seed are new"


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


def test_of_two_starts_at_once_one_feeds_the_sample_and_the_other_waits_for_it(system, feed, monkeypatch):
    said, waiting = [], threading.Event()

    def say(sentence, **_):
        said.append(sentence)
        if "waiting for it" in sentence:
            waiting.set()

    def feeds():
        assert waiting.wait(20), "the other has come"
        return Summary(complaints=500)

    monkeypatch.setattr("deploy.cli.output.say", say)
    monkeypatch.setattr("deploy.cli.up._counts", lambda home: {"complaints": 500 if Summary(complaints=500) in done else 0})
    feed.does, done = feeds, []
    monkeypatch.setattr("deploy.cli.fed.note", lambda home, seed, summary: done.append(summary))
    with ThreadPoolExecutor() as together:
        assert list(together.map(up._sample, [system.home] * 2)) == [True, True]
    assert feed.fed == [system.home], "one of them"
    assert said.count("Another `makegood up` brings the sample in; waiting for it.") == 1
    assert not (system.home / SAMPLE_BEGUN).exists()
