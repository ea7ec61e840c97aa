"""Sending while the broker is away: nothing is lost, and nothing goes on behind our back."""

import asyncio
import os
import signal
from contextlib import contextmanager

from deploy.feed import sender as module
from deploy.feed.sender import Outgoing, Sender
from deploy.local import state
from shared.contract.envelope import SUBMISSIONS
from tests.deploy.cli.conftest import system  # noqa: F401 - a fixture

RECORD = Outgoing(SUBMISSIONS, b"key", b"{}", [])


@contextmanager
def frozen(home):
    """The broker keeps its connections and answers nobody."""
    [broker] = [part for part in state.read(home).parts if part.name == "kafka"]
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


async def test_a_producer_that_cannot_stop_is_ended_for_good(system, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.5)
    before = asyncio.all_tasks()
    async with Sender(system.stack.kafka) as sender:
        await sender.send(RECORD)
        await sender.flushed()
        with frozen(system.home):
            await sender.send(RECORD)
            await asyncio.sleep(0.2)
            await sender.__aexit__(None, None, None)
            await asyncio.sleep(0.1)
            assert asyncio.all_tasks() <= before
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
