"""Two minds as small as can be that talk to each other: they add, refuse, fail, kill their process, ask other streams, want to be woken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from shared.contract.envelope import complaint_id
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import Command, Event, by_type
from shared.machine.mind import Context, Fact, Mind, Request, Stream, Timer
from shared.simulation.loop import PROCESS, Killed

FAILS, FAILS_ABROAD, FAILS_TO_TRANSLATE, FAILS_TO_EVOLVE, FAILS_TO_REACT, KILLS = 13, 17, 19, 23, 29, 666
FAILING, FAILING_ABROAD = (FAILS, FAILS_TO_EVOLVE, FAILS_TO_REACT), (FAILS_ABROAD, FAILS_TO_TRANSLATE)
"""The numbers on which one mind and the other raises."""


def of_number(service: str, number: int) -> str:
    """What becomes of an input about this number, once it is its turn."""
    if service == "resolution":
        return "parked:mind_failed" if number in FAILING_ABROAD else "accepted"
    if number == KILLS:
        return "parked:process_died"
    if number in FAILING:
        return "parked:mind_failed"
    return "refused:too_many" if number < 0 else "accepted"


class Add(Command):
    """Add a number. A negative one is refused, 0 changes nothing; some are not survived."""

    type: ClassVar[str] = "intake.Add.v1"
    stream: ClassVar[str] = "tally"
    number: int
    tell: UUID | None = None
    """Who is told of it, by a request."""
    wake_in: float | None = None
    """Seconds until it wants to be woken."""
    snooze_in: float | None = None
    """The same by another timer: whichever fires first clears both."""


class Submit(Command):
    """The same from an upstream: its reference tells the stream, so it may lie anywhere."""

    type: ClassVar[str] = "intake.Submit.v1"
    stream: ClassVar[str] = "tally"
    ref: str
    number: int


class Note(Command):
    """What another stream asks: only our own services say it."""

    type: ClassVar[str] = "intake.Note.v1"
    stream: ClassVar[str] = "tally"
    internal: ClassVar[bool] = True
    number: int


class Hear(Command):
    """What the other service said."""

    type: ClassVar[str] = "intake.Hear.v1"
    stream: ClassVar[str] = "tally"
    internal: ClassVar[bool] = True


class Count(Command):
    """What the other service added."""

    type: ClassVar[str] = "resolution.Count.v1"
    stream: ClassVar[str] = "count"
    internal: ClassVar[bool] = True
    number: int


class Added(Event):
    """A number was added."""

    type: ClassVar[str] = "intake.Added.v1"
    number: int
    tell: UUID | None = None
    wake_at: datetime | None = None
    snooze_at: datetime | None = None


class Noted(Event):
    """Another stream's number was noted."""

    type: ClassVar[str] = "intake.Noted.v1"
    number: int


class Woken(Event):
    """The time came."""

    type: ClassVar[str] = "intake.Woken.v1"
    timer: str
    due_at: datetime
    generation: int


class HeardBack(Event):
    """The other service counted."""

    type: ClassVar[str] = "intake.HeardBack.v1"


class Counted(Event):
    """What was added was counted."""

    type: ClassVar[str] = "resolution.Counted.v1"
    total: int


@dataclass(frozen=True, slots=True)
class Tally:
    added: int = 0
    noted: int = 0
    heard: int = 0
    woken: int = 0
    wake_at: datetime | None = None
    snooze_at: datetime | None = None
    generation: int = 0
    """Of its timers: each time that one is set, all are new."""


@dataclass(frozen=True, slots=True)
class Counter:
    total: int = 0
    times: int = 0


def evolve(state: Tally, event: Event) -> Tally:
    match event:
        case Added(number=number) if number == FAILS_TO_EVOLVE:
            raise KeyError("twenty-three")
        case Added(number=number, wake_at=None, snooze_at=None):
            return replace(state, added=state.added + number)
        case Added(number=number, wake_at=wake_at, snooze_at=snooze_at):
            return replace(
                state, added=state.added + number, wake_at=wake_at, snooze_at=snooze_at, generation=state.generation + 1
            )  # fmt: skip
        case Noted(number=number):
            return replace(state, noted=state.noted + number)
        case Woken():
            return replace(state, woken=state.woken + 1, wake_at=None, snooze_at=None)
        case HeardBack():
            return replace(state, heard=state.heard + 1)
    raise AssertionError(event)


