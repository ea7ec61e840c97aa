"""Feeding and listening while the broker is away: the end comes within seconds, and what is said at the end is true."""

import asyncio
import contextlib
import os
import signal
import time

import pytest

from deploy.feed.listener import Listener
from deploy.local import state
from shared.contract.envelope import events_topic
from tests.system import SHARDS, started

PLACES = [(events_topic("intake"), SHARDS)]
BACK_SECONDS = 60


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
