"""Choices that depend on nothing but what they are for: the same for ever, on every machine and Python."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

ROOT = 1.2207440846057596
"""The real root of x⁴ = x + 1: its powers spread points evenly over three dimensions (Roberts' R₃ sequence)."""


class Dice:
    """A run of choices. Only `random()` is used: of all that `Random` does, it alone is promised to stay as it is."""

    def __init__(self, *what_for: object) -> None:
        """`what_for`: the seed and whatever tells these choices from others."""
        self._roll = Random("/".join(map(str, what_for))).random  # noqa: S311 - nothing is kept secret with it

    def pick(self, of: Sequence[T]) -> T:
        """One of these."""
        return of[int(self._roll() * len(of))]

    def chance(self, of: float) -> bool:
        """Yes, so often."""
        return self._roll() < of

    def between(self, low: int, high: int) -> int:
        """A number, both ends included."""
        return low + int(self._roll() * (high - low + 1))

    def some(self, of: Sequence[T], weights: Sequence[float], count: int) -> list[int]:
        """The places of so many of these, each once; those with more weight are likelier."""
        left = {place: weights[place] for place in range(len(of))}
        found = []
        for _ in range(min(count, len(of))):
            found.append(weighted(self._roll(), list(left.items())))
            del left[found[-1]]
        return found


def weighted(at: float, of: Sequence[tuple[T, float]]) -> T:
    """The one at this place, in [0, 1), where each takes as much room as it weighs."""
    left = at * sum(weight for _, weight in of)
    for one, weight in of:
        left -= weight
        if left < 0:
            return one
    return of[-1][0]


def spread(seed: int, number: int, dimension: int) -> float:
    """A point of three dimensions for each number, in [0, 1): the first n of them lie evenly, whatever n is."""
    start = Dice("spread", seed, dimension).between(0, 999_999) / 1_000_000
    return (start + (number + 1) * ROOT ** -(dimension + 1)) % 1.0
