"""Counter-offers: what can be done instead of what was asked, and what the customer says to it. Each is answered once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never
from uuid import UUID

from shared.contract.refusals import Refusal, Rule
from shared.contract.resolution import (
    AnswerOffer,
    CounterOfferAccepted,
    CounterOfferMade,
    CounterOfferRefused,
    MakeCounterOffer,
    OfferTerms,
)
from shared.contract.values import LIST_MAX
from shared.machine.mind import Context
from shared.obligations.proof import Moment, Replies, proven
from shared.obligations.sameness import fingerprint

OFFERS_MAX = LIST_MAX
"""Most offers of one case in one generation."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What was offered, and what the customer said to it."""

    terms: str
    """Their fingerprint."""
    since: Moment
    """When it was made."""
    answer: Literal["accepted", "refused"] | None = None


Offers = dict[str, Offer]


def offered(offers: Offers, event: CounterOfferMade | CounterOfferAccepted | CounterOfferRefused, since: Moment) -> Offers:
    """The offers after one more fact, of this moment."""
    key = str(event.offer_id)
    match event:
        case CounterOfferMade(offer=terms):
            return offers | {key: Offer(terms_of(terms), since)}
        case CounterOfferAccepted():
            return offers | {key: replace(offers[key], answer="accepted")}
        case CounterOfferRefused():
            return offers | {key: replace(offers[key], answer="refused")}
        case _:
            assert_never(event)


def terms_of(offer: OfferTerms) -> str:
    """What makes two offers the same one."""
    return fingerprint(MakeCounterOffer(offer=offer))


def make(offers: Offers, offer: OfferTerms, context: Context) -> CounterOfferMade | UUID | Refusal:
    """The new offer; the id of the one that says just this, where it is on the table or was accepted. A refused one may be made again."""
    wanted = terms_of(offer)
    for key, one in offers.items():
        if one.terms == wanted and one.answer != "refused":
            return UUID(key)
    if len(offers) >= OFFERS_MAX:
        return Refusal(Rule.TOO_MANY, f"{OFFERS_MAX} offers were made here: let the customer answer one of them")
    return CounterOfferMade(offer_id=context.new_id("offer"), offer=offer)


def answer(offers: Offers, asked: AnswerOffer, replies: Replies) -> Sequence[CounterOfferAccepted | CounterOfferRefused] | Refusal:
    """What follows from the customer's answer (invariant 17)."""
    if not offers:
        return Refusal(Rule.UNKNOWN_OFFER, "no offer was made here: make one first")
    key = next(reversed(offers)) if asked.offer_id is None else str(asked.offer_id)
    if key not in offers:
        return Refusal(Rule.UNKNOWN_OFFER, f"no offer {key} was made here: name one that was, or leave it out for the newest")
    before = offers[key].answer
    if before == asked.answer:
        return []
    if before is not None:
        return Refusal(Rule.OFFER_ANSWERED, f"the customer {before} this offer already: make a new one", {"offer_id": key})
    proof = proven(asked.proof, replies, offers[key].since, "this was offered")
    if isinstance(proof, Refusal):
        return proof
    answered = CounterOfferAccepted if asked.answer == "accepted" else CounterOfferRefused
    return [answered(offer_id=UUID(key), proof=proof)]
