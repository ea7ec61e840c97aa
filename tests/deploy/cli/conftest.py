import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typer.testing import CliRunner

from deploy.cli.main import app
from tests.system import NAMES, system  # noqa: F401 - a fixture


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def makegood(*words):
    """Runs the command line in this process, as a program would: standard output is no terminal."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in (*NAMES, "MAKEGOOD_OTLP"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli(system, monkeypatch):  # noqa: F811
    """Runs commands on the whole system."""
    monkeypatch.setenv("MAKEGOOD_HOME", str(system.home))
    return makegood


@pytest.fixture(scope="session")
def walked(system):  # noqa: F811
    """A complaint that was owned, fixed and delivered, with two refusals on the way."""
    complaint = system.submit(product="bread", customer={"name": "Bo Li"})
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()

    def ask(command, expected=200, **data):
        answer = system.ask(complaint, command, **data)
        assert answer.status_code == expected, answer.text

    ask("StartFix", 409)
    ask("AssignOwner", owner="person:anna")
    ask("AcceptOwnership")
    ask("Acknowledge", text="Dear Bo, we heard you.")
    ask("StateNeed", need="dry bread")
    ask("MakePromise", what="call back", due_at=soon)
    ask("CompleteOwnership")
    system.until(complaint, stage="fix")
    ask("MakeDecision", verdict="uphold", reasons=["it was wet"], remedies=[{"what": "new bread"}])
    ask("StartFix")
    ask("CompleteFix", what="baked")
    ask("GiveExplanation", 409, text="the oven")
    ask("Deliver", what="bread", how="by hand", evidence="signed")
    system.until(complaint, stage="deliver")
    return complaint


@pytest.fixture
def collector():
    """Takes traces, as a collector would."""
    taken = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", taken
    server.shutdown()


def exported(requests):
    return [
        (next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name"), span)
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
