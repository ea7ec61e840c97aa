"""What all formats share: rows by canonical column names, missing values, and rows that cannot be read."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.contract.intake import DETAILS_MAX

Row = Mapping[str, str]
"""One data row: canonical column name → text as it stands in the file."""
Fields = dict[str, Any]
"""What becomes a `SubmitComplaint`: field name → value, not yet validated."""

MISSING = frozenset({"", "none", "n/a", "?", "unspecified"})
"""What upstreams write, in any case of letters, where there is nothing."""
_BETWEEN_WORDS = re.compile(r"[\s_\-]+")


class BadRow(ValueError):
    """A row that cannot become a complaint, and why, in words."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: which columns it must have, and what its rows mean."""

    name: str
    needs: Sequence[str]
    """Canonical names of the columns without which the file is of another kind."""
    read: Callable[[Row], Fields]
    columns: Mapping[str, str]
    """Field → the column it comes from, as the file's owner writes it: for what people are told."""


def canonical(name: str) -> str:
    """A column's name without what differs between extracts: `Sub-product` → `sub_product`; `Timely response?` → `timely_response`."""
    return _BETWEEN_WORDS.sub("_", name.strip().lower()).strip("_?")


def present(text: str | None) -> str | None:
    """The text, trimmed, or None where it only says that there is nothing."""
    trimmed = text.strip() if text else ""
    return None if trimmed.lower() in MISSING else trimmed


def needed(row: Row, column: str, named: str) -> str:
    """The text of a column that must not be empty. Raises BadRow, which calls the column `named`."""
    found = present(row.get(column))
    if found is None:
        raise BadRow(f"{named} is empty")
    return found


def one_line(text: str | None) -> str | None:
    """The text with every run of white space as one space: names and labels are typed by hand."""
    return " ".join(text.split()) if text else text


def details(row: Row, columns: Sequence[str]) -> dict[str, str]:
    """What else is known, by column: only what is present, in the order given."""
    assert len(columns) <= DETAILS_MAX, "a complaint's details are limited"
    return {column: found for column in columns if (found := present(row.get(column))) is not None}


def without_absent(fields: Fields) -> Fields:
    """The fields that have a value: an absent one is left out rather than said to be nothing."""
    return {name: value for name, value in fields.items() if value not in (None, "", (), {})}
