"""What an event says, in a line."""

from datetime import UTC, datetime

import pytest
from pydantic_core import to_json

from services.console.api.saying import LINE_MAX, in_a_line
from shared.contract.catalogue import EVENTS, service_of
from shared.contract.envelope import requested
from shared.contract.said import short_name
from tests.shared.contract.test_golden import GOLDEN

NAME_SAYS_IT_ALL = {"WithdrawalOverruled", "WithdrawalStood", "WithdrawalCameTooLate", "CaseSuspended", "DeliveryAssumed"}
DUE = datetime(2026, 3, 5, 17, tzinfo=UTC).isoformat()


def golden(type_name):
    return (GOLDEN / service_of(type_name) / f"{type_name}.json").read_bytes()


@pytest.mark.parametrize("type_name", sorted(EVENTS))
def test_every_event_says_something_but_those_whose_names_say_it_all(type_name):
    line = in_a_line(type_name, golden(type_name))
    assert (line is None) == (short_name(type_name) in NAME_SAYS_IT_ALL)
    assert line is None or (line and "\n" not in line and len(line) <= LINE_MAX)


def said(type_name, **fields):
    event = EVENTS[type_name].model_validate_json(golden(type_name)).model_copy(update={})
    return in_a_line(type_name, to_json({**event.model_dump(mode="json", exclude_none=True), **fields}))


@pytest.mark.parametrize(
    ("type_name", "fields", "line"),
    [
        (
            "resolution.DecisionMade.v1",
            {"verdict": "uphold_in_part", "reasons": ["It was wet.", "It was late."], "remedies": [{"what": "A loaf"}]},
            "uphold in part: It was wet. It was late. A loaf",
        ),
        (
            "intake.PromiseMade.v1",
            {"promise": {"promise_id": "00000000-0000-4000-8000-000000000000", "what": "A call.", "due_at": DUE, "made_at": "own"}},
            "A call, due 2026-03-05 17:00 UTC",
        ),
        ("resolution.PromiseBroken.v1", {"due_at": DUE}, "it was due 2026-03-05 17:00 UTC"),
        ("intake.ReplyReceived.v1", {"text": "Tomorrow\nis fine."}, "Tomorrow is fine."),
        ("resolution.Delivered.v1", {"what": "Bread", "how": "by hand", "evidence": "signed"}, "Bread; by hand; evidence: signed"),
        ("intake.SubmissionRepeated.v1", {"update": True, "upstream_version": "3"}, "an update, version 3"),
        ("intake.SubmissionRepeated.v1", {"update": False, "upstream_version": "3"}, "nothing new, version 3"),
        ("intake.SubmissionConflicted.v1", {}, "something else under the same reference and version: both are kept"),
        ("intake.ComplaintReceived.v1", {"summary": None, "issue": None, "narrative": "x" * 1000}, "x" * (LINE_MAX - 1) + "…"),
        ("machine.CommandRefused.v1", {"why": "y" * 1000}, "y" * 1000),
        ("machine.InputParked.v1", {"reason": "source is missing"}, "source is missing"),
    ],
)
def test_the_main_thing_is_said(type_name, fields, line):
    assert said(type_name, **fields) == line


@pytest.mark.parametrize("type_name", [requested("intake.SubmitComplaint.v1"), "intake.SomethingNewer.v1"])
def test_what_is_no_event_that_we_know_says_nothing(type_name):
    assert in_a_line(type_name, b"{}") is None


def test_a_history_tells_why_over_http_and_on_the_page(system):
    complaint = system.submit()
    system.ask(complaint, "RecordReply", text="Tomorrow is fine.")
    with system.http() as client:
        events = client.get(f"/api/complaints/{complaint}/history").json()["events"]
        page = client.get(f"/complaints/{complaint}").text
    assert [event["why"] for event in events] == ["The bread was wet.", "Tomorrow is fine."]
    assert "Tomorrow is fine.</td>" in page
