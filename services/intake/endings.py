"""The two endings of a complaint, the customer's and ours, and what the other services say of them. Settled is it only with both.

Resolution's facts and rootcause's come over two topics without an order between them, so each fact is judged by its generation alone,
whichever came first. A withdrawal can cross a delivery on the way: of a complaint that was owned it is the ending only once resolution
says that nothing had been delivered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from shared.contract.intake import (
    ComplaintSettled,
    ComplaintWithdrawn,
    CustomersEnding,
    CustomersEndingNoted,
    LearningNoted,
    NoteCustomersEnding,
    NoteLateWithdrawal,
    NoteLearning,
    NoteTimelyWithdrawal,
    StaleFactIgnored,
    WithdrawalOverruled,
    WithdrawalStood,
)
from shared.contract.rootcause import Outcome

Noted = NoteCustomersEnding | NoteLateWithdrawal | NoteTimelyWithdrawal | NoteLearning
EndingEvent = ComplaintWithdrawn | WithdrawalOverruled | WithdrawalStood | CustomersEndingNoted | LearningNoted | ComplaintSettled
FactName = Literal["confirmed", "assumed", "late_withdrawal", "timely_withdrawal", "learned"]


@dataclass(frozen=True, slots=True)
class Endings:
    """How one generation of a complaint ended."""

    customers: CustomersEnding | None = None
    at: datetime | None = None
    """When the customer's ending was."""
    unsure: bool = False
    """Whether it is a withdrawal that a delivery may have forestalled."""
    outcome: Outcome | None = None
    """What we learned: our ending."""
    settled: bool = False


def ended(endings: Endings, event: EndingEvent, *, owned: bool) -> Endings:
    """The endings after one more fact."""
    match event:
        case ComplaintWithdrawn(withdrawn_at=at):
            return replace(endings, customers="withdrawn", at=at, unsure=owned)
        case WithdrawalOverruled():
            return replace(endings, customers=None, at=None, unsure=False)
        case WithdrawalStood():
            return replace(endings, unsure=False)
        case CustomersEndingNoted(ending=ending, ended_at=at):
            return replace(endings, customers=ending, at=at, unsure=False)
        case LearningNoted(outcome=outcome):
            return replace(endings, outcome=outcome)
        case ComplaintSettled():
            return replace(endings, settled=True)
        case _:
            assert_never(event)


def noted(endings: Endings, command: Noted, current: int, *, owned: bool) -> Sequence[EndingEvent | StaleFactIgnored]:
    """What another service's fact means for the generation that is `current`. It is never refused.

    An ending, and an answer to a withdrawal, concern only what was owned: resolution knows of nothing else. A delivery's ending shows by
    itself that a withdrawal came too late.
    """
    generation = command.generation
    if not current:
        return []
    if generation != current:
        return [StaleFactIgnored(fact=_name(command), generation=generation, current=current)]
    found: list[EndingEvent] = []
    match command:
        case NoteCustomersEnding(ending=ending, ended_at=at):
            if owned and (endings.customers is None or endings.unsure):
                overruled = [WithdrawalOverruled(generation=generation)] if endings.unsure else []
                found = [*overruled, CustomersEndingNoted(generation=generation, ending=ending, ended_at=at)]
        case NoteLateWithdrawal() if endings.unsure:
            found = [WithdrawalOverruled(generation=generation)]
        case NoteTimelyWithdrawal() if endings.unsure:
            found = [WithdrawalStood(generation=generation)]
        case NoteLearning(outcome=outcome) if endings.outcome is None:
            found = [LearningNoted(generation=generation, outcome=outcome)]
        case NoteLateWithdrawal() | NoteTimelyWithdrawal() | NoteLearning():
            pass
        case _:
            assert_never(command)
    return with_settled(endings, found, generation, owned=owned)


def with_settled(endings: Endings, events: Sequence[EndingEvent], generation: int, *, owned: bool) -> Sequence[EndingEvent]:
    """The events, and that it is settled where both endings are there after them."""
    after = endings
    for event in events:
        after = ended(after, event, owned=owned)
    if after.settled or after.unsure or after.customers is None or after.outcome is None:
        return events
    return [*events, ComplaintSettled(generation=generation, ending=after.customers, outcome=after.outcome)]


def _name(command: Noted) -> FactName:
    match command:
        case NoteCustomersEnding(ending=ending):
            return ending
        case NoteLateWithdrawal():
            return "late_withdrawal"
        case NoteTimelyWithdrawal():
            return "timely_withdrawal"
        case NoteLearning():
            return "learned"
        case _:
            assert_never(command)
