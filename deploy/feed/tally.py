"""What became of the rows of a submission: counts, and the rows that could not be taken."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Literal

SHOWN_MAX = 20
"""So many bad rows are listed where no file for them was named."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A row that was not taken: where it stands, and why."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        """As an editor can follow it: `file:line: why`."""
        return f"{self.file}:{self.line}: {self.why}"


@dataclass
class Tally:
    """The counts. Every row is in exactly one of them once all are answered."""

    mode: Literal["answered", "valid", "sent"] = "answered"
    """What rows are counted as: by the system's answers, or, where none are waited for, as valid or as sent."""
    outcomes: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    """How many of the repeated carried newer content of their upstream."""
    shown: list[BadLine] = field(default_factory=list)
    all_errors: IO[str] | None = None
    """Where every bad row is written, where somebody asked for it."""
    unanswered: int = 0
    """Rows that were sent and that nobody answered in time."""
    unacknowledged: int = 0
    """How many of the unanswered Kafka has not acknowledged: nobody knows whether it has them."""
    cut_short: bool = False
    """Whether rows were left that were not even sent."""
    seconds: float = 0.0

    def bad(self, line: BadLine) -> None:
        """Counts a bad row and keeps it, if it is among the first."""
        self.outcomes["bad"] += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(line)
        if self.all_errors:
            self.all_errors.write(f"{line}\n")

    @property
    def rows(self) -> int:
        """All rows that are accounted for."""
        return self.outcomes.total()

    def counts(self) -> dict[str, int]:
        """The summary, in the order it is promised."""
        named = ("accepted", "repeated", "conflicting", "bad") if self.mode == "answered" else (self.mode, "bad")
        return {"rows": self.rows} | {name: self.outcomes[name] for name in named}

    def to_json(self) -> str:
        """The summary as one line."""
        return json.dumps(self.counts())
