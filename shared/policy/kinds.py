"""Kinds: what a defect or a cause may be called is the policy's to say."""

from collections.abc import Sequence

from shared.contract.refusals import Refusal, Rule
from shared.policy.model import Policy

LISTED_MAX = 1_000
"""Most characters of kinds that a refusal lists: a policy may know more than a sentence can hold."""


def unknown_defect_kind(kind: str, policy: Policy) -> Refusal | None:
    """Why this is no kind of defect under this policy, or None."""
    return _unknown(Rule.UNKNOWN_DEFECT_KIND, "defect", kind, policy.defect_kinds)


def unknown_cause_kind(kind: str, policy: Policy) -> Refusal | None:
    """Why this is no kind of cause under this policy, or None."""
    return _unknown(Rule.UNKNOWN_CAUSE_KIND, "cause", kind, policy.cause_kinds)


def _unknown(rule: Rule, of: str, kind: str, known: Sequence[str]) -> Refusal | None:
    if kind in known:
        return None
    return Refusal(rule, f"the policy knows no such kind of {of}: choose one of {_listed(known)}")


def _listed(kinds: Sequence[str]) -> str:
    """As many as fit; how many there are besides."""
    fit, length = 0, 0
    while fit < len(kinds) and (length := length + len(kinds[fit]) + 2) <= LISTED_MAX:
        fit += 1
    more = f" and {len(kinds) - fit} more" if fit < len(kinds) else ""
    return ", ".join(kinds[:fit]) + more
