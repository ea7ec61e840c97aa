"""How a process of ours runs: on libuv's event loop, and with the collector of garbage looking seldom.

What a batch makes goes by itself when the batch is done; the collector is there for what holds itself (an exception that names its own
frame), which is rare. Left at its defaults it looks through all streams that are remembered, again and again.
"""

import functools
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

T = TypeVar("T")

NEW_OBJECTS = 200_000
"""So many more objects than before, and the collector looks among them: more than the batches under way have at a time."""
OLDER_EVERY, OLDEST_EVERY = 20, 20
"""After so many looks among the new ones it looks among the older ones, and so forth."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs the process's work until it ends. What was imported is never looked through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, OLDER_EVERY, OLDEST_EVERY)
    lost_connections_say_so()
    return uvloop.run(work)


def lost_connections_say_so() -> None:
    """Makes aiokafka's connections, when they are lost, tell it on uvloop as they do on asyncio's own loop.

    Written to between the loss and its being noticed, uvloop's transport raises RuntimeError where asyncio's says nothing. aiokafka does
    not expect that: its task that keeps the metadata would end, and whoever waits for metadata would wait for ever.
    """
    if not hasattr(AIOKafkaConnection.send, "__wrapped__"):
        AIOKafkaConnection.send = _told(AIOKafkaConnection.send)


def _told(send: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(send)
    def sending(connection: AIOKafkaConnection, *args: Any, **named: Any) -> Any:
        try:
            return send(connection, *args, **named)
        except RuntimeError as lost:
            connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=lost)
            raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} broken: {lost}") from lost

    return sending
