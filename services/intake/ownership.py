"""Ownership: one person accepts responsibility for a complaint. Whoever is asked owns it when they accept.

Until then it is whoever's who accepted it last: a complaint that was handed over and not yet accepted is not between two chairs.
"""

from shared.contract.refusals import Refusal, Rule


def assigned(owner: str | None, asked: str | None, to: str) -> Refusal | bool:
    """Whether somebody else is asked by this; why nobody can be asked."""
    if owner is None:
        return asked != to
    if asked is None and owner == to:
        return False
    return Refusal(Rule.TRANSFER_INSTEAD)


def accepted(owner: str | None, asked: str | None, by: str) -> Refusal | str | None:
    """Who owns it by this, as they were asked; None where they do already; why they can't accept."""
    if asked is not None:
        return asked if asked == by else Refusal(Rule.NOT_THE_OWNER, "somebody else is asked to own it: let them accept")
    if owner is None:
        return Refusal(Rule.NO_OWNER)
    return None if owner == by else Refusal(Rule.NOT_THE_OWNER, "it has an owner who accepted it: let them transfer it first")


def giver(owner: str | None, asked: str | None, to: str) -> Refusal | str | None:
    """Who hands it over by this; None where `to` has it in hand already; why nobody can."""
    if owner is None:
        return Refusal(Rule.NO_OWNER, "nobody owns it yet: assign it to them instead")
    in_hand = asked or owner
    return None if in_hand == to else in_hand


def asked_after(owner: str | None, to: str) -> str | None:
    """Who is asked once it was handed to `to`: nobody where it comes back to whom it never ceased to be."""
    return None if owner == to else to
