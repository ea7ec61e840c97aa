"""A mind as small as can be, to hold the machine to its word: it adds, refuses, fails, asks others, wants to be woken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from shared.contract.envelope import command_headers, complaint_id, key_of
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import Command, Event, by_type
from shared.machine.mind import Fact, Mind, Request, Stream, Timer

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


class Add(Command):
    """Add a number; a negative one is refused, 13 is our bug, 0 changes nothing."""

    type: ClassVar[str] = "intake.Add.v1"
    stream: ClassVar[str] = "tally"
    number: int
    then_tell: UUID | None = None
    wake_in_seconds: float | None = None


class Submit(Command):
    """The same from an upstream: its reference tells the stream."""

    type: ClassVar[str] = "intake.Submit.v1"
    stream: ClassVar[str] = "tally"
    ref: str
    number: int


class Note(Command):
    """Only our own services say it."""

    type: ClassVar[str] = "intake.Note.v1"
    stream: ClassVar[str] = "tally"
    internal: ClassVar[bool] = True
    number: int


class Added(Event):
    """A number was added."""

    type: ClassVar[str] = "intake.Added.v1"
    number: int
    tell: UUID | None = None
    wake_at: datetime | None = None


class Woken(Event):
    """The time came."""

    type: ClassVar[str] = "intake.Woken.v1"


class Heard(Event):
    """Another service's fact."""

    type: ClassVar[str] = "resolution.Heard.v1"
    number: int


class Unheard(Event):
    """Another service's fact that is no concern of ours."""

    type: ClassVar[str] = "resolution.Unheard.v1"


@dataclass(frozen=True, slots=True)
class Tally:
    total: int = 0
    wake_at: datetime | None = None


def evolve(state: Tally, event: Event) -> Tally:
    match event:
        case Added(number=number, wake_at=wake_at):
            return replace(state, total=state.total + number, wake_at=wake_at or state.wake_at)
        case Woken():
            return replace(state, wake_at=None)
        case _:
            return state


def decide(state: Tally, command: Command, context) -> Sequence[Event] | Refusal:
    match command:
        case Add(number=13) | Note(number=13):
            raise KeyError("thirteen, and something that somebody wrote")
        case Add(number=number) if number < 0:
            return Refusal(Rule.TOO_MANY, "no negative numbers", {"number": number})
        case Add(number=0) | Submit(number=0) | Note(number=0):
            return []
        case Add(number=number, then_tell=tell, wake_in_seconds=seconds):
            wake_at = None if seconds is None else context.now + timedelta(seconds=seconds)
            return [Added(number=number, tell=tell, wake_at=wake_at)]
        case Submit(number=number) | Note(number=number):
            return [Added(number=number)]
        case TimerDue():
            return [Woken()] if state.wake_at is not None else []
    raise AssertionError(command)


def react(fact: Fact) -> Sequence[Request]:
    match fact.event:
        case Added(number=number, tell=UUID() as other):
            return [Request(other, Note(number=number))]
        case _:
            return ()


def translate(fact: Fact) -> Command | None:
    return Note(number=fact.event.number)


TALLY = Stream(
    kind="tally", initial=Tally(), decide=decide, evolve=evolve, is_closed=lambda _: False,
    timers=lambda state: {} if state.wake_at is None else {"wake": Timer(state.wake_at)},
)  # fmt: skip
MIND = Mind(
    service="intake", own_rules=1, streams={"tally": TALLY}, commands=by_type((Add, Submit, Note)), events=by_type((Added, Woken)),
    hears=by_type((Heard,)), hears_from=("resolution",), listener="tally", submission=Submit, translate=translate, react=react,
    stream_of=lambda command: complaint_id("tally", command.ref) if isinstance(command, Submit) else None,
    source_of=lambda command: "tally",
)  # fmt: skip


def headers(command: Command, stream: UUID | None, message_id: str | None = "m1", actor: str = "person:ines", source: str = "/test"):
    found = command_headers(command.type, message_id or "", stream=stream, source=source, actor=actor, sent_at=NOW.isoformat())
    return found if message_id else [(name, value) for name, value in found if name != "ce_id"]


def key(stream: UUID) -> bytes:
    return key_of(stream)
