"""A mind as small as the bare loop's work: one note in, one fact out, on one stream. What is measured with it is the machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from shared.contract.said import Command, Event, by_type
from shared.machine.mind import Mind, Stream
from shared.machine.service import main


class Note(Command):
    """Keep this."""

    type: ClassVar[str] = "intake.Note.v1"
    stream: ClassVar[str] = "notes"
    id: UUID
    n: int
    text: str


class Noted(Event):
    """It is kept."""

    type: ClassVar[str] = "intake.Noted.v1"
    n: int
    text: str


@dataclass(frozen=True, slots=True)
class Notes:
    """The bare loop's state: how many there were, and the last one's number."""

    count: int = 0
    last: int = 0


def evolve(state: Notes, event: Noted) -> Notes:
    return Notes(state.count + 1, event.n)


def decide(state: Notes, command: Note, context) -> Sequence[Noted]:
    return [Noted(n=command.n, text=command.text)]


NOTES = Stream(kind="notes", initial=Notes(), decide=decide, evolve=evolve, is_closed=lambda _: False, timers=lambda _: {})
MIND = Mind(service="intake", own_rules=1, streams={"notes": NOTES}, commands=by_type((Note,)), events=by_type((Noted,)), hears={})

if __name__ == "__main__":
    main(MIND)
