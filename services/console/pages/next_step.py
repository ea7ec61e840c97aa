"""What would move a complaint on, as a command to copy. Shown where it follows from the card alone; the service decides all the same."""

import re
import shlex
from uuid import UUID

from services.console.projections.card import Card

TO_FILL = re.compile(r"=(?:person:)?[A-Z]{4}")
"""What is written in capitals."""
PROOF = ("proof.kind=reply", "proof.ref=REPLY")
"""What the customer says, as they said it. What is written in capitals is for whoever copies it to fill in."""


def next_line(complaint_id: UUID, card: Card) -> str | None:
    """The command line; None where there is none to say."""
    command, *fields = _next(card)
    return " ".join(["makegood command send", str(complaint_id), command, *(f"--set {field}" for field in fields)]) if command else None


def _next(card: Card) -> tuple[str, ...]:
    match card.stage:
        case "own" | "fix" | "deliver" if card.held:
            return "ClearMisunderstanding", *PROOF
        case "own":
            return _own(card)
        case "fix" if card.case.generation == card.own.generation:
            return _fix(card)
        case "deliver" if card.case.delivered < card.own.generation:
            return "Deliver", "what=TEXT", "how=TEXT", "evidence=TEXT"
        case "deliver":
            return "ConfirmDelivery", *PROOF
        case _:
            return ("",)


def _own(card: Card) -> tuple[str, ...]:
    own = card.own
    if own.owner is None:
        return "AssignOwner", "owner=person:NAME"
    if own.asked is not None:
        return "AcceptOwnership", shlex.quote(f"by={own.asked}")
    if own.acknowledged < own.generation:
        return "Acknowledge", "text=TEXT"
    if own.need is None:
        return "StateNeed", "need=TEXT"
    if not any(one.state == "open" for one in own.book.values()):
        return "MakePromise", "what=TEXT", "due_at=YYYY-MM-DDTHH:MM:00Z"
    return ("CompleteOwnership",)


def _fix(card: Card) -> tuple[str, ...]:
    case = card.case
    if case.verdict is None:
        return "MakeDecision", "verdict=uphold", "reasons=TEXT"
    if case.started < case.generation and case.verdict in {"uphold", "uphold_in_part"}:
        return ("StartFix",)
    return "CompleteFix", "what=TEXT"
