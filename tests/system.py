"""A whole running system: Kafka, PostgreSQL, the services and the console, as `makegood up` starts them. One for all tests of a session.

A conftest that wants it says `from tests.system import system`; whichever asks first starts it, and it ends with the session.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from deploy.local import stack
from shared.contract.envelope import complaint_id

SHARDS = 4
WAIT_SECONDS = 20
NAMES = ("MAKEGOOD_KAFKA", "MAKEGOOD_DATABASE", "MAKEGOOD_CONSOLE", "MAKEGOOD_HOME", "MAKEGOOD_ROLE_PASSWORD")
"""What of the environment would lead elsewhere."""


@dataclass(frozen=True)
class System:
    """Where it is."""

    home: Path

    @property
    def stack(self) -> stack.Stack:
        """Its parts, found as every command finds them."""
        found = stack.running(self.home)
        assert found is not None, "the system runs as long as the session"
        return found

    @property
    def console(self) -> str:
        """The console's address."""
        return self.stack.console_url

    @contextmanager
    def http(self, actor: str = "person:anna") -> Iterator[httpx.Client]:
        """The console's API; whoever asks waits for the outcome."""
        headers = {"Prefer": f"wait={WAIT_SECONDS}", "Makegood-Actor": actor}
        with httpx.Client(base_url=self.console, headers=headers, timeout=2 * WAIT_SECONDS, trust_env=False) as client:
            yield client

    def submit(self, *, source: str = "shop", ref: str = "", **told: Any) -> UUID:
        """A new complaint; it is there when this returns."""
        ref = ref or uuid4().hex[:12]
        with self.http() as client:
            answer = client.post("/api/complaints", json={"source": source, "ref": ref, "narrative": "The bread was wet.", **told})
        assert answer.status_code == 200, answer.text
        return complaint_id(source, ref)

    def ask(self, complaint: UUID, command: str, **data: Any) -> httpx.Response:
        """What became of a command."""
        with self.http() as client:
            return client.post(f"/api/complaints/{complaint}/commands", json={"command": command, "data": data})

    def until(self, complaint: UUID, **told: Any) -> dict[str, Any]:
        """The complaint, when it is so."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self.http() as client:
            while True:
                found: dict[str, Any] = client.get(f"/api/complaints/{complaint}").json()
                if all(found.get(name) == value for name, value in told.items()):
                    return found
                assert time.monotonic() < deadline, f"{complaint} is {found}, not {told}"
                time.sleep(0.05)

    def until_event(self, complaint: UUID, event_type: str) -> None:
        """Until an event of this type is in the complaint's history."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self.http() as client:
            while event_type not in (
                types := [event["type"] for event in client.get(f"/api/complaints/{complaint}/history").json()["events"]]
            ):
                assert time.monotonic() < deadline, f"{event_type} is not among {types}"
                time.sleep(0.05)


_shared = ExitStack()
_users: list[System] = []


@contextmanager
def shared() -> Iterator[System]:
    """The session's system: started by whoever enters first, stopped when the last has left."""
    if not _users:
        _users.append(_shared.enter_context(started()))
    _users.append(_users[0])
    try:
        yield _users[0]
    finally:
        _users.pop()
        if len(_users) == 1:
            _users.clear()
            _shared.close()


@contextmanager
def started() -> Iterator[System]:
    """A system of one's own, for as long as the block lasts."""
    home = Path(tempfile.mkdtemp(prefix="makegood-system-"))
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        patch.setenv("MAKEGOOD_SHARDS", str(SHARDS))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent.parent), prepend=os.pathsep)
        pid = stack.start(home, with_us=True)
    try:
        stack.wait(home, pid)
        yield System(home)
    finally:
        stack.stop(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """The whole system, running (tests/system.py)."""
    with shared() as found:
        yield found
