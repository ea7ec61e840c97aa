"""What is wrong with what we were told, in words: the field as its owner calls it, and what to do. Never the value: it may be personal."""

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

FAULTS_MAX = 10
"""Most faults that are said of one message."""
NAME_MAX = 40
"""Of a name that somebody else wrote, in characters."""


def in_words(error: ValidationError, columns: Mapping[str, str] = {}) -> str:
    """The faults in one line; `columns` says which column a field comes from, where it came from a table."""
    faults = list(dict.fromkeys(_one(found, columns) for found in error.errors(include_url=False, include_input=False)))
    more = [f"and {len(faults) - FAULTS_MAX} more"] if len(faults) > FAULTS_MAX else []
    return "; ".join(faults[:FAULTS_MAX] + more)


def named(name: str, longest: int = NAME_MAX) -> str:
    """A name that somebody else wrote (an unknown field's, for one), or what holds one, fit to be said: of one line, and short."""
    said = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name[:longest])
    return said if len(name) <= longest else f"{said}…"


def _one(found: ErrorDetails, columns: Mapping[str, str]) -> str:
    field = ".".join(named(part) for part in found["loc"] if isinstance(part, str))
    what = said(found)
    if not field:
        return what
    column = columns.get(field)
    return f"{column} ({field}) {what}" if column and column != field else f"{field} {what}"


def said(found: ErrorDetails) -> str:
    """What is wrong with a field, without its name."""
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
            return "is unknown: there is no such field"
        case "union_tag_invalid":
            return f"must say {limits.get('discriminator')}: one of {limits.get('expected_tags')}"
        case "timezone_aware":
            return "has no zone: write it as 2026-03-04T10:15:00+01:00"
        case "datetime_parsing" | "datetime_from_date_parsing" | "datetime_type":
            return "is no moment: write it as 2026-03-04T10:15:00+01:00"
        case "uuid_parsing" | "uuid_type":
            return "is no id: write it as 4a7d3296-fc08-5dcb-a160-0bedbcc489ea"
        case "literal_error":
            return f"must be one of {limits.get('expected')}"
        case "value_error":
            return str(limits.get("error") or found["msg"])
        case _:
            return found["msg"][:1].lower() + found["msg"][1:]
