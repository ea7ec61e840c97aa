"""Runs seeds: one for its trace, many for their violations."""

import gc
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from random import seed as seed_all

import structlog

from tests.simulation.faults import Trouble
from tests.simulation.guards import GUARDS, SHOWS
from tests.simulation.town import Town
from tests.simulation.violation import Violation

TRACED_LINES = 60
CHUNK = 25


@dataclass(frozen=True)
class Ran:
    """What became of a seed."""

    seed: int
    digest: str = ""
    failure: str = ""
    number: int = 0
    """Which of the things that must hold does not."""
    trace: tuple[str, ...] = ()
    inputs: int = 0
    seconds: float = 0.0
    """Simulated ones."""


def run(seed: int, *, trace: bool = False, without: str = "") -> Ran:
    """One seed, to its end. `without`: the guard that is taken away."""
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _: None  # what was killed is taken apart without a loop, and complains
    warnings.simplefilter("ignore", RuntimeWarning)
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    seed_all(seed)
    town = Town(seed, trace=trace)
    if trace:
        structlog.configure(processors=[lambda _, level, event: _tell(town, level, event)], cache_logger_on_first_use=False)
    try:
        with GUARDS[without]() if without else nullcontext():
            digest = town.run(Trouble())
    except Exception as error:
        lines = tuple((town.traced or [])[-TRACED_LINES:])
        number, failure = error.number if isinstance(error, Violation) else 0, f"{type(error).__name__}: {error}"
        return Ran(seed, failure=failure, number=number, trace=lines, inputs=town.inputs, seconds=town.loop.time())
    return Ran(seed, digest, trace=tuple(town.traced or ()), inputs=town.inputs, seconds=town.loop.time())


def run_all(seeds: Iterable[int], jobs: int, without: str = "") -> Iterator[Ran]:
    """Many seeds, by several processes, in the order in which they end."""
    if jobs == 1:
        for seed in seeds:
            yield run(seed, without=without)
        return
    seeds = iter(seeds)
    with ProcessPoolExecutor(jobs) as pool:
        under_way = [pool.submit(_some, chunk, without) for _ in range(jobs * 2) if (chunk := list(islice(seeds, CHUNK)))]
        while under_way:
            yield from under_way.pop(0).result()
            if chunk := list(islice(seeds, CHUNK)):
                under_way.append(pool.submit(_some, chunk, without))


def missed(guard: str, most: int) -> tuple[str, int, str]:
    """Takes a guard away until the simulation finds what it is there for, in a seed in which all holds with it.

    Returns the guard, after how many seeds, and what gave its absence away; or nothing.
    """
    for seed in range(most):
        ran = run(seed, without=guard)
        if ran.number in SHOWS[guard] and not run(seed).failure:
            return guard, seed + 1, ran.failure
    return guard, most, ""


def _some(seeds: list[int], without: str) -> list[Ran]:
    gc.disable()  # a town is thrown away whole
    try:
        return [run(seed, without=without) for seed in seeds]
    finally:
        gc.collect()


def _drop(*_: object) -> None:
    raise structlog.DropEvent


def _tell(town: Town, level: str, event: structlog.typing.EventDict) -> None:
    what = " ".join(f"{name}={value}" for name, value in event.items() if name != "event")
    town.tell(town.who(), f"{level}: {event.get('event')} {what}"[:240])
    raise structlog.DropEvent
