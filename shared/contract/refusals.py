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

    # rootcause
    NO_LEARNING_BEFORE_DELIVERY = (
        "no_learning_before_delivery",
        "We look back only once the customer has it in hand: deliver first.",
        False,
        1,
    )
    NO_CAUSE_BEFORE_DELIVERY = (
        "no_cause_before_delivery",
        "No cause or blame before delivery, or while an objection is open: put right what the customer objects to first.",
        False,
        2,
    )
    RETRAINING_NEEDS_RECURRENCE = (
        "retraining_needs_recurrence",
        "A retraining needs the correct procedure and what to do if it happens again.",
        False,
        6,
    )
    CAUSE_NAMES_A_PERSON = ("cause_names_a_person", "No cause names a person: name the role, step, document or part.", False, 7)
    LEARNED_NEEDS_CORRECTION = (
        "learned_needs_correction",
        "To have learned needs a correction completed or joined, or the reason why none is needed.",
        False,
        11,
    )
    UNKNOWN_DEFECT_KIND = ("unknown_defect_kind", "The policy knows no such kind of defect.", False, None)
    UNKNOWN_CAUSE_KIND = ("unknown_cause_kind", "The policy knows no such kind of cause.", False, None)
    NO_CAUSE_TO_VERIFY = ("no_cause_to_verify", "There is no cause to verify: record one first.", False, None)
    CAUSE_HAS_CHANGED = ("cause_has_changed", "The cause was worded anew since: verify the newest wording.", False, None)
    CORRECTION_ALREADY_DUE = ("correction_already_due", "A correction's due date lies ahead: give one that does.", False, None)
    UNKNOWN_CORRECTION = ("unknown_correction", "There is no such correction to complete.", False, None)
    LEARNING_SUSPENDED = ("learning_suspended", "This waits until it is delivered again.", False, None)
    PROBLEM_ALREADY_OPEN = ("problem_already_open", "Another problem is open under this id: choose a new one.", False, None)
    TOO_MANY = ("too_many", "There are as many of these as one stream can hold.", False, None)

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
