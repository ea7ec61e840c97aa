"""Any CSV, by a map from fields to its columns; and lines of JSON that are complaints already.

A column that bears a field's own name needs no map. Times are ISO 8601; one without a zone is taken as UTC. Of a day alone
(`2026-03-04`) the precision is said to be the day.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from deploy.formats.rows import BadRow, Fields, Format, Row, without_absent

TEXTS = (
    "source", "ref", "narrative", "summary", "product", "issue", "channel", "upstream_version", "upstream_status", "occurred_precision",
)  # fmt: skip
CUSTOMER = ("ref", "name", "contact", "kind")
TIMES = ("occurred_at", "reported_at")
FIELDS = (*TEXTS, *TIMES, "tags", *(f"customer.{part}" for part in CUSTOMER))
DETAIL = "details."
_DAY_LENGTH = len("2026-03-04")


class BadMap(ValueError):
    """A `field=column` that cannot be used, and why."""


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """`["ref=Ticket", "details.colour=Colour"]` → field → column. Raises BadMap."""
    found: dict[str, str] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals or not column:
            raise BadMap(f"{pair!r}: write field=column, as in ref=Ticket")
        if field not in FIELDS and not (field.startswith(DETAIL) and len(field) > len(DETAIL)):
            raise BadMap(f"there is no field {field!r}: use one of {', '.join(FIELDS)} or details.NAME")
        if field in found:
            raise BadMap(f"{field!r} is mapped twice")
        found[field] = column
    return found


def by_header(mapped: Mapping[str, str], header: Sequence[str]) -> dict[str, str]:
    """The whole map for a file: as asked for, and columns that bear a field's name. Raises BadMap where a column is not there, or twice."""
    for field, column in mapped.items():
        if column not in header:
            raise BadMap(f"{field}={column}: the file has no column {column!r}; it has {', '.join(header)}")
    whole = {field: field for field in header if field in FIELDS or (field.startswith(DETAIL) and len(field) > len(DETAIL))} | dict(mapped)
    if "ref" not in whole:
        raise BadMap("no column is mapped to ref, the upstream's own number: add --map ref=COLUMN")
    for field, column in whole.items():
        if header.count(column) > 1:
            raise BadMap(f"{field}: the file has {header.count(column)} columns {column!r}: give each a name of its own")
    return whole


def moment(text: str, named: str) -> datetime:
    """An ISO 8601 time; without a zone it is UTC. Raises BadRow."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRow(f"{named}: {text!r} is not a time: write it as 2026-03-04T10:15:00+01:00 or 2026-03-04") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def csv_format(mapped: Mapping[str, str], source: str) -> Format:
    """The format of one CSV file, by its whole map (`by_header`). A `source` column wins over `source`."""
    named = {field.removeprefix(DETAIL): column for field, column in mapped.items() if field.startswith(DETAIL)}

    def read(row: Row) -> Fields:
        said = {field: text for field, column in mapped.items() if (text := (row.get(column) or "").strip())}
        if "ref" not in said:
            raise BadRow(f"{mapped['ref']} is empty")
        fields: Fields = {"source": source} | {field: said[field] for field in TEXTS if field in said}
        for field in TIMES:
            if field in said:
                fields[field] = moment(said[field], mapped[field])
        if "occurred_at" in said and "occurred_precision" not in said:
            fields["occurred_precision"] = "day" if len(said["occurred_at"]) == _DAY_LENGTH else "second"
        fields["customer"] = {part: said[f"customer.{part}"] for part in CUSTOMER if f"customer.{part}" in said}
        fields["tags"] = tuple(tag for tag in map(str.strip, said.get("tags", "").split(",")) if tag)
        fields["details"] = {name: text for name, column in named.items() if (text := (row.get(column) or "").strip())}
        customer = fields.pop("customer")
        return without_absent(fields) | {"customer": customer}

    return Format(name="csv", needs=(), read=read, columns=dict(mapped))
