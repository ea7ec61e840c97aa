"""Decisions: what each must carry, and that one stands until new evidence comes or the complaint is opened again."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.resolution import offers
from shared.contract.refusals import Refusal, Rule
from shared.contract.resolution import CounterOfferMade, DecisionMade, FixCompleted, MakeDecision, Verdict
from shared.machine.mind import Context
from shared.obligations.sameness import fingerprint

CLEARED_UP = "It was cleared up: there is nothing to put right."
"""What is ready to be delivered where it was only clarified."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision that stands."""

    verdict: Verdict
    terms: str
    """The fingerprint of what was decided and why."""
    offer_id: str | None = None
    """The counter-offer that goes with it."""

    @property
    def needs_a_fix(self) -> bool:
        """Whether something is to be put right. After a decline, or what was cleared up, it is the answer that gets ready."""
        return self.verdict in {"uphold", "uphold_in_part"}


def decided(event: DecisionMade) -> Decided:
    """The decision that stands after this."""
    return Decided(event.verdict, _terms_of(event), None if event.offer_id is None else str(event.offer_id))


def decision(
    before: Decided | None, made: offers.Offers, command: MakeDecision, generation: int, context: Context
) -> Sequence[DecisionMade | CounterOfferMade | FixCompleted] | Refusal:
    """What follows from deciding (invariants 4 and 5). What is only clarified is ready at once."""
    if before is not None:
        return [] if _is_same(before, made, command) else Refusal(Rule.DECISION_STANDS)
    if refusal := _objection_to(command):
        return refusal
    offer = None if command.counter_offer is None else offers.make(made, command.counter_offer, context)
    if isinstance(offer, Refusal):
        return offer
    event = DecisionMade(
        generation=generation,
        verdict=command.verdict,
        reasons=command.reasons,
        remedies=command.remedies,
        offer_id=offer.offer_id if isinstance(offer, CounterOfferMade) else offer,
        no_alternative=command.no_alternative,
        decided_by=context.actor,
    )
    if isinstance(offer, CounterOfferMade):
        return [event, offer]
    return [event, FixCompleted(generation=generation, what=CLEARED_UP)] if command.verdict == "clarified" else [event]


def _objection_to(command: MakeDecision) -> Refusal | None:
    if not command.reasons:
        return Refusal(Rule.DECISION_NEEDS_REASONS, "say why it is decided so: give at least one reason")
    if command.verdict == "clarified" and (command.remedies or command.counter_offer):
        return Refusal(Rule.CLARIFIED_HAS_NO_REMEDY)
    if command.verdict == "decline" and (command.counter_offer is None) == (command.no_alternative is None):
        if command.no_alternative is None:
            why = "say what can be done instead (`counter_offer`), or why nothing can (`no_alternative`)"
        else:
            why = "it has a counter-offer and says that there is no alternative: leave one of them out"
        return Refusal(Rule.DECLINE_NEEDS_ALTERNATIVE, why)
    return None


def _is_same(before: Decided, made: offers.Offers, command: MakeDecision) -> bool:
    if before.terms != _terms_of(command):
        return False
    offered = None if before.offer_id is None else made[before.offer_id].terms
    return offered == (None if command.counter_offer is None else offers.terms_of(command.counter_offer))


def _terms_of(said: MakeDecision | DecisionMade) -> str:
    """What makes two decisions the same one, but for the counter-offer: that is said in an event of its own."""
    return fingerprint(said, "verdict", "reasons", "remedies", "no_alternative")
