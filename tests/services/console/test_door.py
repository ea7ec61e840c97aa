"""What a request must be before anybody looks at what it asks."""

import base64
import json
import re

import httpx
import pytest

from services.console.api.door import BODY_MAX, is_loopback
from shared.contract.envelope import complaint_id

COMMANDS = "/api/complaints/{}/commands"


def refusal(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["detail"]


# ---- whom it was meant for -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost", "LocalHost:80", "[::1]", "[::1]:8000", "127.0.0.2:1"])
def test_a_loopback_name_is_loopback_at_any_port(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]:80", "::1", "0.0.0.0",
     "localhost:80:80", "user@localhost", "[127.0.0.1", "127.0.0.1:", "localhost "],
)  # fmt: skip
def test_any_other_name_is_not(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("path", ["/", "/api/counts", "/docs", "/openapi.json", "/healthz", "/metrics", "/nothing"])
def test_what_was_asked_of_another_host_is_not_answered(system, path):
    with system.http() as client:
        status, detail = refusal(client.get(path, headers={"Host": "evil.example"}))
        assert status == 421
        assert "http://127.0.0.1" in detail
        assert client.get("/api/counts", headers={"Host": "localhost:1"}).status_code == 200


def test_nothing_is_sent_for_another_host(system):
    complaint = system.submit()
    with system.http() as client:
        answer = client.post(COMMANDS.format(complaint), json={"command": "StartFix"}, headers={"Host": "evil.example:80"})
        assert answer.status_code == 421
        assert len(client.get(f"/api/complaints/{complaint}/history").json()["events"]) == 1


# ---- its query -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api/complaints?stages=own", "Did you mean stage?"),
        ("/complaints?stages=own", "Did you mean stage?"),
        ("/api/complaints?stage=own&colour=red", "There is no query parameter colour: there are stage, owner"),
        ("/api/counts?stage=own", "there are none here"),
        ("/api/complaints/00000000-0000-4000-8000-000000000000?x=1", "There is no query parameter x"),
        ("/api/complaints/00000000-0000-4000-8000-000000000000/history?since=1", "there are limit, after"),
        ("/api/commands/00000000-0000-4000-8000-000000000000?wait=5", "There is no query parameter wait"),
        ("/schemas?format=json", "There is no query parameter format"),
        ("/docs?x=1", "There is no query parameter x"),
    ],
)
def test_what_a_query_does_not_know_is_refused_and_what_it_knows_is_named(system, path, says):
    with system.http() as client:
        status, detail = refusal(client.get(path))
    assert status == 422
    assert says in detail


@pytest.mark.parametrize(
    "query", ["owner=%00", "received_from=2026-03-03T09:00:00", "received_from=0001-01-01T00:00:00%2B14:00", "limit=0", "stage=lost"]
)
def test_a_value_that_makes_no_sense_is_refused(system, query):
    with system.http() as client:
        assert refusal(client.get(f"/api/complaints?{query}"))[0] == 422


A_MOMENT = "2026-03-03T09:00:00Z"


@pytest.mark.parametrize(
    "values",
    [
        [A_MOMENT, "intake", 0, 10**30],
        [A_MOMENT, "intake", 2**31, 1],
        [A_MOMENT, "in\x00take", 0, 1],
        ["0001-01-01T00:00:00+14:00", "intake", 0, 1],
    ],
)
def test_a_place_that_no_page_gave_is_refused(system, values):
    complaint = system.submit()
    after = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    with system.http() as client:
        status, detail = refusal(client.get(f"/api/complaints/{complaint}/history", params={"after": after}))
    assert (status, "begin without it" in detail) == (422, True)


# ---- its body --------------------------------------------------------------------------------------------------------------


