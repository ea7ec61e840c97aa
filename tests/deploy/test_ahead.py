"""Reading ahead of whoever takes the rows."""

import asyncio
import threading

import pytest

from deploy.feed import ahead as module
from deploy.feed.ahead import Ahead
from deploy.feed.reading import BadFile, Line

SOON_SECONDS = 5


def line(number):
    return Line("rows", number, {})


async def all_of(lines):
    with Ahead(lines) as ahead:
        found = []
        while rows := await ahead.taken():
            found += [row.number for row in rows]
            await asyncio.sleep(0)
        return found


async def test_every_row_is_taken_once_and_in_order():
    assert await all_of(map(line, range(20_000))) == list(range(20_000))
    assert await all_of(iter(())) == []


async def test_a_row_is_there_before_the_next_one_is():
    more = threading.Event()

    def lines():
        yield line(1)
        more.wait()
        yield line(2)

    with Ahead(lines()) as ahead:
        async with asyncio.timeout(SOON_SECONDS):
            assert [row.number for row in await ahead.taken()] == [1]
            more.set()
            assert [row.number for row in await ahead.taken()] == [2]
            assert await ahead.taken() == ()


async def test_what_reading_raises_is_told_after_the_rows_before_it():
    def lines():
        yield line(1)
        raise BadFile("no more")

    with Ahead(lines()) as ahead:
        rows = await ahead.taken()
        assert [row.number for row in rows] == [1]
        with pytest.raises(BadFile, match="no more"):
            await ahead.taken()


async def test_nothing_is_read_far_ahead_and_nothing_more_once_it_is_left():
    read = []

    def lines():
        for number in range(10 * module.ROWS_MAX):
            read.append(number)
            yield line(number)

    with Ahead(lines()) as ahead:
        await ahead.taken()
        await asyncio.sleep(0.1)
        assert len(read) <= 2 * module.ROWS_MAX + 1
    await asyncio.sleep(0.1)
    assert len(read) <= 2 * module.ROWS_MAX + 2
    assert "reading" not in {thread.name for thread in threading.enumerate()}
