"""Corrections: what a plan must have, and which one is meant. The same for a learning's own and for a problem's."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.rootcause.people import names_someone
from shared.contract.refusals import Refusal, Rule
from shared.contract.rootcause import CorrectionTerms

CORRECTIONS_MAX = 100
"""Most corrections of one stream."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A planned correction: who answers for it and until when, a digest of its terms, and whether it is in place."""

    owner: str
    due_at: datetime
    terms: str
    completed: bool = False


def digest_of(*words: str | None) -> str:
    """SHA-256 in hex over texts and their lengths, so that no two lists of texts run together."""
    found = hashlib.sha256()
    for word in words:
        given = b"-" if word is None else word.encode()
        found.update(b"%d:%s" % (-1 if word is None else len(given), given))
    return found.hexdigest()


def terms_digest(terms: CorrectionTerms) -> str:
    """What makes two plans the same plan."""
    return digest_of(terms.kind, terms.what, terms.owner, str(terms.due_at.timestamp()), terms.procedure, terms.recurrence_procedure)


def objection_to(terms: CorrectionTerms, corrections: Mapping[str, Correction], now: datetime, known: Sequence[str]) -> Refusal | None:
    """Why this cannot be planned, or None (invariants 6 and 7). `known`: the people of whom the stream knows."""
    if terms.kind == "retraining":
        absent = [name for name in ("procedure", "recurrence_procedure") if getattr(terms, name) is None]
        if absent:
            return Refusal(
                Rule.RETRAINING_NEEDS_RECURRENCE,
                f"a retraining is missing {' and '.join(absent)}: say how it is done rightly, and what to do if it happens again",
                {"missing": absent},
            )
    if terms.due_at <= now:
        return Refusal(Rule.CORRECTION_ALREADY_DUE)
    if len(corrections) >= CORRECTIONS_MAX:
        return Refusal(Rule.TOO_MANY, f"there are {CORRECTIONS_MAX} corrections already: complete what is planned")
    said = {"what": terms.what, "procedure": terms.procedure, "recurrence_procedure": terms.recurrence_procedure}
    return names_someone(known, **said)


def is_planned(terms: CorrectionTerms, corrections: Mapping[str, Correction]) -> bool:
    """Whether just this is planned already."""
    wanted = terms_digest(terms)
    return any(one.terms == wanted for one in corrections.values())


def meant(correction_id: UUID | None, corrections: Mapping[str, Correction]) -> str | Refusal:
    """The key of the correction that is to be completed: the named one, or the only open one."""
    if correction_id is not None:
        if str(correction_id) in corrections:
            return str(correction_id)
        return Refusal(Rule.UNKNOWN_CORRECTION, f"no correction {correction_id} is planned here: plan it first, or name one that is")
    still = [key for key, one in corrections.items() if not one.completed]
    if len(still) == 1:
        return still[0]
    if not still and len(corrections) == 1:
        return next(iter(corrections))
    if not still:
        return Refusal(Rule.UNKNOWN_CORRECTION, "no correction is open here: plan one first")
    return Refusal(
        Rule.UNKNOWN_CORRECTION, "more than one correction is open: name the one that is meant by its correction_id", {"open": still}
    )
