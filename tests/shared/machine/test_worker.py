"""A worker's inbox can't overflow, by number or by size, and a batch is bounded by both; nor can what a relay keeps in memory."""

from typing import Any

import asyncpg
import pytest
from aiokafka.errors import KafkaError

from shared.machine import worker
from shared.machine.bytes import LedgerRow
from shared.machine.head import Stopped
from shared.machine.relay import Relay
from shared.machine.worker import Worker, is_away
from tests.shared.machine.bench import Record
from tests.shared.machine.live import STREAMS
from tests.shared.machine.tally import NOW


class Fed:
    """What a worker asks of its feed."""

    def __init__(self):
        self.asked = []

    async def ranges(self, shard: int) -> Any:
        return {}

    def rewind(self, shard: int, offsets: Any) -> None:
        self.asked.append("rewind")

    def pause(self, shard: int) -> None:
        self.asked.append("pause")

    def resume(self, shard: int) -> None:
        self.asked.append("resume")


class Idle(Worker):
    async def _own(self) -> None:
        raise NotImplementedError


@pytest.fixture
def fed():
    return Fed()


def records(count, size):
    return [Record("t", 0, offset, b"x" * size) for offset in range(count)]


async def test_many_small_records_pause_the_feed_until_they_are_fewer(fed):
    one = Idle(0, fed, batch_records=10)
    one.offer(records(39, 1))
    assert fed.asked == []
    one.offer(records(1, 1))
    assert fed.asked == ["pause"]
    while len(one._inbox) >= 10:
        assert fed.asked == ["pause"]
        one._taken(len(await one._records()))
    assert fed.asked == ["pause", "resume"]


async def test_few_large_records_do_too(fed, monkeypatch):
    monkeypatch.setattr(worker, "BATCH_BYTES", 1_000)
    one = Idle(0, fed, batch_records=10)
    one.offer(records(7, 600))
    assert fed.asked == ["pause"]
    assert len(await one._records()) == 1
    one._taken(6)
    assert fed.asked == ["pause", "resume"]
    assert one._inbox_bytes == 600


async def test_a_record_larger_than_a_batch_goes_alone(fed, monkeypatch):
    monkeypatch.setattr(worker, "BATCH_BYTES", 1_000)
    one = Idle(0, fed, batch_records=10)
    one.offer([*records(1, 5_000), *records(3, 400)])
    sizes = []
    while one._inbox:
        found = await one._records()
        sizes.append([len(record.value) for record in found])
        one._taken(len(found))
    assert sizes == [[5_000], [400, 400], [400]]


def rows(first, count, size):
    return [
        LedgerRow(0, first + n, STREAMS[0], "tally", 1, "t", b"x" * size, 1, NOW, "", "a", "m", STREAMS[0], None, "", b"")
        for n in range(count)
    ]


async def test_a_relay_keeps_so_many_bytes_in_memory_and_no_more(monkeypatch):
    monkeypatch.setattr("shared.machine.relay.HELD_BYTES", 1_000)
    one = Relay(0, 1, "intake", "g1", reader=None, pool=None, outlet=None)
    one.offer(rows(1, 3, 300))
    one.offer(rows(4, 3, 300))
    assert (len(one._held), one.end) == (3, 6), "those beyond are read from the ledger when their turn comes"
    one.place = 2
    assert [row.position for row in await one._next()] == [3]
    one._held.popleft()
    one.place, one._held_bytes = 3, 0
    one.offer(rows(4, 3, 300))
    assert len(one._held) == 3


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(),
        ConnectionRefusedError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.AdminShutdownError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_server_that_is_away_is_asked_often_whether_it_is_back(error):
    assert is_away(error)


@pytest.mark.parametrize("error", [Stopped("gap", ""), ValueError(), asyncpg.DataError(), asyncpg.QueryCanceledError()], ids=repr)
def test_other_trouble_is_given_more_and_more_time(error):
    assert not is_away(error)
