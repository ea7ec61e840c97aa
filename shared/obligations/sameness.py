"""Whether something was said before, word for word, and whether two names mean the same person."""

import hashlib

from shared.contract.said import Said

PERSON = "person:"


def fingerprint(said: Said) -> str:
    """SHA-256 in hex of the bytes of what was said: equal exactly where all of it is."""
    return hashlib.sha256(said.to_bytes()).hexdigest()


def same_person(one: str | None, other: str | None) -> bool:
    """Whether two references mean the same person: `anna` and `person:anna` do."""
    return one is not None and other is not None and one.removeprefix(PERSON) == other.removeprefix(PERSON)
