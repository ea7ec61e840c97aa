"""What the other services' facts mean here: each is told to the same complaint. None of them is refused there."""

from shared.contract.intake import (
    ComplaintCommand,
    NoteCustomersEnding,
    NoteLateWithdrawal,
    NoteLearning,
    NoteReply,
    NoteTimelyWithdrawal,
)
from shared.contract.resolution import CaseClosed, DeliveryAssumed, DeliveryConfirmed, ReplyReceived, WithdrawalCameTooLate
from shared.contract.rootcause import LearningClosed
from shared.contract.said import by_type
from shared.machine.mind import Fact

HEARS = by_type((DeliveryConfirmed, DeliveryAssumed, CaseClosed, WithdrawalCameTooLate, ReplyReceived, LearningClosed))


def translate(fact: Fact) -> ComplaintCommand | None:
    """Another service's fact, told to the complaint. The customer's words stay where they are."""
    match fact.event:
        case DeliveryConfirmed(generation=generation, confirmed_at=at):
            return NoteCustomersEnding(generation=generation, ending="confirmed", ended_at=at)
        case DeliveryAssumed(generation=generation, assumed_at=at):
            return NoteCustomersEnding(generation=generation, ending="assumed", ended_at=at)
        case CaseClosed(generation=generation, because="withdrawn"):
            return NoteTimelyWithdrawal(generation=generation)
        case WithdrawalCameTooLate(generation=generation):
            return NoteLateWithdrawal(generation=generation)
        case ReplyReceived(reply_id=reply_id, generation=generation):
            return NoteReply(reply_id=reply_id, generation=generation)
        case LearningClosed(generation=generation, outcome=outcome):
            return NoteLearning(generation=generation, outcome=outcome)
        case _:
            return None
