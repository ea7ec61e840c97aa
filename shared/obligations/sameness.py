"""Whether something was said before, word for word."""

import hashlib

from shared.contract.said import Said


def fingerprint(said: Said, *fields: str) -> str:
    """SHA-256 in hex of the bytes of what was said, or of these fields of it: equal exactly where all of that is.

    Nothing keys it, and what it is of may be personal: sealing must key it by whom that is about, or it would outlive their erasure.
    """
    body = said.__pydantic_serializer__.to_json(said, exclude_none=True, include=set(fields)) if fields else said.to_bytes()
    return hashlib.sha256(body).hexdigest()
