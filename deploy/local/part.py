"""One program under the supervisor: started, watched until it is ready, started again when it dies, stopped in the end."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import psutil

TETHER = Path(__file__).with_name("tether.py")
FIRST_PAUSE_SECONDS = 0.2
"""Before a program that died is started again: each time twice as long,"""
LONGEST_PAUSE_SECONDS = 10.0
"""Up to so long."""
HEALTHY_SECONDS = 5.0
"""After so long in health the next death is a new one: the pauses begin anew."""
READY_EVERY_SECONDS = 0.05
"""How often a program that starts is asked whether it is ready."""
FIRST_START_DEATHS = 3
"""A program that dies so often without ever having been ready is not merely unlucky."""
BOOT = Path("/proc/sys/kernel/random/boot_id")
LOG_BYTES = 10_000_000
"""Of a log, before a new one is begun."""
LOG_KEPT = 3
"""So many older ones are kept."""
LAST_LINES, LAST_BYTES = 8, 4000
"""How much of a log is shown where its program failed."""


class State(StrEnum):
    """Where a part is."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


class PartFailed(RuntimeError):
    """A part did not become ready; the message names its log."""


def _nothing() -> None:
    """What most programs need before they start."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how to tell that it is ready."""

    name: str
    argv: tuple[str, ...]
    address: str
    log: Path
    ready: Callable[[], Awaitable[bool]]
    """Asked again and again until it says yes; while it raises, the answer is no."""
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] = _nothing
    stop_signal: signal.Signals = signal.SIGTERM
    start_seconds: float = 60.0
    stop_seconds: float = 15.0
    user: tuple[int, int] | None = None
    """The system's (uid, gid) to run as; none for our own."""


class Part:
    """A program and what became of it so far."""

    def __init__(self, program: Program, changed: Callable[[], None] = _nothing) -> None:
        self.program = program
        self.state = State.WAITING
        self.pid: int | None = None
        self.born: str | None = None
        self.since: float | None = None
        self.restarts = 0
        self._changed = changed
        self._was_ready = asyncio.Event()
        self._to_stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the program and waits until it is ready for the first time.

        Raises:
            PartFailed: when it takes longer than its time limit, or dies again and again.
        """
        self._task = asyncio.create_task(self._keep(), name=self.program.name)
        ready = asyncio.create_task(self._was_ready.wait())
        try:
            await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stops the program, politely first, and waits until it is gone."""
        self._to_stop.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self._now(State.STOPPED)

    async def _keep(self) -> None:
        """Runs the program again each time it ends, until told to stop."""
        pause, deaths = FIRST_PAUSE_SECONDS, 0
        while True:
            started = time.monotonic()
            how = await self._run()
            if self._to_stop.is_set():
                return
            deaths += 1
            if not self._was_ready.is_set() and (deaths >= FIRST_START_DEATHS or time.monotonic() - started >= self.program.start_seconds):
                self._now(State.STOPPED)
                raise PartFailed(f"{self.program.name} {how}, before it was ever ready: {_last(self.program.log)}")
            if self.state is State.READY and self.since is not None and time.time() - self.since >= HEALTHY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            say(f"{self.program.name} {how}; starting it again in {pause:.1f} s")
            self.restarts += 1
            self._now(State.WAITING)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._to_stop.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _run(self) -> str:
        """One life of the program, from its start until it is gone; says how it ended."""
        try:
            self.program.before()
            child = await self._spawn()
        except OSError as problem:  # a full disk, no more processes: it may pass
            return f"could not be started ({problem})"
        self._now(State.STARTING, child.pid)
        ended = asyncio.create_task(child.wait())
        told = asyncio.create_task(self._to_stop.wait())
        ready = asyncio.create_task(self._readiness())
        try:
            await asyncio.wait({ended, told, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and ready.result():
                self._was_ready.set()
                self._now(State.READY, child.pid)
                await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            ready.cancel()
        if ended.done():
            return f"ended ({_said(ended.result())})"
        if self._to_stop.is_set():
            self._now(State.STOPPING, child.pid)
        await self._end(child)
        return f"was not ready within {self.program.start_seconds:.0f} s"

    async def _spawn(self) -> asyncio.subprocess.Process:
        program = self.program
        rotate(program.log)
        with program.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *tied(program.argv, program.stop_signal, program.user), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **program.env}, start_new_session=True,
            )  # fmt: skip

    async def _readiness(self) -> bool:
        """Whether the program becomes ready within its time limit."""
        deadline = time.monotonic() + self.program.start_seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception):
                if await self.program.ready():
                    return True
            await asyncio.sleep(READY_EVERY_SECONDS)
        return False

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(self.program.stop_signal)
        try:
            await asyncio.wait_for(child.wait(), self.program.stop_seconds)
        except TimeoutError:
            say(f"{self.program.name} did not stop within {self.program.stop_seconds:.0f} s and is killed")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()

    def _now(self, state: State, pid: int | None = None) -> None:
        if pid != self.pid:
            self.born = born(pid)
        self.state, self.pid, self.since = state, pid, time.time()
        self._changed()


def tied(argv: Sequence[str], sent: signal.Signals = signal.SIGTERM, user: tuple[int, int] | None = None) -> list[str]:
    """A command line that is told by a signal when we die, and runs as another (uid, gid) where one is given."""
    uid, gid = user or (-1, -1)
    return [sys.executable, "-I", "-S", str(TETHER), str(int(sent)), str(os.getpid()), str(uid), str(gid), *argv]


def finish(argv: Sequence[str], seconds: float, user: tuple[int, int] | None = None) -> None:
    """Runs a tool to its end. It is killed with us, so what it makes must not be taken for whole before it has ended.

    Raises:
        RuntimeError: when it fails or takes longer; the message carries what it said.
    """
    words = tied(argv, signal.SIGKILL, user)
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it took longer than {seconds:.0f} s") from None
    if done.returncode != 0:
        raise RuntimeError(f"{_said(done.returncode)}: {done.stdout.decode(errors='replace').strip()}")


def say(sentence: str) -> None:
    """Writes a line of the supervisor's own log, with the time."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {sentence}\n")
    sys.stderr.flush()


def born(pid: int | None) -> str | None:
    """When a process that still runs was started: with its id that names it for good, since ids are used again.

    On Linux in the kernel's ticks since the boot, which do not move when somebody sets the clock.
    """
    try:
        if pid is None or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return None
        if not psutil.LINUX:
            return str(psutil.Process(pid).create_time())
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]  # field 22; the name before it may hold anything
        return f"{BOOT.read_text().strip()}/{ticks}"
    except (psutil.Error, OSError):
        return None


def rotate(log: Path) -> None:
    """Puts aside what is in a log that has grown large, and makes its folder.

    Copied and emptied, not moved: whoever writes to it has it open, to append, and goes on at its new beginning. What is written in the
    moment between the two is lost.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not log.exists() or log.stat().st_size < LOG_BYTES:
        return
    for number in range(LOG_KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    shutil.copy(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)


def _said(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _last(log: Path) -> str:
    """Where the log is and how it ends."""
    try:
        lines = log.read_bytes()[-LAST_BYTES:].decode(errors="replace").splitlines()[-LAST_LINES:]
    except OSError:
        lines = []
    return "\n  ".join([f"see {log}, which ends", *lines])