def chunks(size):
    yield b'{"command": "'
    for _ in range(size // 1024):
        yield b"x" * 1024
    yield b'"}'


@pytest.mark.parametrize("path", ["/api/complaints", COMMANDS.format("00000000-0000-4000-8000-000000000000")])
@pytest.mark.parametrize("size", [BODY_MAX + 1, 16 * BODY_MAX])
@pytest.mark.parametrize("told", [True, False], ids=["length told", "in chunks"])
def test_a_body_that_kafka_would_not_take_is_refused_with_the_limit(system, path, size, told):
    body = b"".join(chunks(size)) if told else chunks(size)
    with system.http() as client:
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    status, detail = refusal(answer)
    assert (status, answer.json()["limit_bytes"]) == (413, BODY_MAX)
    assert "1,048,576 bytes" in detail


def test_a_body_as_large_as_the_limit_is_looked_at(system):
    body = b'{"source": "shop", "ref": "' + b"x" * (BODY_MAX - 29) + b'"}'
    assert len(body) == BODY_MAX
    with system.http() as client:
        answer = client.post("/api/complaints", content=body, headers={"Content-Type": "application/json"})
    assert refusal(answer)[0] == 422


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"])
def test_a_body_that_is_not_said_to_be_json_is_refused_and_nothing_is_sent(system, kind):
    complaint = system.submit()
    with system.http() as client:
        content = json.dumps({"command": "StartFix"}).encode()
        answer = client.post(COMMANDS.format(complaint), content=content, headers={"Content-Type": kind} if kind else {})
        assert refusal(answer)[0] == 415
        assert "send Content-Type: application/json" in answer.json()["detail"]
        assert len(client.get(f"/api/complaints/{complaint}/history").json()["events"]) == 1


def test_json_may_name_its_characters(system):
    complaint = system.submit()
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    with system.http() as client:
        answer = client.post(COMMANDS.format(complaint), content=b'{"command": "StartFix"}', headers=headers)
    assert answer.json()["rule"] == "no_fix_before_ownership"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"command" "StartFix"}', "expected `:` at line 1 column 12"),
        (b'{"command":\n "StartFix",}', "line 2 column 13"),
        (b"", "it is empty"),
        (b"\xff\xfe", "line 1 column 1"),
        (b'{"command": NaN}', "line 1 column 13"),
        (b"[" * 100_000, "recursion limit"),
    ],
)
def test_json_that_is_broken_is_refused_with_the_place(system, body, says):
    with system.http() as client:
        answer = client.post("/api/complaints", content=body, headers={"Content-Type": "application/json"})
    status, detail = refusal(answer)
    assert status == 400
    assert says in detail


@pytest.mark.parametrize("body", [[], "StartFix", 17, None])
def test_json_that_is_no_object_is_refused(system, body):
    with system.http() as client:
        assert refusal(client.post("/api/complaints", content=json.dumps(body), headers={"Content-Type": "application/json"}))[0] == 422


# ---- problems for whoever can read them ------------------------------------------------------------------------------------

A_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/complaints/00000000-0000-4000-8000-000000000000", 404), ("/complaints/17", 422), ("/complaints?x=1", 422), ("/nothing", 404)],
)
def test_a_problem_is_a_page_for_a_browser_and_json_for_everybody_else(system, path, status):
    with system.http() as client:
        page = client.get(path, headers={"Accept": A_BROWSER})
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert '<a href="/complaints">' in page.text
        for accepts in ("*/*", "application/json", "application/json, text/html"):
            assert refusal(client.get(path, headers={"Accept": accepts}))[0] == status


def test_what_somebody_wrote_is_not_run_on_a_page_that_says_what_is_wrong(system):
    with httpx.Client(base_url=system.console, trust_env=False) as client:
        page = client.get("/complaints", params={"<script>alert(1)</script>": "1"}, headers={"Accept": A_BROWSER}).text
    assert not re.search("<script", page)


# ---- what it is asked of ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "name", "says"),
    [
        ({"command": "rootcause.OpenProblem.v1"}, "wrong_address", "POST /api/problems/ID/commands"),
        ({"command": "OpenProblem"}, "wrong_address", "POST /api/problems/ID/commands"),
        ({"command": "RetryParked"}, "wrong_address", "POST /api/parked/SERVICE/SHARD/ENTRY/retry"),
        ({"command": "machine.TimerDue.v1"}, "wrong_address", "not over HTTP"),
        ({"command": "intake.AssignOwner.v1", "service": "rootcause"}, "unknown_command", "no command intake.AssignOwner.v1 of rootcause"),
    ],
)
def test_a_command_by_any_of_its_names_is_asked_only_where_it_belongs(system, asked, name, says):
    complaint = system.submit()
    with system.http() as client:
        answer = client.post(COMMANDS.format(complaint), json=asked)
    assert refusal(answer)[0] == 422
    assert answer.json()["type"].endswith(f"/{name}")
    assert says in answer.json()["detail"]


def test_a_command_by_its_whole_name_brings_a_complaint_under_its_own_id(system):
    told = {"source": "shop", "ref": "by its whole name", "narrative": "The bread was wet."}
    with system.http() as client:
        answer = client.post(
            COMMANDS.format(complaint_id("shop", told["ref"])), json={"command": "intake.SubmitComplaint.v1", "data": told}
        )
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")


def test_a_method_that_an_address_does_not_answer_is_told_which_it_does(system):
    with system.http() as client:
        answer = client.delete("/api/counts")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
        assert answer.json()["detail"] == "DELETE is not answered here, but GET is: see /docs."
        assert client.head("/complaints").status_code == 200
