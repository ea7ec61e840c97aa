"""The values that commands and events are made of, each with its limit. A limit is a named constant."""

import enum
import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

REFERENCE_MAX = 200
"""Characters of a reference."""
SHORT_TEXT_MAX = 500
"""Characters of a line."""
LONG_TEXT_MAX = 10_000
"""Characters of a text."""
NARRATIVE_MAX = 60_000
"""Characters of what somebody tells."""
LIST_MAX = 100
"""Entries of a list."""
YEAR_MIN, YEAR_MAX = 1900, 2199
"""Of a time that somebody names."""
NAMED = re.compile(r"^[^\x00-\x1f\x7f]+$")

ACTOR = re.compile(r"(person|team|system):[^\s\x00-\x1f\x7f]{1,190}")
"""How one of us is named: in one way only, or whoever looks for them does not find them."""
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def printable(text: str) -> str:
    """The text, if it holds no control character but tab and line break. Raises ValueError."""
    if found := UNPRINTABLE.search(text):
        raise ValueError(f"holds the control character U+{ord(found.group()):04X} at {found.start()}; remove it")
    return text


def _actor(name: str) -> str:
    if not ACTOR.fullmatch(name):
        raise ValueError("names none of us: write person:NAME, team:NAME or system:NAME, without spaces")
    return name


def _in_range(at: datetime) -> datetime:
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise ValueError(f"the year {at.year} is outside {YEAR_MIN} to {YEAR_MAX}")
    return at


def _blank_is_absent(given: object) -> object:
    return None if isinstance(given, str) and not given.strip() else given


PERSONAL = {"x-personal": True}
"""Marks a field that tells who somebody is or what they wrote. Sealing looks for it in the schema.

Free text about one customer's matter is personal, whoever writes it; catalogue words and procedures are not.
A problem has many customers and none of its own, so nothing of it could be sealed for one: it is to name nobody.
"""

Reference = Annotated[str, StringConstraints(min_length=1, max_length=REFERENCE_MAX, pattern=NAMED, strip_whitespace=True)]
"""A name or number somebody else gave: an order, a batch, a ticket."""
Label = Annotated[str, StringConstraints(min_length=1, max_length=REFERENCE_MAX, pattern=NAMED, strip_whitespace=True)]
"""A short word from a catalogue: a product, a kind, a team."""
Actor = Annotated[
    str,
    StringConstraints(max_length=REFERENCE_MAX, strip_whitespace=True),
    AfterValidator(_actor),
    Field(json_schema_extra={"pattern": f"^{ACTOR.pattern}$"}),
]
"""One of us, who can be asked and can answer for something: `person:anna`, `team:ordering`. Events keep it as a `Reference`."""
# Free texts that are not personal: catalogue words, procedures.
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=SHORT_TEXT_MAX, strip_whitespace=True), AfterValidator(printable)]
LongText = Annotated[str, StringConstraints(min_length=1, max_length=LONG_TEXT_MAX, strip_whitespace=True), AfterValidator(printable)]
OptionalText = Annotated[LongText | None, BeforeValidator(_blank_is_absent)]
"""A text that may be left out; a blank one counts as left out, so that a rule can refuse it by name."""
# Personal ones, each as long as its neighbour above.
Narrative = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NARRATIVE_MAX, strip_whitespace=True),
    AfterValidator(printable),
    Field(json_schema_extra=PERSONAL),
]
"""The customer's own words. Personal."""
PersonalText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONG_TEXT_MAX, strip_whitespace=True),
    AfterValidator(printable),
    Field(json_schema_extra=PERSONAL),
]
"""Anything else that is written about somebody's matter: messages, facts, reasons, evidence. Personal."""
OptionalPersonalText = Annotated[PersonalText | None, BeforeValidator(_blank_is_absent)]
"""The same where it may be left out, as an `OptionalText`. Personal."""
PersonalShort = Annotated[
    str,
    StringConstraints(min_length=1, max_length=SHORT_TEXT_MAX, strip_whitespace=True),
    AfterValidator(printable),
    Field(json_schema_extra=PERSONAL),
]
"""A line about somebody's matter: what was promised, how it was delivered. Personal."""
PersonalName = Annotated[
    str, StringConstraints(min_length=1, max_length=REFERENCE_MAX, pattern=NAMED, strip_whitespace=True), Field(json_schema_extra=PERSONAL)
]
"""Who somebody is or where they are found: a name, an address, the reference of a call or of their message. Personal."""
At = Annotated[AwareDatetime, AfterValidator(_in_range)]
"""A moment: ISO 8601 with its zone. Kept as given; compared as a moment."""
Generation = Annotated[int, Field(ge=1, le=1_000_000)]
"""1 for a complaint's first run; each reopening adds one. A fact of an older generation has no effect."""


class Value(BaseModel):
    """A part of a command or event: frozen, nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(enum.StrEnum):
    """Where a complaint is. The order of the members is the order of the stages."""

    OWN = "own"
    FIX = "fix"
    DELIVER = "deliver"
    RETRAIN = "retrain"


class Money(Value):
    """An amount and its currency (ISO 4217). Never a float: written as a string, as in "12.50"."""

    amount: Annotated[Decimal, Field(max_digits=15, decimal_places=4, ge=0)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Customer(Value):
    """Anyone served: a buyer, a client, a boss, another department."""

    ref: (
        Annotated[str, StringConstraints(min_length=1, max_length=REFERENCE_MAX, pattern=NAMED), Field(json_schema_extra=PERSONAL)] | None
    ) = None
    """How the upstream knows them: a customer number."""
    name: PersonalName | None = None
    contact: PersonalName | None = None
    """An address, a telephone number, an account: how to reach them."""
    kind: Literal["external", "internal"] = "external"


class Proof(Value):
    """What shows that something is the customer's own word: their reply, a recorded call, or their own token."""

    kind: Literal["reply", "call", "token"]
    ref: PersonalName
    """The `reply_id` of a `ReplyReceived`, the reference of the recording, or the token."""


class PromiseTerms(Value):
    """What was promised, and by when."""

    promise_id: UUID
    what: PersonalShort
    due_at: At
    made_at: Literal["sale", "own", "fix", "deliver"]
