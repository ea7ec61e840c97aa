"""What the supervisor tells everybody else: one small file, replaced whole, that says what runs where."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import BaseModel, Field, ValidationError

from deploy.local.part import born

FILE = "state.json"
GONE_SECONDS = 10.0
"""How long what was left behind may take to end by itself before it is killed."""
POLL_SECONDS = 0.05
"""How often it is looked whether it has ended."""


class PartState(BaseModel):
    """One part, as it was when it last changed."""

    name: str
    state: str
    pid: int | None = None
    born: str | None = Field(None, description="With the process id, names the process for good.")
    since: float | None = Field(None, description="Since when it has been in this state, seconds of the epoch.")
    restarts: int = 0
    address: str
    log: str


class StackState(BaseModel):
    """The whole stack, as the supervisor last wrote it."""

    phase: str = Field(description="starting, running, stopping or failed.")
    doing: str = Field("", description="What takes a while just now, in words.")
    notes: list[str] = Field(default_factory=list, description="What is to be known of this start, in sentences.")
    error: str | None = None
    pid: int = Field(description="The supervisor's.")
    born: str | None
    release: str
    started_at: str
    kafka: str = ""
    database: str = Field("", description="The owner's DSN.")
    roles: dict[str, str] = Field(default_factory=dict, description="DSN by service.")
    console: str = ""
    parts: list[PartState] = Field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return same(self.pid, self.born)


def read(home: Path) -> StackState | None:
    """What is written there, by whoever; none if nothing readable is."""
    try:
        return StackState.model_validate_json((home / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def write(home: Path, state: StackState) -> None:
    """Replaces the file; only we may read it, since DSNs may carry passwords."""
    new = home / f"{FILE}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - the mode matters
        file.write(state.model_dump_json(indent=1))
    new.replace(home / FILE)


def forget(home: Path) -> None:
    """Nothing runs here."""
    (home / FILE).unlink(missing_ok=True)


def same(pid: int | None, began: str | None) -> bool:
    """Whether the process that had this id and was born then still runs."""
    return began is not None and born(pid) == began


@contextlib.contextmanager
def lock(home: Path) -> Iterator[bool]:
    """Whether the home is ours for the time of the block; a home has one supervisor."""
    with alone(home / "lock") as ours:
        yield ours


@contextlib.contextmanager
def alone(place: Path) -> Iterator[bool]:
    """Whether nobody else, in any process, holds this file's lock for the time of the block. Raises OSError where it can't be written."""
    with place.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def clear(home: Path) -> list[str]:
    """Waits for what a dead supervisor left behind to end, kills what doesn't, and gives the names of what was found.

    Call it only while holding the home's lock. On Linux the parts were told of the supervisor's death by the kernel and are on their way.
    """
    state = read(home)
    if state is None:
        return []
    left = [part for part in state.parts if same(part.pid, part.born)]
    if left and not psutil.LINUX:
        _signal(left, signal.SIGTERM)
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline and any(same(part.pid, part.born) for part in left):
        time.sleep(POLL_SECONDS)
    _signal([part for part in left if same(part.pid, part.born)], signal.SIGKILL)
    while any(same(part.pid, part.born) for part in left):
        time.sleep(POLL_SECONDS)
    forget(home)
    return [part.name for part in left]


def _signal(parts: list[PartState], number: signal.Signals) -> None:
    for part in parts:
        if part.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(part.pid, number)  # each part leads a group of its own
