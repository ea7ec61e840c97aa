"""The embedded stack from outside: start it in the background, find it, stop it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import state
from deploy.local.part import rotate, tied
from deploy.roles import role_dsn
from shared.settings import Settings

PYTHON = (sys.executable, "-P", "-m")
"""How our own modules are run: -P, or a folder named `shared` where the user stands would be taken for ours."""
SUPERVISOR = "deploy.local.supervisor"
BUSY = 4
"""A supervisor's exit code when another one has the home: a conflict, as for the `makegood` command."""
POLL_SECONDS = 0.05
"""How often it is looked how far the supervisor is."""
STOP_SECONDS = 90.0
"""Services, Kafka and PostgreSQL together: what the supervisor takes at most, each part's own limit reached."""
LOG = Path("logs", "supervisor.log")


class StackFailed(RuntimeError):
    """The stack did not start; the message says why and where to look."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Where everything is."""

    home: Path
    kafka: str
    owner_dsn: str
    console_url: str
    role_dsns: Mapping[str, str] = field(default_factory=dict)

    def role_dsn(self, service: str) -> str:
        """A service's way into the database."""
        return self.role_dsns.get(service) or role_dsn(self.owner_dsn, service)


def running(home: Path) -> Stack | None:
    """Where the parts are: what MAKEGOOD_KAFKA, MAKEGOOD_DATABASE and MAKEGOOD_CONSOLE say, for the rest the embedded stack if it runs.

    Returns:
        None when there is neither a running embedded stack nor a Kafka and a database from outside.
    """
    told = Settings(home=home)
    found = state.read(home)
    embedded = found if found is not None and found.alive and found.phase == "running" else None
    kafka = told.kafka if "MAKEGOOD_KAFKA" in os.environ else embedded.kafka if embedded else ""
    database = told.database if "MAKEGOOD_DATABASE" in os.environ else embedded.database if embedded else ""
    if not kafka or not database:
        return None
    if embedded is None or database != embedded.database:  # another installation's console and roles are not this one's
        return Stack(home, kafka, database, told.console)
    return Stack(home, kafka, database, told.console or embedded.console, embedded.roles)


def start(home: Path, *, only_servers: bool = False, with_us: bool = False, supervisor: str = SUPERVISOR) -> int:
    """Starts a supervisor in the background, in a session of its own, and gives its process id.

    Args:
        home: The home; made where there is none.
        only_servers: Kafka and PostgreSQL, with nothing installed in them.
        with_us: Whether it is to stop by itself when the thread that called this ends, however it ends (on Linux).
        supervisor: The module to run; another one may supervise other services.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = home / LOG
    rotate(log)
    words = [*PYTHON, supervisor, str(home), *(["--only-servers"] if only_servers else [])]
    if with_us:
        words = tied(words)
    with log.open("ab") as file:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    _children[child.pid] = child
    return child.pid


def wait(home: Path, pid: int | None, tell: Callable[[state.StackState], None] = lambda _: None) -> state.StackState:
    """Waits until the stack of this home runs, whoever started it.

    Args:
        home: The home.
        pid: The supervisor that was started for this; none if another's is waited for.
        tell: Is told what is written about it, again and again.

    Raises:
        StackFailed: when it failed or went away.
    """
    patience = 0.0
    while True:
        found = state.read(home)
        ended = _ended(pid) if pid is not None else None
        if ended == BUSY:  # somebody else's supervisor has the home
            pid, patience = None, time.monotonic() + state.GONE_SECONDS
        elif ended is not None:
            raise StackFailed(
                (found and found.pid == pid and found.error) or f"the supervisor ended before everything ran: see {home / LOG}"
            )
        elif found is not None and (found.pid == pid if pid is not None else found.alive):
            tell(found)
            if found.phase == "running":
                return found
        elif pid is None and time.monotonic() > patience:
            raise StackFailed(f"the supervisor that was starting it went away: see {home / LOG}")
        time.sleep(POLL_SECONDS)


def stop(home: Path, seconds: float = STOP_SECONDS) -> bool:
    """Stops the stack of this home and waits until nothing of it runs.

    Returns:
        Whether there was anything to stop.
    """
    if not home.is_dir():
        return False
    was = False
    while True:
        found = state.read(home)
        if found is not None and found.alive:
            was = True
            stop_supervisor(found.pid, found.born, seconds)
        with state.lock(home) as ours:  # another's: a supervisor that has just begun, or somebody else who stops it
            if ours:
                return bool(state.clear(home)) or was
        time.sleep(POLL_SECONDS)


def stop_supervisor(pid: int, began: str | None, seconds: float = STOP_SECONDS) -> None:
    """Tells a supervisor to stop everything and waits; one that won't is killed, and its parts with it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while state.same(pid, began) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    if state.same(pid, began):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


_children: dict[int, "subprocess.Popen[bytes]"] = {}


def _ended(pid: int) -> int | None:
    """The exit code of a supervisor that was started here; none while it runs."""
    return _children[pid].poll()
