"""The catalogue of refusals: a closed set. Each has a code, a sentence, and where it stands for one, its invariant (domain.md §3).

A command against a rule is refused with the rule's code, and the refusal is a fact in the ledger (`machine.CommandRefused.v1`).
"""

import enum
from dataclasses import dataclass, field
from typing import Any


class Rule(enum.Enum):
    """The rules. The value is (code, sentence, may it give way, invariant number or None)."""

    # every stream
    UNKNOWN_STREAM = ("unknown_stream", "There is nothing under this id.", False, None)
    CLOSED = ("closed", "This is closed and takes no further command.", False, None)
    NOT_FOR_YOU = ("not_for_you", "Only our own services say this.", False, None)
    STREAM_WAITING = ("stream_waiting", "An earlier input of this stream is parked, and too many wait behind it.", False, None)
    MESSAGE_ID_CONFLICT = ("message_id_conflict", "This message id was used before with another body.", False, None)

    def __init__(self, code: str, sentence: str, may_give_way: bool, invariant: int | None) -> None:
        self.code = code
        self.sentence = sentence
        self.may_give_way = may_give_way
        self.invariant = invariant


@dataclass(frozen=True, slots=True)
class Refusal:
    """No, and why: the rule, and what it was about in this case."""

    rule: Rule
    why: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What to tell whoever asked: what is wrong and, where `why` says so, what to do."""
        return self.why or self.rule.sentence
