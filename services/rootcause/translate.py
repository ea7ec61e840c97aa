"""What the other services' facts mean here: each is told to the learning of the same complaint. None of them is refused there."""

from shared.contract.intake import ComplaintReopened, ComplaintWithdrawn, OwnershipAccepted
from shared.contract.resolution import CaseClosed, Delivered, DeliveryObjected
from shared.contract.rootcause import ChangeOwner, LearningCommand, NoteCaseClosed, OpenLearning, SuspendLearning
from shared.contract.said import by_type
from shared.machine.mind import Fact

HEARS = by_type((Delivered, DeliveryObjected, CaseClosed, ComplaintWithdrawn, ComplaintReopened, OwnershipAccepted))


def translate(fact: Fact) -> LearningCommand | None:
    """Another service's fact, told to the learning. The customer's words stay where they are: an objection's reason is not copied."""
    match fact.event:
        case Delivered(generation=generation, owner=owner, product=product):
            return OpenLearning(generation=generation, trigger="delivered", owner=owner, product=product)
        case ComplaintWithdrawn(generation=generation, owner=owner, product=product):
            return OpenLearning(generation=generation, trigger="withdrawn", owner=owner, product=product)
        case DeliveryObjected(generation=generation):
            return SuspendLearning(generation=generation, because="objected")
        case CaseClosed(generation=generation):
            return NoteCaseClosed(generation=generation)
        case ComplaintReopened(generation=generation):
            return SuspendLearning(generation=generation, because="reopened")
        case OwnershipAccepted(generation=generation, owner=owner, taken_from=str()):
            return ChangeOwner(generation=generation, to=owner)
        case _:
            return None
