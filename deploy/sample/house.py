"""The organisations that are complained to, as data: what they sell, who works there, what goes wrong, and the words for it."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.contract.intake import Severity
from shared.contract.values import Stage

WORDS = Path(__file__).parent / "words"
HOUSES = ("bakery", "broadband", "it_desk")

Lines = tuple[str, ...]
"""Variants of a text, with slots in braces."""


class Words(BaseModel):
    """A part of the texts: nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Product(Words):
    """Something that is sold or provided."""

    name: str
    thing: str
    """As it is called in a sentence."""
    price: tuple[int, int]


class Source(Words):
    """An upstream system, and how it numbers its complaints: the tag is the seed's, so that no two samples share a reference."""

    name: str
    ref: str
    channels: Lines


class Finding(Words):
    """Who finds things before a customer does."""

    source: str
    ref: str
    departments: Lines


class Owner(Words):
    """Somebody who answers for complaints."""

    ref: str
    name: str


class Misread(Words):
    """A misunderstanding, and how it is cleared up."""

    understood: str
    meant: str
    now: str


class Decline(Words):
    """Why not, and what can be done instead."""

    reason: str
    asked: str
    offer: str
    better: str
    no_alternative: str


class Remedy(Words):
    """What the customer gets: an amount, or a share of the price."""

    what: str
    amount: int | None = None
    share: float | None = None


class Cause(Words):
    """Where it came from."""

    kind: str
    faltered: Stage
    self_inflicted: bool
    what: str
    evidence: str


class Sideways(Words):
    """Where else it was looked for."""

    looked_at: Lines
    found: str


class Correction(Words):
    """What is changed, how it is done rightly, and what to do if it happens again."""

    what: str
    procedure: str
    recurrence: str


class NoFault(Words):
    """Nothing was at fault."""

    evidence: str
    expected_because: str


class ProblemWords(Words):
    """What many complaints have in common."""

    title: str
    symptom: str


class Trouble(Words):
    """One kind of thing that goes wrong, from the customer's words to the correction."""

    issue: str
    products: tuple[Product, ...]
    defect_kind: str
    severity: tuple[Severity, ...]
    central: bool
    happened: Lines
    meant: Lines
    asked: Lines
    need: Lines
    how: str
    misread: Misread
    facts: Lines
    evidence: str
    reasons: Lines
    partly: str
    decline: Decline
    clarified: str
    remedies: tuple[Remedy, ...]
    fix: Lines
    fixed: Lines
    given: Lines
    by: str
    shown: str
    thanks: Lines
    objection: str
    explained: str
    cause: Cause
    not_it: str
    verified: str
    contained: str
    sideways: Sideways
    correction: Correction
    corrected: str
    no_fault: NoFault
    problem: ProblemWords


class House(Words):
    """An organisation."""

    name: str
    currency: str
    kind: str
    lead: str
    teams: Lines
    occasions: Lines
    places: Lines
    known: Lines
    order: str
    owners: tuple[Owner, ...]
    sources: tuple[Source, ...]
    finding: Finding
    troubles: tuple[Trouble, ...]


@cache
def houses() -> tuple[House, ...]:
    """All of them."""
    return tuple(House.model_validate(_read(name)) for name in HOUSES)


@cache
def phrases() -> Mapping[str, Any]:
    """What is said in every house, by table and name."""
    return _read("phrases")


def _read(name: str) -> Mapping[str, Any]:
    return tomllib.loads((WORDS / f"{name}.toml").read_text(encoding="utf-8"))
