"""What the other services' facts mean here: each is told to the learning of the same complaint. None of them is refused there."""

from datetime import datetime

from shared.contract.intake import ComplaintReopened, ComplaintWithdrawn, OwnershipAccepted
from shared.contract.resolution import CaseClosed, Delivered, DeliveryObjected, MisunderstandingCleared, MisunderstandingRaised
from shared.contract.rootcause import ChangeOwner, LearningCommand, NoteCaseClosed, OpenLearning, SuspendLearning
from shared.contract.said import by_type
from shared.machine.mind import Fact

HEARS = by_type((
    Delivered, DeliveryObjected, MisunderstandingRaised, MisunderstandingCleared, CaseClosed, ComplaintWithdrawn, ComplaintReopened,
    OwnershipAccepted,
))  # fmt: skip


def translate(fact: Fact) -> LearningCommand | None:
    """Another service's fact, told to the learning. The customer's words stay where they are: an objection's reason is not copied.

    A misunderstanding of what was delivered counts as an objection; of what was not, there is nothing to look back upon that it could hold
    up. Once it is cleared up, what was delivered is in the customer's hand again.
    """
    match fact.event:
        case Delivered(generation=generation, owner=owner, product=product):
            return OpenLearning(generation=generation, trigger="delivered", owner=owner, product=product)
        case ComplaintWithdrawn(generation=generation, owner=owner, product=product):
            return OpenLearning(generation=generation, trigger="withdrawn", owner=owner, product=product)
        case DeliveryObjected(generation=generation) | MisunderstandingRaised(generation=generation):
            return SuspendLearning(generation=generation, because="objected")
        case MisunderstandingCleared(generation=generation, objection_until=datetime()):
            return OpenLearning(generation=generation, trigger="delivered")
        case CaseClosed(generation=generation):
            return NoteCaseClosed(generation=generation)
        case ComplaintReopened(generation=generation):
            return SuspendLearning(generation=generation, because="reopened")
        case OwnershipAccepted(generation=generation, owner=owner, taken_from=str()):
            return ChangeOwner(generation=generation, to=owner)
        case _:
            return None
