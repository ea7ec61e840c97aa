"""How upstreams tell us: most of them well, some without our key, some twice, some in a way that can't be read."""

import json
from dataclasses import dataclass
from typing import Literal

from deploy.sample.writing import Pen
from shared.contract.envelope import key_of
from shared.contract.intake import ComplaintReceived, ReportFinding, SubmissionConflicted, SubmissionRepeated, SubmitComplaint
from shared.contract.machine import InputParked

Oddity = Literal["", "broken", "headless", "repeat", "update", "conflict"]
OWN_KEY, NO_KEY = 9, 4
"""The last digits of the complaints whose upstream keys in its own way, or not at all: their records cost one hop."""


@dataclass(frozen=True, slots=True)
class Every:
    """One complaint in so many."""

    of: int
    number: int


ODDITIES: dict[Oddity, Every] = {
    "broken": Every(500, 3),
    "headless": Every(500, 28),
    "conflict": Every(100, 19),
    "repeat": Every(50, 7),
    "update": Every(50, 13),
}


def oddity(number: int) -> Oddity:
    """What is odd about the submission of this complaint."""
    return next((name for name, every in ODDITIES.items() if number % every.of == every.number), "")


def submitted(pen: Pen) -> None:
    """The complaint's first lines: an upstream's record with whatever is odd about it, or one of us reports."""
    matter = pen.matter
    if isinstance(matter.told, ReportFinding):
        pen.ask(ReportFinding, dict(matter.told), by=f"team:{matter.told.source}", stream=matter.complaint)
        return
    odd, told = oddity(matter.number), matter.told
    key = _key(pen)
    if odd == "broken":
        pen.submit(told.to_bytes()[: len(told.to_bytes()) * 2 // 3], key, InputParked)
    elif odd == "headless":
        pen.submit(json.dumps(told.model_dump(mode="json", exclude={"ref"}, exclude_none=True)).encode(), key, InputParked)
    pen.submit(told.to_bytes(), key, ComplaintReceived)
    if odd == "repeat":
        pen.submit(told.to_bytes(), key, SubmissionRepeated)
    elif odd == "update":
        later = told.model_copy(update={"upstream_version": "2", "upstream_status": "waiting for supplier", "narrative": _more(pen, told)})
        pen.submit(later.to_bytes(), key, SubmissionRepeated)
    elif odd == "conflict":
        other = told.model_copy(update={"narrative": _more(pen, told), "tags": ("imported twice",)})
        pen.submit(other.to_bytes(), key, SubmissionConflicted)


def _more(pen: Pen, told: SubmitComplaint) -> str:
    return f"{told.narrative}\n\n[added later] {pen.say(*pen.trouble.asked)}"


def _key(pen: Pen) -> bytes | None:
    match pen.matter.number % 10:
        case digit if digit == NO_KEY:
            return None
        case digit if digit == OWN_KEY:
            return (pen.matter.told.customer.ref or pen.matter.told.ref).encode()
        case _:
            return key_of(pen.matter.complaint)
