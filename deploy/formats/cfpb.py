"""The US Consumer Financial Protection Bureau's public complaint database, in the extracts that go about.

A row is a complaint's latest state, not an event, and says no version: other content under the same id is a conflict. The extracts
write the same complaint differently (four date formats, `None` for nothing, ZIP codes without their leading zeros); that much is made
equal here. Days have no zone; they are taken as midnight UTC. When it happened is not said, only when it was received.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

from deploy.formats.rows import BadRow, Fields, Format, Row, details, needed, one_line, present, without_absent

SOURCE = "cfpb"
ZIP_DIGITS = 5
_CENTURY = 2000  # the database opened in 2011: two digits always mean this century

_YEAR_FIRST = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})")
_DAY_FIRST = re.compile(r"(?P<day>\d{1,2})-(?P<month>\d{1,2})-(?P<year>\d{4})")
_MONTH_FIRST = re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}|\d{2})")

_DETAILS = (
    "sub_product", "sub_issue", "company", "company_public_response", "state", "consumer_consent_provided", "timely_response",
    "consumer_disputed",
)  # fmt: skip


@lru_cache(maxsize=4096)
def day(text: str) -> datetime:
    """A day as any of the extracts writes it: `yyyy-mm-dd`, `dd-mm-yyyy`, `mm/dd/yy` or `mm/dd/yyyy`. Raises BadRow."""
    for shape in (_YEAR_FIRST, _DAY_FIRST, _MONTH_FIRST):
        if found := shape.fullmatch(text):
            year, month, of_month = (int(found[part]) for part in ("year", "month", "day"))
            try:
                return datetime(year + _CENTURY if len(found["year"]) == len("yy") else year, month, of_month, tzinfo=UTC)
            except ValueError:
                break
    raise BadRow(f"{text!r} is not a day: write it as 2023-08-25, 25-08-2023, 08/25/23 or 08/25/2023")


def zip_code(text: str | None) -> str | None:
    """A ZIP code with the leading zeros that a spreadsheet took away. `770XX` (masked) stays as it is."""
    return text.zfill(ZIP_DIGITS) if text and text.isdigit() else text


def read(row: Row) -> Fields:
    """A row as the fields of a complaint. Raises BadRow."""
    sent = present(row.get("date_sent_to_company"))
    more = details(row, _DETAILS)
    if code := zip_code(present(row.get("zip_code"))):
        more["zip_code"] = code
    if sent:
        more["date_sent_to_company"] = day(sent).date().isoformat()
    return without_absent(
        {
            "source": SOURCE,
            "ref": needed(row, "complaint_id", "Complaint ID"),
            "narrative": present(row.get("consumer_complaint_narrative")),
            "product": one_line(present(row.get("product"))),
            "issue": one_line(present(row.get("issue"))),
            "channel": one_line(present(row.get("submitted_via"))),
            "customer": {"kind": "external"},
            "reported_at": day(needed(row, "date_received", "Date received")),
            "upstream_status": present(row.get("company_response_to_consumer")),
            "tags": tuple(tag for tag in map(str.strip, (present(row.get("tags")) or "").split(",")) if tag),
            "details": more,
        }
    )


FORMAT = Format(
    name="cfpb",
    needs=("complaint_id", "date_received", "product", "issue"),
    read=read,
    columns={
        "ref": "Complaint ID",
        "narrative": "Consumer complaint narrative",
        "product": "Product",
        "issue": "Issue",
        "channel": "Submitted via",
        "reported_at": "Date received",
        "upstream_status": "Company response to consumer",
        "tags": "Tags",
    },
)
