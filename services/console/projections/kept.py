"""Which projections there are, and where each keeps what it knows: one table a question."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.console.projections.outcomes import Outcomes
from services.console.projections.queue import Queue
from services.console.projections.story import Story
from shared.machine.projecting import Projection


@dataclass(frozen=True, slots=True)
class Kept:
    """One of them."""

    projection: Projection
    table: str
    """It writes nothing else, and nobody else writes there: so it can be made again beside the live one."""


KEPT: Mapping[str, Kept] = {
    "story": Kept(Story(), "story"),
    "queue": Kept(Queue(), "complaints"),
    "outcomes": Kept(Outcomes(), "outcomes"),
}
"""By name. Each event goes to all of them, in this order."""
PROJECTIONS = tuple(one.projection for one in KEPT.values())
