"""The pen: writes a script line by line, knows who owns the complaint and what is promised by now, and finds the words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from deploy.sample.dice import Dice
from deploy.sample.house import Lines, Owner, Remedy, Trouble, phrases
from deploy.sample.matters import Matter
from deploy.sample.scripts import Fact, IdOf, Line, Step, Submission
from shared.contract.envelope import stream_id
from shared.contract.refusals import Rule
from shared.contract.said import Command, Event

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Plan:
    """How far a complaint goes, and what must happen on the way. What is not planned is left to the dice."""

    stage: str
    """Where it is when its script ends."""
    stops: str
    """The place at which the script ends."""
    does: frozenset[str] = frozenset()
    """Detours that it certainly takes."""
    upheld: bool | None = None
    """Whether the decision is for the customer; None: whichever."""
    outcome: str = "corrected"
    """What is learned in the end, where it gets there."""
    withdraws: str = ""
    """The place at which the customer takes it back."""


@dataclass(frozen=True, slots=True)
class Chance:
    """Something that could be tried here and would be refused."""

    place: int
    """Before which line."""
    weight: int
    step: Step


class Pen:
    """Writes one complaint's script."""

    def __init__(self, matter: Matter, now: datetime, plan: Plan, problem: UUID | None = None) -> None:
        """`problem`: the one that a complaint like this belongs to."""
        self.matter, self.now, self.plan, self.problem = matter, now, plan, problem
        self.dice = Dice("script", matter.seed, matter.number)
        self.slots = dict(matter.slots)
        self.lines: list[Line] = []
        self.chances: list[Chance] = []
        self.generation = 1
        self.promised: list[str] = []
        """The open promises, by the names of their steps."""
        self.verdict = ""
        self.accepted: bool | None = None
        """What the customer said to the counter-offer."""
        self.learned = False
        self._pending: tuple[Fact, ...] = ()
        self._count = 0
        self.owner = self.dice.pick(matter.house.owners)
        self.belongs_to(self.owner)

    # ---- writing -----------------------------------------------------------------------------------------------------------

    def ask(self, asks: type[Command], data: Mapping[str, Any] | None = None, *, by: str = "", name: str = "", **more: Any) -> None:
        """Adds a step, by the owner where nobody else is named. `more`: what else a `Step` has."""
        self.lines.append(Step(asks, data or {}, by or self.owner.ref, name=name, after=self._pending, **more))
        self._pending = ()

    def submit(self, body: bytes, key: bytes | None, expects: type[Event]) -> None:
        """Adds an upstream's record."""
        self.lines.append(Submission(body, key, expects.type))

    def wait(self, *facts: Fact) -> None:
        """What is asked next waits until these have been heard."""
        self._pending = (*self._pending, *facts)

    @property
    def pending(self) -> tuple[Fact, ...]:
        """What is waited for just now."""
        return self._pending

    def chance(self, weight: int, rule: Rule, step: Step) -> None:
        """Something could be tried here, in vain."""
        self.chances.append(Chance(len(self.lines), weight, replace(step, refused=rule, after=(*self._pending, *step.after))))

    def does(self, detour: str, so_often: float) -> bool:
        """Whether a detour is taken: where it is planned, or by chance."""
        rolled = self.dice.chance(so_often)
        return rolled or self.must(detour)

    def must(self, detour: str) -> bool:
        """Whether a detour is planned."""
        return detour == self.plan.stops or detour in self.plan.does

    # ---- words -------------------------------------------------------------------------------------------------------------

    @property
    def trouble(self) -> Trouble:
        """What went wrong."""
        return self.matter.trouble

    def say(self, *variants: str) -> str:
        """One of these, with the slots filled."""
        return self.dice.pick(variants).format_map(self.slots)

    def words(self, table: str, name: str) -> str:
        """One of what is said in every house."""
        lines: Lines | str = phrases()[table][name]
        return self.say(*([lines] if isinstance(lines, str) else lines))

    def all_of(self, table: str, name: str) -> Lines:
        """All variants, as they stand."""
        lines: Lines = tuple(phrases()[table][name])
        return lines

    def unopened(self) -> UUID:
        """A problem that nobody opened."""
        return stream_id("problem", f"{self.matter.complaint}/mistyped")

    def belongs_to(self, owner: Owner) -> None:
        """Somebody else answers for it from here on."""
        self.owner = owner
        self.slots["owner"] = owner.name

    def another(self) -> Owner:
        """A colleague of the owner."""
        return self.dice.pick([one for one in self.matter.house.owners if one != self.owner])

    def ahead(self, low: int, high: int) -> datetime:
        """A full hour, so many days ahead."""
        day = self.now + timedelta(days=self.dice.between(low, high))
        return day.replace(hour=self.dice.between(9, 17), minute=0, second=0, microsecond=0)

    def until(self, due_at: datetime) -> None:
        """The date that letters name."""
        self.slots["due"] = f"{due_at:%A} {due_at.day} {due_at:%B}, {due_at:%H:%M}"

    def new(self, name: str) -> str:
        """A name for a step that no other step has."""
        self._count += 1
        return f"{name}-{self._count}"

    def reference(self, kind: str) -> str:
        """A reference that is nobody else's: of a recorded call, of a customer's message."""
        return f"{kind}-{self.matter.seed}-{self.matter.number}-{self.new('')[1:]}"

    def call(self) -> dict[str, str]:
        """The customer's word, recorded on the telephone or given with their own token."""
        kind = "call" if self.dice.chance(0.75) else "token"
        return {"kind": kind, "ref": self.reference("rec" if kind == "call" else "tok")}

    def reply(self, name: str) -> dict[str, Any]:
        """The customer's word, in a reply that was recorded."""
        return {"kind": "reply", "ref": IdOf(name)}

    def remedies(self) -> tuple[dict[str, Any], ...]:
        """What the customer gets, with amounts."""
        kept = self.trouble.remedies if self.dice.chance(0.7) else self.trouble.remedies[:1]
        return tuple(self._remedy(one) for one in kept)

    def _remedy(self, remedy: Remedy) -> dict[str, Any]:
        share = Decimal(str(remedy.share)) if remedy.share else Decimal()
        amount = (Decimal(remedy.amount or 0) + self.matter.price * share).quantize(CENT)
        money = {"amount": str(amount), "currency": self.matter.house.currency}
        return {"what": self.say(remedy.what)} | ({"amount": money} if amount else {})
