"""What is wrong with what we were told, in words: the field as its owner calls it, and what to do. Never the value: it may be personal."""

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def in_words(error: ValidationError, columns: Mapping[str, str] = {}) -> str:
    """Every fault in one line; `columns` says which column a field comes from, where it came from a table."""
    return "; ".join(dict.fromkeys(_one(found, columns) for found in error.errors(include_url=False, include_input=False)))


def _one(found: ErrorDetails, columns: Mapping[str, str]) -> str:
    field = ".".join(str(part) for part in found["loc"] if not isinstance(part, int))
    what = _said(found)
    if not field:
        return what
    column = columns.get(field)
    return f"{column} ({field}) {what}" if column and column != field else f"{field} {what}"


def _said(found: ErrorDetails) -> str:
    limits = found.get("ctx") or {}
    match found["type"]:
        case "missing":
            return "is missing"
        case "string_too_short":
            return "is empty"
        case "string_too_long":
            return f"is longer than {limits.get('max_length')} characters"
        case "too_long":
            return f"has more than {limits.get('max_length')} entries"
        case "string_pattern_mismatch":
            return "holds a line break or another control character"
        case "string_type":
            return "must be text"
        case "string_unicode":
            return "is not UTF-8"
        case "extra_forbidden":
            return "is no field of a complaint"
        case "timezone_aware":
            return "has no zone: write it as 2026-03-04T10:15:00+01:00"
        case "literal_error":
            return f"must be one of {limits.get('expected')}"
        case "value_error":
            return str(limits.get("error") or found["msg"])
        case _:
            return found["msg"][:1].lower() + found["msg"][1:]
