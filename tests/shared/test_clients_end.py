"""How a client of Kafka's is ended, whatever its library makes of that."""

import asyncio
from contextlib import suppress

import pytest

from shared import kafka


async def test_a_client_whose_own_task_was_cancelled_while_it_stopped_is_ended_and_who_stops_it_goes_on():
    """A fetch that waits to be tried again is cancelled by the library itself, which lets that through; Python 3.11 may count one on us."""
    ended = []

    async def lets_it_through():
        raise asyncio.CancelledError

    async def end():
        ended.append(True)

    async def goes_on():
        with suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as together:
                together.create_task(fails())
        await kafka.stop_or_end(lets_it_through(), 1.0, end)
        return "on"

    async def fails():
        raise KeyError("a client that is deaf")

    assert await asyncio.create_task(goes_on()) == "on"
    assert ended == [True]


async def test_who_is_cancelled_while_a_client_stops_ends_it_first():
    ended = []

    async def takes_long():
        await asyncio.sleep(60)

    async def end():
        ended.append(True)

    stopping = asyncio.create_task(kafka.stop_or_end(takes_long(), 30.0, end))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert ended == [True]
