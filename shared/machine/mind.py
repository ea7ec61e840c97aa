"""What a service's mind is made of: pure functions, one set for each kind of stream. No I/O, no clock, no randomness."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid5

from pydantic import TypeAdapter

from shared.contract.refusals import Refusal
from shared.contract.said import Command, Event
from shared.policy.model import Policy

State = TypeVar("State")
MACHINE_RULES = 2
"""The version of what the machine itself decides and can read: what is parked and what waits, how that is settled, what is refused before
a mind is asked. A change that alters any of it raises it, and goes on as before for the minds whose `machine_rules` are earlier."""


class Context(NamedTuple):
    """All that a decision may know besides the state and the command."""

    now: datetime
    policy: Policy
    actor: str
    """Who asks: `person:anna`, `source:cfpb`, `service:intake`, `clock`."""
    kind: str
    """Of the stream: the streams of one complaint share its id."""
    stream: UUID
    version: int
    """The version the stream's next event will have."""
    input_id: str = ""
    """The id of the message that is decided on; what proof names."""

    def new_id(self, label: str) -> UUID:
        """An id for something this decision makes: derived from the stream and its version, so that a replay makes the same."""
        return uuid5(self.stream, f"{self.kind}/{self.version}/{label}")


class Timer(NamedTuple):
    """Something a stream wants to be woken for."""

    due_at: datetime
    generation: int = 1


class Request(NamedTuple):
    """What another stream of the same service must be told: its id and the command."""

    stream: UUID
    command: Command


class Fact(NamedTuple):
    """An event with where it stands: what `translate` and `react` are given."""

    event: Event
    stream: UUID
    service: str
    actor: str


@dataclass(frozen=True)
class Stream:
    """One kind of stream: its first state and its three pure functions."""

    kind: str
    initial: Any
    decide: Callable[[Any, Any, Context], Sequence[Event] | Refusal]
    evolve: Callable[[Any, Any], Any]
    is_closed: Callable[[Any], bool]
    timers: Callable[[Any], Mapping[str, Timer]]
    """The timers a state wants, by name. The machine sets and clears them by comparing before and after."""

    @property
    def state_type(self) -> TypeAdapter[Any]:
        """How a state is written and read; one adapter a class."""
        return _adapter(type(self.initial))


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(of: type) -> TypeAdapter[Any]:
    if of not in _ADAPTERS:
        assert dataclasses.is_dataclass(of), f"{of.__name__} must be a frozen dataclass"
        _ADAPTERS[of] = TypeAdapter(of)
    return _ADAPTERS[of]


def _nothing(_: Fact) -> None:
    return None


def _nobody(_: Fact) -> Sequence[Request]:
    return ()


@dataclass(frozen=True)
class Mind:
    """A service's mind, whole."""

    service: str
    own_rules: int
    """The version of its own rules. A change that alters any decision raises it, or what can be read: a command, a field, what it hears."""
    streams: Mapping[str, Stream]
    commands: Mapping[str, type[Command]]
    """By stored type name: all that this service can be asked, internal ones too."""
    events: Mapping[str, type[Event]]
    """By stored type name: all that can have happened here."""
    hears: Mapping[str, type[Event]]
    """The events of other services that `translate` understands, by stored type name. Others are journalled as ignored."""
    hears_from: Sequence[str] = ()
    """The services whose events it reads."""
    listener: str = ""
    """The kind of stream to which the other services' facts are told."""
    submission: type[Command] | None = None
    """What a record of an upstream is, where it does not say; None for a mind that reads no upstream's topics."""
    translate: Callable[[Fact], Command | None] = _nothing
    """Another service's fact, told to our own stream of the same id."""
    react: Callable[[Fact], Sequence[Request]] = _nobody
    """Our own fact, that other streams of ours must hear of."""
    stream_of: Callable[[Command], UUID | None] = lambda _: None
    """The stream a submission belongs to, where the command itself tells (an upstream need not know our ids)."""
    source_of: Callable[[Command], str] = lambda _: ""
    """Which upstream submits it."""
    machine_rules: int = MACHINE_RULES
    """The version of the machine's rules that it is asked by; an earlier mind keeps the one that it had."""
    earlier: Sequence["Mind"] = ()
    """The same mind by its earlier rules, for as long as journals name them: what a replay reads and decides their rows by."""

    @property
    def rules(self) -> int:
        """The version of all that decides, the mind and the machine: whichever changes, it rises. Each journal row names it."""
        return self.machine_rules + self.own_rules
