"""What is published of the API: schemas, the OpenAPI document, and the page that is drawn from it."""

import html
import re
import shlex

import pytest

from services.console.app import make_app
from shared.contract.catalogue import COMMANDS, service_of
from shared.contract.envelope import SERVICES, requested
from shared.contract.intake import SubmitComplaint
from shared.contract.said import short_name
from shared.machine.figures import Figures
from shared.settings import Settings

OPERATIONS = {"get", "post"}


@pytest.fixture(scope="module")
def document():
    return make_app(Settings(), Figures("console")).openapi()


def operation(document, method, path):
    return document["paths"][path][method]


def test_a_schema_is_the_same_with_json_behind_it_and_without(system):
    with system.http() as client:
        with_it, without = (client.get(f"/schemas/intake.SubmitComplaint.v1{suffix}") for suffix in (".json", ""))
        assert with_it.status_code == without.status_code == 200
        assert with_it.json() == without.json()
        assert with_it.headers["content-type"] == "application/schema+json"
        assert client.get("/schemas/nothing.v1").status_code == 404


def test_the_index_needs_no_redirect(system):
    with system.http() as client:
        plain, slash = client.get("/schemas", follow_redirects=False), client.get("/schemas/", follow_redirects=False)
    assert plain.status_code == slash.status_code == 200
    assert plain.json() == slash.json()


@pytest.mark.parametrize("type_name", [name for name in COMMANDS if service_of(name) in SERVICES])
def test_a_request_to_another_stream_has_the_schema_of_the_command_that_it_carries(system, type_name):
    name = requested(type_name)
    with system.http() as client:
        command, found = (client.get(f"/schemas/{one}.json").json() for one in (type_name, name))
        assert name in client.get("/schemas").json()
    said = {"$id", "title", "description"}
    assert {key: value for key, value in found.items() if key not in said} == {key: command[key] for key in command if key not in said}
    assert found["title"] == short_name(name)
    assert type_name in found["description"]
    assert found["$id"].endswith(f"/{name}.json")


def test_a_submission_is_described_by_its_own_schema(document):
    body = operation(document, "post", "/api/complaints")["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/SubmitComplaint"}
    there = document["components"]["schemas"]["SubmitComplaint"]
    assert there["properties"].keys() == SubmitComplaint.model_fields.keys()
    assert there["properties"]["customer"]["$ref"] == "#/components/schemas/Customer"
    assert SubmitComplaint.model_validate(body["content"]["application/json"]["example"])


@pytest.mark.parametrize(
    ("path", "streams"),
    [("/api/complaints/{complaint}/commands", {"complaint", "case", "learning"}), ("/api/problems/{problem_id}/commands", {"problem"})],
)
def test_every_command_that_can_be_asked_there_is_listed_with_its_schema(document, path, streams):
    body = operation(document, "post", path)["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Asked"}
    listed = set(re.findall(r"\(/schemas/(.+?)\.json\)", body["description"]))
    assert listed == {name for name, command in COMMANDS.items() if command.stream in streams and not command.internal}


def test_asking_what_became_of_it_takes_none_of_the_headers_of_asking(document):
    assert [one["name"] for one in operation(document, "get", "/api/commands/{message_id}")["parameters"]] == ["message_id"]


def test_every_reference_leads_somewhere_and_every_problem_says_so(document):
    there = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(re.findall(r"'\$ref': '(.+?)'", str(document))) <= there
    for methods in document["paths"].values():
        for said in methods.values():
            for status, answer in said["responses"].items():
                assert list(answer["content"]) == ["application/problem+json"] or int(status) < 300, status


def test_what_counts_as_parked_is_said(document):
    said = document["components"]["schemas"]["Counts"]["properties"]
    assert "names no complaint" in said["with_parked"]["description"]
    assert "could not be read" in said["parked"]["description"]


def test_who_complained_is_marked_as_personal(document):
    said = document["components"]["schemas"]["Complaint"]["properties"]
    assert all(said[name]["x-personal"] for name in ("customer_name", "customer_ref", "customer_contact", "narrative", "need"))


@pytest.mark.parametrize("path", ["/docs", "/complaints", "/complaints/{}"])
def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing(system, path):
    complaint = system.submit()
    with system.http() as client:
        page = client.get(path.format(complaint))
    assert page.status_code == 200
    assert "<script" not in page.text
    addresses = re.findall(r"""(?:src|href|action)=["']?([^"'\s>]+)|url\(""", page.text)
    assert all(address.startswith(("/", "#", "data:")) and not address.startswith("//") for address in addresses)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_page_of_the_api_tells_all_that_can_be_asked(system, document):
    with system.http() as client:
        page = client.get("/docs").text
        for path, methods in document["paths"].items():
            for method in OPERATIONS & methods.keys():
                assert f"<code>{method.upper()} {path}</code>" in page
        linked = set(re.findall(r'href="(/schemas/[^"]+)"', page))
        assert "/schemas/resolution.Deliver.v1.json" in linked
        assert all(client.get(address).status_code == 200 for address in linked)
    anchors = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= anchors
    assert f"curl {system.console}/api/counts" in page


def test_what_the_page_shows_as_an_example_can_be_copied(system):
    with system.http() as client:
        page = client.get("/docs").text
        lines = map(html.unescape, re.findall(r"<pre>(curl .+?)</pre>", page))
        line = next(line for line in lines if "-d" in line and line.endswith("/api/complaints"))
        words = shlex.split(line)
        headers = dict(word.split(": ") for word in words if ": " in word and not word.startswith("{"))
        answer = client.post(words[-1], content=words[words.index("-d") + 1], headers=headers)
    assert answer.json()["status"] in {"accepted", "repeated"}
