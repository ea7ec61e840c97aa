"""Under more than it can take a system gets slow, and nothing else; frozen parts of it never look healthy."""

import os
import signal
import time

import httpx
import pytest

from deploy.local import state
from tests.faults.chaos.checks import proven
from tests.faults.overload import Overload
from tests.system import started

SERVICES = ("intake", "resolution", "rootcause", "console")


@pytest.fixture(scope="module")
def own():
    """A system of this module's own: it is not treated well."""
    with started() as found:
        yield found


@pytest.mark.timeout(900)
async def test_more_than_can_be_taken_makes_it_slow_and_nothing_else(own):
    run = Overload(own)
    await run.run(seconds=15, rate=6_000)
    assert run.restarts == 0
    assert run.answers[503] > 0, "more asked than are let in"
    assert not set(run.answers) - {200, 202, 503}, run.answers
    for name, seen in run.processes.items():
        assert not seen.unready, (name, seen.unready)
        assert max(seen.memory_bytes) < 1.5 * seen.third_bytes + 64 * 2**20, (name, "what waits, waits in Kafka")
    assert max(run.processes["intake"].seconds) > 0, "more is sent than is taken in at once"
    assert all(seen.seconds[-1] == 0 for seen in run.processes.values())
    assert await proven(own.stack.kafka, own.stack.owner_dsn) == []


def part(own, name):
    return next(part for part in state.read(own.home).parts if part.name == name)


def ready(own, name):
    """What a service says of itself; nothing where it says nothing."""
    try:
        answer = httpx.get(f"{part(own, name).address}/readyz", timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return False, {}
    return answer.status_code == 200, answer.json()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_who_reads_from_a_frozen_broker_does_not_look_healthy(own):
    until(lambda: all(ready(own, name)[0] for name in SERVICES))
    broker = part(own, "kafka").pid
    os.kill(broker, signal.SIGSTOP)
    try:
        until(lambda: not any(ready(own, name)[0] for name in SERVICES))
        assert all("Kafka" in str(ready(own, name)[1]) for name in SERVICES)
    finally:
        os.kill(broker, signal.SIGCONT)
    until(lambda: all(ready(own, name)[0] for name in SERVICES))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SERVICES)
def test_a_frozen_service_says_nothing_and_is_well_when_it_wakes(own, name):
    until(lambda: ready(own, name)[0])
    pid = part(own, name).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert ready(own, name) == (False, {})
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: ready(own, name)[0])
