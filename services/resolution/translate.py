"""What intake's facts mean here: each is told to the case of the same complaint. None of them is refused there."""

from shared.contract.intake import ComplaintOwned, ComplaintReopened, ComplaintWithdrawn, OwnershipAccepted, ReplyReceived
from shared.contract.resolution import CaseCommand, ChangeOwner, CloseWithdrawn, NoteReply, OpenCase, SuspendCase
from shared.contract.said import by_type
from shared.machine.mind import Fact

HEARS = by_type((ComplaintOwned, ComplaintWithdrawn, ComplaintReopened, OwnershipAccepted, ReplyReceived))


def translate(fact: Fact) -> CaseCommand | None:
    """Intake's fact, told to the case. Whoever fixes it needs what was owned; the story of a transfer stays with intake."""
    match fact.event:
        case ComplaintOwned() as owned:
            return OpenCase(
                generation=owned.generation,
                owner=owned.owner,
                need=owned.need,
                next_step=owned.next_step,
                promises=owned.promises,
                replies=owned.replies,
                customer_kind=owned.customer_kind,
                product=owned.product,
            )
        case ComplaintWithdrawn(generation=generation):
            return CloseWithdrawn(generation=generation)
        case ComplaintReopened(generation=generation):
            return SuspendCase(generation=generation)
        case OwnershipAccepted(generation=generation, owner=owner, taken_from=str()):
            return ChangeOwner(generation=generation, to=owner)
        case ReplyReceived(reply_id=reply_id, generation=generation):
            return NoteReply(reply_id=reply_id, generation=generation)
        case _:
            return None