def decide(state: Tally, command: Command, context: Context) -> Sequence[Event] | Refusal:
    match command:
        case Add(number=number) | Submit(number=number) if number == KILLS:
            if (process := PROCESS.get(None)) is not None:
                process.kill()
            raise Killed
        case Add(number=number) | Submit(number=number) | Note(number=number) if number == FAILS:
            raise KeyError("thirteen, and something that somebody wrote")
        case Add(number=number) | Submit(number=number) if number < 0:
            return Refusal(Rule.TOO_MANY, "no negative numbers", {"number": number})
        case Add(number=0) | Submit(number=0) | Note(number=0):
            return []
        case Add(number=number, tell=tell, wake_in=wake_in, snooze_in=snooze_in):
            wake_at, snooze_at = (None if it is None else context.now + timedelta(seconds=it) for it in (wake_in, snooze_in))
            return [Added(number=number, tell=tell, wake_at=wake_at, snooze_at=snooze_at)]
        case Submit(number=number):
            return [Added(number=number)]
        case Note(number=number):
            return [Noted(number=number)]
        case Hear():
            return [HeardBack()]
        case TimerDue(timer=timer, due_at=due_at, generation=generation):
            return [Woken(timer=timer, due_at=due_at, generation=generation)]
    raise AssertionError(command)


def timers(state: Tally) -> dict[str, Timer]:
    wanted = {"wake": state.wake_at, "snooze": state.snooze_at}
    return {name: Timer(at, state.generation) for name, at in wanted.items() if at is not None}


def react(fact: Fact) -> Sequence[Request]:
    match fact.event:
        case Added(number=number) if number == FAILS_TO_REACT:
            raise KeyError("twenty-nine")
        case Added(number=number, tell=UUID() as other):
            return [Request(other, Note(number=number))]
        case _:
            return ()


def evolve_count(state: Counter, event: Event) -> Counter:
    match event:
        case Counted(total=total):
            return Counter(total, state.times + 1)
    raise AssertionError(event)


def decide_count(state: Counter, command: Command, _: Context) -> Sequence[Event] | Refusal:
    match command:
        case Count(number=number) if number == FAILS_ABROAD:
            raise KeyError("seventeen")
        case Count(number=number):
            return [Counted(total=state.total + number)]
    raise AssertionError(command)


def translate_added(fact: Fact) -> Command | None:
    match fact.event:
        case Added(number=number) if number == FAILS_TO_TRANSLATE:
            raise KeyError("nineteen")
        case Added(number=number):
            return Count(number=number)
        case _:
            return None


TALLY = Stream(kind="tally", initial=Tally(), decide=decide, evolve=evolve, is_closed=lambda _: False, timers=timers)
COUNT = Stream(
    kind="count", initial=Counter(), decide=decide_count, evolve=evolve_count, is_closed=lambda _: False, timers=lambda _: {}
)  # fmt: skip
INTAKE = Mind(
    service="intake", own_rules=1, streams={"tally": TALLY}, commands=by_type((Add, Submit, Note, Hear)),
    events=by_type((Added, Noted, Woken, HeardBack)), hears=by_type((Counted,)), hears_from=("resolution",), listener="tally",
    submission=Submit, translate=lambda _: Hear(), react=react,
    stream_of=lambda command: complaint_id("tally", command.ref) if isinstance(command, Submit) else None,
    source_of=lambda _: "tally",
)  # fmt: skip
RESOLUTION = Mind(
    service="resolution", own_rules=1, streams={"count": COUNT}, commands=by_type((Count,)), events=by_type((Counted,)),
    hears=by_type((Added,)), hears_from=("intake",), listener="count", translate=translate_added,
)  # fmt: skip
