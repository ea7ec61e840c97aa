"""The embedded stack, killed and stopped in all the ways there are. One small service stands for the real ones."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.local import stack, state
from deploy.local.part import LOG_BYTES, born
from tests.deploy.test_ports import listening

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parent.parent.parent
SMALL, BROKEN = "tests.deploy.small.supervisor", "tests.deploy.small.broken_supervisor"
TOPIC = "intake.events"
GONE_SECONDS = 5.0
DEEP = "a folder/with a name/that goes on and on and on and on/until no socket could ever lie in it/and then on"


@pytest.fixture(scope="module", autouse=True)
def _ours():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # where the small service is found
        for name in ("MAKEGOOD_KAFKA", "MAKEGOOD_DATABASE", "MAKEGOOD_CONSOLE", "MAKEGOOD_ROLE_PASSWORD"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory, _ours):
    """The home of a stack that runs; a test that stops it starts it again."""
    home = tmp_path_factory.mktemp("stack") / DEEP
    up(home)
    asyncio.run(remember(home))
    yield home
    stack.stop(home)


@pytest.fixture
def empty(tmp_path):
    yield tmp_path / "home"
    stack.stop(tmp_path / "home")


def up(home, supervisor=SMALL, **told):
    return stack.wait(home, stack.start(home, supervisor=supervisor, with_us=True, **told))


def part(home, name):
    [found] = [part for part in state.read(home).parts if part.name == name]
    return found


def all_of(pid):
    """The supervisor and everything below it."""
    supervisor = psutil.Process(pid)
    return [supervisor, *supervisor.children(recursive=True)]


def until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def gone(processes, seconds=GONE_SECONDS):
    """Whether all of them ended in time. What is left of one whose parent died first (a zombie) is for the system to bury."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > deadline:
            return alive == []
        time.sleep(0.02)
    return True


async def remember(home):
    """Leaves a record and a row that are looked for ever after."""
    found = stack.running(home)
    async with AIOKafkaProducer(bootstrap_servers=found.kafka, acks="all") as producer:
        await producer.send_and_wait(TOPIC, b"remember me", partition=7)
    connection = await asyncpg.connect(found.role_dsn("intake"))
    await connection.execute("INSERT INTO letters VALUES ('remember me')")
    await connection.close()


async def what_is_remembered(home):
    found = stack.running(home)
    connection = await asyncpg.connect(found.role_dsn("intake"))
    rows = [row[0] for row in await connection.fetch("SELECT letter FROM letters")]
    await connection.close()
    consumer = AIOKafkaConsumer(bootstrap_servers=found.kafka, enable_auto_commit=False)
    consumer.assign([TopicPartition(TOPIC, 7)])
    await consumer.start()
    try:
        await consumer.seek_to_beginning()
        record = await asyncio.wait_for(consumer.getone(), 10)
    finally:
        await consumer.stop()
    return [*rows, record.value.decode()]


REMEMBERED = ["remember me", "remember me"]


async def test_everything_runs_and_says_where(home):
    found = state.read(home)
    assert (found.phase, found.error) == ("running", None)
    assert [(part.name, part.state, part.restarts) for part in found.parts] == [
        ("kafka", "ready", 0), ("postgres", "ready", 0), ("intake", "ready", 0),
    ]  # fmt: skip
    where = stack.running(home)
    assert where.kafka == part(home, "kafka").address
    assert where.role_dsn("intake") == f"postgresql://makegood_intake@{part(home, 'postgres').address}/makegood"
    assert await what_is_remembered(home) == REMEMBERED


def test_it_listens_on_loopback_only(home):
    where = [
        place.laddr.ip
        for process in all_of(state.read(home).pid)
        for place in process.net_connections()
        if place.status == psutil.CONN_LISTEN
    ]
    assert len(where) == 4, "PostgreSQL, Kafka, its controller and the service"
    assert {address.removeprefix("::ffff:") for address in where} == {"127.0.0.1"}


def test_what_is_in_the_home_is_for_its_owner_only(home):
    for path in ("state.json", "kafka", "postgres", "logs"):
        others_may = (home / path).stat().st_mode & 0o007
        assert not others_may, path
    assert not home.stat().st_mode & 0o006, "at most passing through, for PostgreSQL's user"


def test_a_second_start_finds_the_first(home):
    before = state.read(home)
    pid = stack.start(home, supervisor=SMALL, with_us=True)
    assert stack.wait(home, pid) == before
    until(lambda: born(pid) is None)
    assert state.read(home) == before


@pytest.mark.parametrize("name", ["intake", "kafka", "postgres"])
async def test_a_part_that_is_killed_is_back_with_all_it_had(home, name):
    before = part(home, name)
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: part(home, name).state == "ready" and part(home, name).pid != before.pid)
    assert part(home, name).restarts == before.restarts + 1
    assert part(home, name).address == before.address
    assert await what_is_remembered(home) == REMEMBERED


def test_a_log_that_grows_large_while_its_part_runs_is_put_aside(home):
    before = state.read(home).parts
    logs = [home / stack.LOG, *(Path(part.log) for part in before)]
    for log in logs:
        with log.open("ab") as file:
            file.truncate(LOG_BYTES)
    until(lambda: all(log.stat().st_size < LOG_BYTES for log in logs), 30)
    assert all(log.with_name(f"{log.name}.1").stat().st_size >= LOG_BYTES for log in logs)
    assert state.read(home).parts == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
