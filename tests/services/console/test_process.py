"""The console as a process: it says where it listens, and ends in peace."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

PATIENCE_SECONDS = 30


@pytest.fixture
def process(system):
    """Another console on the same installation."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        **os.environ, "MAKEGOOD_KAFKA": system.stack.kafka, "MAKEGOOD_DATABASE": system.stack.role_dsn("console"),
        "MAKEGOOD_PORT": str(port), "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "default",
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "services.console"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as started:
        killer = threading.Timer(PATIENCE_SECONDS, started.kill)
        killer.start()
        yield started, port
        killer.cancel()
        started.kill()


def test_it_says_where_it_listens_and_stops_without_a_warning(process):
    console, port = process
    said = []
    for line in console.stderr:
        said.append(line)
        if json.loads(line)["event"] == "assigned":
            break
    assert f"http://127.0.0.1:{port}" in [json.loads(line).get("address") for line in said if json.loads(line)["event"] == "listening"]
    console.send_signal(signal.SIGINT)
    rest = console.stderr.read()
    assert console.wait(PATIENCE_SECONDS) == 0
    assert "Warning" not in rest
    assert "Traceback" not in rest
