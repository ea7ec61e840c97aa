"""New York City's service requests (311).

Times have no zone and are the city's own, America/New_York; an hour that a clock change repeats is taken as its first. The version
is what the city's agency last did, status and time: a later extract of the same request is an update.
"""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from deploy.formats.rows import BadRow, Fields, Format, Row, details, needed, one_line, present, without_absent

SOURCE = "nyc311"
CITY = ZoneInfo("America/New_York")

_DETAILS = (
    "agency", "agency_name", "location_type", "incident_zip", "incident_address", "street_name", "cross_street_1", "cross_street_2",
    "intersection_street_1", "intersection_street_2", "address_type", "city", "landmark", "facility_type", "due_date", "closed_date",
    "resolution_description", "resolution_action_updated_date", "community_board", "bbl", "borough", "x_coordinate_state_plane",
    "y_coordinate_state_plane", "park_facility_name", "park_borough", "vehicle_type", "taxi_company_borough", "taxi_pick_up_location",
    "bridge_highway_name", "bridge_highway_direction", "road_ramp", "bridge_highway_segment", "latitude", "longitude", "location",
)  # fmt: skip


@lru_cache(maxsize=4096)
def moment(text: str) -> datetime:
    """A moment as the city writes it: `2024-04-16T02:05:59.000`, on its own clocks. Raises BadRow."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRow(f"{text!r} is not a time: write it as 2024-04-16T02:05:59.000") from error
    return found.replace(tzinfo=CITY) if found.tzinfo is None else found


def read(row: Row) -> Fields:
    """A row as the fields of a complaint. Raises BadRow."""
    created = needed(row, "created_date", "created_date")
    status = present(row.get("status"))
    touched = present(row.get("resolution_action_updated_date")) or present(row.get("closed_date")) or created
    kind, descriptor = one_line(present(row.get("complaint_type"))), one_line(present(row.get("descriptor")))
    return without_absent(
        {
            "source": SOURCE,
            "ref": needed(row, "unique_key", "unique_key"),
            "summary": ": ".join(filter(None, (kind, descriptor))),
            "product": kind,
            "issue": descriptor or kind,
            "channel": one_line(present(row.get("open_data_channel_type"))),
            "customer": {"kind": "external"},
            "reported_at": moment(created),
            "upstream_version": f"{touched}/{status or 'none'}",
            "upstream_status": status,
            "details": details(row, _DETAILS),
        }
    )


FORMAT = Format(
    name="nyc311",
    needs=("unique_key", "created_date", "complaint_type"),
    read=read,
    columns={
        "ref": "unique_key",
        "summary": "complaint_type and descriptor",
        "product": "complaint_type",
        "issue": "descriptor",
        "channel": "open_data_channel_type",
        "reported_at": "created_date",
        "upstream_version": "resolution_action_updated_date and status",
        "upstream_status": "status",
    },
)
