"""A script: what people ask about one complaint, one thing after another, and what must have been heard before each. Pure data.

What only the system can know when the script runs, the id of a promise for instance, stands in it as a mark that names the step that
leads to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contract.refusals import Rule
from shared.contract.said import Command, Event


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that must have happened first."""

    type: str
    """The event's stored type name."""
    generation: int = 0
    """0 for events that say none."""
    stream: UUID | None = None
    """Of which stream; the script's own where absent."""


def fact(event: type[Event], generation: int = 0, stream: UUID | None = None) -> Fact:
    """That this has happened."""
    return Fact(event.type, generation, stream)


# ---- marks -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IdOf:
    """The id of what a step led to: a promise, a reply, the digest of a cause."""

    name: str


@dataclass(frozen=True, slots=True)
class EventOf:
    """The id of the event that a step led to."""

    name: str


@dataclass(frozen=True, slots=True)
class Soon:
    """So many seconds after a step was decided."""

    name: str
    seconds: int


Mark = IdOf | EventOf | Soon


@dataclass(frozen=True, slots=True)
class Named:
    """What a step led to."""

    id: str
    event: str
    at: datetime


Known = Mapping[str, Named | None]
"""By the steps' names; None for what was not to be."""


class NotYet(LookupError):
    """What a mark stands for is not known yet."""


def names_in(data: object) -> Iterator[str]:
    """The names of the steps whose outcome is needed to fill this in. Not those in lists: what is not to be is left out there."""
    match data:
        case IdOf(name=name) | EventOf(name=name) | Soon(name=name):
            yield name
        case Mapping():
            for one in data.values():
                yield from names_in(one)
        case _:
            pass


def filled(data: Any, known: Known) -> Any:
    """The same with what the marks stand for. Raises NotYet."""
    match data:
        case IdOf(name=name):
            return _named(name, known).id
        case EventOf(name=name):
            return _named(name, known).event
        case Soon(name=name, seconds=seconds):
            return _named(name, known).at + timedelta(seconds=seconds)
        case Mapping():
            return {field: filled(one, known) for field, one in data.items()}
        case tuple():
            there = [one for one in data if not (isinstance(one, IdOf) and one.name in known and known[one.name] is None)]
            return tuple(filled(one, known) for one in there)
        case _:
            return data


def _named(name: str, known: Known) -> Named:
    found = known.get(name)
    if found is None:
        raise NotYet(name)
    return found


# ---- scripts ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody asks for something."""

    asks: type[Command]
    data: Mapping[str, Any]
    by: str
    """Who: `person:…` or `team:…`."""
    stream: UUID | None = None
    """Of which stream; the script's own where absent."""
    name: str = ""
    """Under which name marks find what it led to."""
    after: tuple[Fact, ...] = ()
    refused: Rule | None = None
    """The rule by which it is refused: people try."""
    or_refused: Rule | None = None
    """The rule by which it may be refused, should the system have stood still meanwhile."""
    only_with: str = ""
    """The step that must have led to something: else this one is left out."""

    @property
    def needs(self) -> frozenset[str]:
        """The names of the steps without which this one makes no sense."""
        return frozenset(names_in(self.data)) | ({self.only_with} if self.only_with else frozenset())


@dataclass(frozen=True, slots=True)
class Submission:
    """An upstream tells us."""

    body: bytes
    key: bytes | None
    """As this upstream keys its records: by complaint id, in its own way, or not at all."""
    expects: str
    """The stored type name of the event that answers it."""
    after: tuple[Fact, ...] = ()


Line = Step | Submission


@dataclass(frozen=True, slots=True)
class Script:
    """All of one complaint, or of one problem."""

    name: str
    """Unique in its sample: part of its messages' ids."""
    stream: UUID
    lines: tuple[Line, ...]
    until: tuple[Fact, ...] = ()
    """What must have been heard at the end."""
    reaches: str = ""
    """The stage in which it stops; empty for a problem."""


def message_id(seed: int, script: str, line: int) -> str:
    """A message's id: the same whenever the same line of the same sample is sent."""
    return f"{prefix(seed)}{script}/{line}"


def prefix(seed: int) -> str:
    """What the ids of a sample's messages begin with."""
    return f"sample/{seed}/"
