"""Limits of the machine, drawn small: what a few dozen inputs never reach, a seed reaches so."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from random import Random
from typing import Any
from unittest.mock import patch

from shared.machine import answering, cache, deciding, relay, store, waiting, worker

SMALL: tuple[tuple[Any, str, tuple[Any, ...]], ...] = (
    (cache, "STREAMS_MAX", (1, 2)),
    (relay, "BATCH_ROWS", (1, 3)),
    (relay, "HELD_ROWS", (2, 8)),
    (worker, "INBOX_BATCHES", (1,)),
    (store, "DUE_MAX", (1, 2)),
    (answering, "WAITING_MAX", (1, 3)),
    (waiting, "STREAMS_MAX", (1,)),
    (waiting, "SETTLED_MAX", (1, 2)),
    (deciding, "SEAL_EVERY", (timedelta(seconds=5), timedelta(seconds=30))),
)
OFTEN = 0.3


@contextmanager
def drawn(random: Random) -> Iterator[None]:
    """Some limits are small for as long as this lasts."""
    with ExitStack() as stack:
        for module, name, values in SMALL:
            if random.random() < OFTEN:
                stack.enter_context(patch.object(module, name, random.choice(values)))
        yield
