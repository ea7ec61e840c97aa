"""What became of a sample."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

WHERES = ("own", "fix", "deliver", "retrain", "settled")
SHOWN_MAX = 20
"""So many unexpected answers are kept to be shown."""


@dataclass(frozen=True, slots=True)
class Unexpected:
    """An answer that the script did not expect."""

    message: str
    command: str
    answer: str
    """The rule that refused it, or what happened instead."""
    why: str

    def __str__(self) -> str:
        """In a line."""
        return f"{self.message} {self.command} → {self.answer}: {self.why}"


@dataclass
class Summary:
    """The counts."""

    complaints: int = 0
    """Those whose scripts have ended."""
    submissions: Counter[str] = field(default_factory=Counter)
    """Upstreams' records that were answered, by what became of them."""
    commands: int = 0
    """What people asked, answered."""
    refused: int = 0
    """As was expected."""
    unexpected: int = 0
    repeated: int = 0
    """What had been answered in an earlier run."""
    stages: Counter[str] = field(default_factory=Counter)
    """Where the complaints are."""
    rules: Counter[str] = field(default_factory=Counter)
    """What was refused as expected, by rule."""
    shown: list[Unexpected] = field(default_factory=list)
    unanswered: int = 0
    """Scripts that were under way when no answer came any more."""
    unacknowledged: int = 0
    """Messages of theirs that Kafka has not acknowledged: nobody knows whether it has them."""
    seconds: float = 0.0

    @property
    def answered(self) -> int:
        """All that was answered."""
        return self.submissions.total() + self.commands

    def unexpectedly(self, found: Unexpected) -> None:
        """Counts what was unexpected, and keeps it if it is among the first."""
        self.unexpected += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(found)

    def to_json(self) -> str:
        """The summary as one line."""
        return json.dumps(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The counts that are promised."""
        stages = {where: self.stages[where] for where in WHERES}
        return {
            "complaints": self.complaints, "commands": self.commands, "refused": self.refused, "unexpected": self.unexpected,
            "stages": stages,
        }  # fmt: skip
