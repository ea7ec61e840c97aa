"""What is parked, or waits behind it, and deciding it again: what must be known of it, and what speaks against it. Pure.

A parked input keeps its name, its journal entry, until it is settled. While it stops its stream, `Live.parked` names it and
`Live.waiting` counts those behind it. Once it is settled `parked` is 0, and as long as `waiting` is not, those that waited are decided,
the oldest first: the stream wants one timer, `AGAIN`, and none of its own, so that whoever has the shard goes on with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.contract.machine import DiscardParked, RetryParked
from shared.contract.refusals import Refusal, Rule
from shared.machine.head import LONG_AGO
from shared.machine.mind import Mind, Timer
from shared.machine.rows import Live
from shared.machine.told import SHARD, Told

AGAIN = "machine/again"
"""The timer of a stream whose waiting inputs are to be decided. Its generation is how many they are."""
STOPS = frozenset({"mind_failed", "process_died"})
"""The causes of parking for which a stream waits."""
PERSON = "person:"

Key = tuple[str, UUID]
"""A stream: its kind and its id."""
Settling = RetryParked | DiscardParked


@dataclass(frozen=True, slots=True)
class Held:
    """An input that is parked, or waits."""

    entry: int
    topic: str
    """Where it came from; empty for a timer."""
    type: str
    key: Key
    """The stream that says so: its own, or where none is known, the shard's."""
    correlation: UUID
    waits: bool

    @property
    def before(self) -> str:
        """What it is, as events say it."""
        return "waiting" if self.waits else "parked"


@dataclass(frozen=True, slots=True)
class Up:
    """A held input whose turn it is."""

    held: Held
    told: Told
    """As it is decided now."""
    given_up: str | None = None
    """Why it is not decided but given up."""


def why_not(command: Settling, actor: str, shard: int, held: Held | None, events_of: Mapping[str, str]) -> Refusal | None:
    """What speaks against settling an input; None where nothing does. It must not depend on what a later release may read otherwise.

    Args:
        command: What is asked.
        actor: By whom.
        shard: The shard that is asked.
        held: The input, where it is held.
        events_of: The topics of other services' events.
    """
    place = f"entry {command.entry} of shard {command.shard}"
    if command.shard != shard:
        return Refusal(Rule.NOT_PARKED, f"This is shard {shard}: ask about {place} on partition {command.shard}.")
    if not actor.startswith(PERSON):
        return Refusal(Rule.PERSON_NEEDED)
    if held is None:
        return Refusal(Rule.NOT_PARKED, f"Nothing is parked under {place}, or not any more: it was settled, or never was parked.")
    if held.waits:
        return Refusal(
            Rule.NOT_PARKED, f"The input under {place} waits behind a parked one: settle that one, and it is decided in its turn."
        )
    retry = isinstance(command, RetryParked)
    if held.type in {RetryParked.type, DiscardParked.type} and retry:
        return Refusal(Rule.STANDS_AS_IT_IS, f"What is parked under {place} was itself about a parked input: discard it, and ask anew.")
    if not held.topic and not retry:
        return Refusal(
            Rule.STANDS_AS_IT_IS, f"Under {place} a timer is parked, and its stream still wants it: retry it once the fault is mended."
        )
    if isinstance(command, RetryParked) and command.body is not None and (not held.topic or held.topic in events_of):
        whose = f"{events_of[held.topic]}'s ledger" if held.topic else "the clock"
        return Refusal(Rule.STANDS_AS_IT_IS, f"What lies under {place} is from {whose} and stands as it is: retry it without another body.")
    return None


def timers_of(mind: Mind, live: Live) -> Mapping[str, Timer]:
    """The timers that a stream wants. One that waits for a parked input wants none."""
    if live.parked or live.kind == SHARD:
        return {}
    if live.waiting:
        return {AGAIN: Timer(LONG_AGO, live.waiting)}
    return mind.streams[live.kind].timers(live.state)