async def test_nothing_outlives_a_supervisor_that_is_killed_and_all_is_there_at_the_next_start(home):
    processes, before = all_of(state.read(home).pid), state.read(home)
    os.kill(before.pid, signal.SIGKILL)
    assert gone(processes)
    assert stack.running(home) is None
    up(home)
    assert [part.address for part in state.read(home).parts] == [part.address for part in before.parts]
    assert await what_is_remembered(home) == REMEMBERED


async def test_a_start_at_once_after_the_supervisor_was_killed_waits_for_what_it_left(home):
    os.kill(state.read(home).pid, signal.SIGKILL)
    up(home)
    assert await what_is_remembered(home) == REMEMBERED


async def test_a_stop_leaves_nothing_running_and_the_next_start_finds_everything(home):
    processes, before = all_of(state.read(home).pid), state.read(home)
    assert stack.stop(home)
    assert gone(processes, 0)
    assert state.read(home) is None
    assert not stack.stop(home), "there was nothing to stop any more"
    up(home)
    assert [part.address for part in state.read(home).parts] == [part.address for part in before.parts]
    assert await what_is_remembered(home) == REMEMBERED


async def test_a_start_while_the_stack_still_stops_takes_its_turn(home):
    before = state.read(home)
    os.kill(before.pid, signal.SIGTERM)
    until(lambda: (found := state.read(home)) is None or found.phase == "stopping")
    assert up(home).pid != before.pid
    assert await what_is_remembered(home) == REMEMBERED


async def test_a_port_that_someone_else_took_meanwhile_is_left_to_them(home):
    taken = {name: part(home, name).address for name in ("kafka", "postgres")}
    stack.stop(home)
    with listening(int(taken["kafka"].split(":")[1])), listening(int(taken["postgres"].split(":")[1])):
        up(home)
    assert part(home, "kafka").address != taken["kafka"]
    assert part(home, "postgres").address != taken["postgres"]
    assert await what_is_remembered(home) == REMEMBERED


MOMENTS = {
    "at once": lambda found: True,
    "when it has the home": lambda found: found is not None,
    "while storage is formatted": lambda found: found is not None and "formatting" in found.doing,
    "while Kafka starts": lambda found: "kafka" in states(found),
    "while it is installed": lambda found: states(found).get("kafka") == "ready",
    "while services start": lambda found: "intake" in states(found),
}
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)


def states(found):
    return {part.name: part.state for part in found.parts} if found else {}


def test_a_stop_at_any_moment_of_the_first_start_leaves_nothing_behind_and_nothing_broken(empty):
    for (moment, reached), sent in zip(MOMENTS.items(), SIGNALS * 2, strict=True):
        pid = stack.start(empty, supervisor=SMALL, with_us=True)
        until(lambda reached=reached: reached(state.read(empty)))
        processes = all_of(pid)
        os.kill(pid, sent)
        assert gone(processes), (moment, sent)
        assert state.read(empty) is None or sent is signal.SIGKILL, moment
    assert up(empty).phase == "running"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_servers_that_are_tied_to_their_starter_have_nothing_in_them_and_end_with_it(empty):
    script = f"from pathlib import Path; from deploy.local import stack; import time; home = Path({str(empty)!r}); "
    script += "stack.wait(home, stack.start(home, only_servers=True, with_us=True)); print('up', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as starter:
        assert starter.stdout.readline() == b"up\n"
        found = state.read(empty)
        processes = all_of(found.pid)
        starter.kill()
    assert [part.name for part in found.parts] == ["kafka", "postgres"]
    assert found.roles == {}
    assert gone(processes)


def test_a_service_that_does_not_start_is_told_of_and_everything_is_stopped(empty):
    with pytest.raises(stack.StackFailed, match=r"(?s)intake ended \(exit code 1\).*No module named tests\.deploy\.small\.no_service"):
        up(empty, BROKEN)
    until(lambda: not state.read(empty).alive)
    assert state.read(empty).phase == "failed"
    assert not any(state.same(part.pid, part.born) for part in state.read(empty).parts)


def test_a_service_listens_where_it_is_asked_whatever_else_is_told(empty, monkeypatch):
    monkeypatch.setenv("MAKEGOOD_BIND", "::1")
    assert up(empty).phase == "running"


def test_a_home_that_never_was_has_nothing_to_stop(tmp_path):
    assert not stack.stop(tmp_path / "nowhere")
    assert stack.running(tmp_path / "nowhere") is None


def test_servers_of_ones_own_are_taken_where_they_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEGOOD_KAFKA", "kafka.example:9092")
    assert stack.running(tmp_path) is None, "a Kafka alone is not enough"
    monkeypatch.setenv("MAKEGOOD_DATABASE", "postgresql://owner@db.example/makegood")
    found = stack.running(tmp_path)
    assert (found.kafka, found.owner_dsn) == ("kafka.example:9092", "postgresql://owner@db.example/makegood")
