"""How a process of ours runs: on libuv's event loop, and with the collector of garbage looking seldom.

What a batch makes goes by itself when the batch is done; the collector is there for what holds itself (an exception that names its own
frame), which is rare. Left at its defaults it looks through all streams that are remembered, again and again.
"""

import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

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
    return uvloop.run(work)
