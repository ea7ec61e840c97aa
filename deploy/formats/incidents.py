"""The audit log of a ServiceNow help desk: many rows an incident, one for each change, in file order.

Times are `d/m/yyyy HH:MM` without a zone; they are taken as UTC, to the minute. `resolved_at`, `closed_at`, `closed_code` and
`resolved_by` are final values written on every row of an incident: as of the row they lie in the future, so they are not read.
A version is the count of changes, their time and the state: the count alone is given twice in a few incidents.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

from deploy.formats.rows import BadRow, Fields, Format, Row, details, needed, one_line, present, without_absent

SOURCE = "servicenow"
_SHAPE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2})")

_DETAILS = (
    "active", "reassignment_count", "reopen_count", "made_sla", "opened_by", "sys_created_by", "sys_created_at", "sys_updated_by",
    "sys_updated_at", "location", "cmdb_ci", "impact", "urgency", "priority", "assignment_group", "assigned_to", "knowledge",
    "u_priority_confirmation", "notify", "problem_id", "rfc", "vendor", "caused_by",
)  # fmt: skip


@lru_cache(maxsize=65_536)
def moment(text: str) -> datetime:
    """A moment as the log writes it: `29/2/2016 01:16`, day first, taken as UTC. Raises BadRow."""
    if found := _SHAPE.fullmatch(text):
        day, month, year, hour, minute = map(int, found.groups())
        try:
            return datetime(year, month, day, hour, minute, tzinfo=UTC)
        except ValueError:
            pass
    raise BadRow(f"{text!r} is not a time: write it as 29/2/2016 01:16")


def read(row: Row) -> Fields:
    """A row as the fields of a complaint as it stood then. Raises BadRow."""
    state = present(row.get("incident_state"))
    updated = needed(row, "sys_updated_at", "sys_updated_at")
    moment(updated)
    category = one_line(present(row.get("category")))
    what = [one_line(present(row.get(column))) for column in ("category", "subcategory", "u_symptom")]
    return without_absent(
        {
            "source": SOURCE,
            "ref": needed(row, "number", "number"),
            "issue": ", ".join(filter(None, what)) or "Not categorised",
            "product": category,
            "channel": one_line(present(row.get("contact_type"))),
            "customer": without_absent({"ref": one_line(present(row.get("caller_id"))), "kind": "internal"}),
            "reported_at": moment(needed(row, "opened_at", "opened_at")),
            "upstream_version": f"{needed(row, 'sys_mod_count', 'sys_mod_count')}@{updated}/{state or 'none'}",
            "upstream_status": state,
            "details": details(row, _DETAILS),
        }
    )


FORMAT = Format(
    name="incidents",
    needs=("number", "incident_state", "sys_mod_count", "sys_updated_at", "opened_at"),
    read=read,
    columns={
        "ref": "number",
        "issue": "category, subcategory and u_symptom",
        "product": "category",
        "channel": "contact_type",
        "customer.ref": "caller_id",
        "reported_at": "opened_at",
        "upstream_version": "sys_mod_count, sys_updated_at and incident_state",
        "upstream_status": "incident_state",
    },
)
