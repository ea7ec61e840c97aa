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

    # parked inputs
    NOT_PARKED = ("not_parked", "Nothing is parked under this entry, or not any more.", False, None)
    PERSON_NEEDED = ("person_needed", "A person answers for this: say who, as in person:anna.", False, None)
    STANDS_AS_IT_IS = ("stands_as_it_is", "What another service or the clock says stands as it is.", False, None)
    GIVEN_UP = ("given_up", "It could not be decided and was given up: send it anew if it is still wanted.", False, None)

    # intake and resolution
    MISUNDERSTANDING_FIRST = ("misunderstanding_first", "Clear up the misunderstanding before anything moves.", False, 3)
    CUSTOMERS_WORD_NEEDS_PROOF = (
        "customers_word_needs_proof",
        "This is the customer's word: name their recorded reply, the recorded call, or their own token.",
        False,
        17,
    )
    KEEPING_NEEDS_ITS_EVENT = ("keeping_needs_its_event", "Name the event that kept the promise.", False, 17)
    UNKNOWN_PROMISE = ("unknown_promise", "There is no such promise here.", False, None)
    PROMISE_ENDED = ("promise_ended", "This promise has ended: each is kept, broken or renegotiated exactly once.", False, 13)
    PROMISE_PAST_DUE = ("promise_past_due", "Its time has come and gone: keep or renegotiate a promise before it is due.", False, 13)
    PROMISE_ALREADY_DUE = ("promise_already_due", "A promise's date lies ahead: give one that does.", False, None)
    WRONG_STAGE = ("wrong_stage", "This belongs to another stage.", False, None)

    # intake
    NO_OWNER = ("no_owner", "Nobody is asked to own it yet: assign an owner first.", False, None)
    NOT_THE_OWNER = ("not_the_owner", "Only whoever was asked to own it can accept.", False, None)
    TRANSFER_INSTEAD = ("transfer_instead", "It has an owner: transfer it, with the reason and the whole story.", False, 16)
    OWNERSHIP_INCOMPLETE = (
        "ownership_incomplete",
        "To be owned it needs an accepting owner, an acknowledgement sent, a need stated and a next step promised.",
        False,
        1,
    )
    WITHDRAWAL_TOO_LATE = (
        "withdrawal_too_late",
        "It has been delivered: let the customer confirm it or object to it.",
        False,
        None,
    )
    NOT_ENDED = ("not_ended", "It has not ended: there is nothing to reopen.", False, None)
    REOPEN_WINDOW_PASSED = ("reopen_window_passed", "It ended too long ago to be reopened: submit it as a new complaint.", False, None)

    # resolution
    NO_FIX_BEFORE_OWNERSHIP = (
        "no_fix_before_ownership",
        "Nothing is fixed before somebody owns it: complete the ownership first; if there is no such complaint, submit it.",
        False,
        1,
    )
    NO_DELIVERY_BEFORE_FIX = ("no_delivery_before_fix", "There is nothing to deliver yet: complete the fix first.", False, 1)
    NO_EXCUSE_BEFORE_DELIVERY = (
        "no_excuse_before_delivery",
        "No explanation before the customer has it in hand, or while they object: deliver first.",
        False,
        2,
    )
    DECLINE_NEEDS_ALTERNATIVE = (
        "decline_needs_alternative",
        "A decline carries reasons, and a counter-offer or the reason why there is no alternative.",
        False,
        4,
    )
    DECISION_NEEDS_REASONS = ("decision_needs_reasons", "A decision carries its reasons.", False, None)
    DECISION_STANDS = ("decision_stands", "A decision was made: it is made anew only with new evidence.", False, 5)
    CLARIFIED_HAS_NO_REMEDY = ("clarified_has_no_remedy", "What was only cleared up has no remedy: uphold it instead.", False, None)
    DECIDE_FIRST = ("decide_first", "Nothing was decided yet: make a decision first.", False, None)
    FIX_NOT_STARTED = ("fix_not_started", "The fix was not started: start it first.", False, None)
    UNKNOWN_OFFER = ("unknown_offer", "There is no such offer to answer.", False, None)
    OFFER_ANSWERED = ("offer_answered", "The customer answered this offer already: make a new one.", False, None)
    NOTHING_DELIVERED = ("nothing_delivered", "Nothing was delivered that could be confirmed or objected to.", False, 1)

    # rootcause
    NO_LEARNING_BEFORE_DELIVERY = (
        "no_learning_before_delivery",
        "We look back only once the customer has it in hand: deliver first; if there is no such complaint, submit it.",
        False,
        1,
    )
    NO_CAUSE_BEFORE_DELIVERY = (
        "no_cause_before_delivery",
        "No cause or blame before delivery, or while an objection or a misunderstanding is open: see to what the customer says first.",
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
