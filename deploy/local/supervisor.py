"""The supervisor: starts the parts in the order in which they need each other, keeps them running, and stops them the other way round.

It runs in the background in a session of its own, one for each home:

    python -m deploy.local.supervisor HOME [--only-servers]
"""

import argparse
import asyncio
import datetime as dt
import fcntl
import importlib.metadata
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from deploy import install
from deploy.local import kafka, postgres, state
from deploy.local.part import Part, Program, created, say
from deploy.local.ports import LOOPBACK, Ports
from deploy.local.stack import BUSY
from deploy.roles import SERVICES, role_dsn
from shared.settings import Settings

MODULES: Mapping[str, str] = {service: f"services.{service}" for service in SERVICES}
"""What is run for each service."""
SERVICE_START_SECONDS = 60.0
SERVICE_STOP_SECONDS = 10.0
READY_SECONDS = 2.0


class Supervisor:
    """One home's parts."""

    def __init__(self, home: Path, modules: Mapping[str, str], folders: Mapping[str, Path]) -> None:
        self._home = home
        self._modules = modules
        self._folders = folders
        self._ports = Ports(home / "ports.json")
        self._servers: list[Part] = []
        self._services: list[Part] = []
        self._state = state.StackState(
            phase="starting", pid=os.getpid(), created=created(os.getpid()), release=release(),
            started_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )  # fmt: skip

    async def run(self) -> int:
        """Everything, from the first start to the last stop; the exit code."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        self._write()
        start = asyncio.create_task(self._start())
        waiting = asyncio.create_task(ended.wait())
        error: str | None = None
        try:
            await asyncio.wait({start, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                start.result()
                self._phase("running")
                say("everything runs")
                await waiting
        except Exception as problem:  # whatever it was, it is told, and the parts are stopped
            logging.getLogger(__name__).exception("the start failed")
            error = "\n".join(_reasons(problem))
        waiting.cancel()
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        self._phase("stopping", error)
        await self._stop()
        if error is None:
            state.forget(self._home)
            say("stopped")
            return 0
        self._phase("failed", error)
        say(f"failed: {error}")
        return 1

    async def _start(self) -> None:
        async with asyncio.TaskGroup() as together:
            together.create_task(self._start_server(postgres.program))
            together.create_task(self._start_server(kafka.program))
        addresses = {part.program.name: part.program.address for part in self._servers}
        broker, owner = addresses["kafka"], postgres.owner_dsn(addresses["postgres"])
        self._state = self._state.model_copy(update={"kafka": broker, "database": owner})
        installed = await install.install(owner, broker, Settings(kafka=broker, database=owner), self._folders)
        say(f"installed: {len(installed.migrations)} migrations and {len(installed.topics)} topics are new, {installed.shards} shards")
        password = os.environ.get("MAKEGOOD_ROLE_PASSWORD", "")
        self._state = self._state.model_copy(update={"roles": {name: role_dsn(owner, name, password) for name in self._folders}})
        self._services = [Part(self._service(name, module, owner, broker), self._write) for name, module in self._modules.items()]
        async with asyncio.TaskGroup() as together:
            for part in self._services:
                together.create_task(part.start())

    async def _start_server(self, make: Callable[[Path, Ports], Program]) -> None:
        program = await asyncio.to_thread(make, self._home, self._ports)
        part = Part(program, self._write)
        self._servers.append(part)
        await part.start()

    def _service(self, name: str, module: str, owner: str, broker: str) -> Program:
        port = self._ports.keep(name)
        address = f"http://{LOOPBACK}:{port}"
        env = {
            "MAKEGOOD_KAFKA": broker,
            "MAKEGOOD_DATABASE": role_dsn(owner, name, os.environ.get("MAKEGOOD_ROLE_PASSWORD", "")),
            "MAKEGOOD_HOME": str(self._home),
            "MAKEGOOD_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }

        async def ready() -> bool:
            return await answers(f"{address}/readyz")

        return Program(
            name, (sys.executable, "-m", module), address, self._home / "logs" / f"{name}.log", ready, env,
            start_seconds=SERVICE_START_SECONDS, stop_seconds=SERVICE_STOP_SECONDS,
        )  # fmt: skip

    async def _stop(self) -> None:
        """Services first, then Kafka, then PostgreSQL: nobody loses what they stand on."""
        await asyncio.gather(*(part.stop() for part in self._services))
        for part in sorted(self._servers, key=lambda part: part.program.name):
            await part.stop()

    def _phase(self, phase: str, error: str | None = None) -> None:
        self._state = self._state.model_copy(update={"phase": phase, "error": error})
        self._write()

    def _write(self) -> None:
        parts = [
            state.PartState(
                name=part.program.name, state=part.state, pid=part.pid, created=part.created, since=part.since, restarts=part.restarts,
                address=part.program.address, log=str(part.program.log),
            )
            for part in (*self._servers, *self._services)
        ]  # fmt: skip
        console = next((part.address for part in parts if part.name == "console"), "")
        state.write(self._home, self._state.model_copy(update={"parts": parts, "console": console}))


async def answers(url: str) -> bool:
    """Whether this URL answers 200."""
    try:
        async with httpx.AsyncClient(timeout=READY_SECONDS, trust_env=False) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _reasons(problem: BaseException) -> list[str]:
    """What went wrong, one sentence for each of those that failed side by side."""
    if isinstance(problem, BaseExceptionGroup):
        return [reason for inner in problem.exceptions for reason in _reasons(inner)]
    return [str(problem) or type(problem).__name__]


def release() -> str:
    """The installed release."""
    try:
        return importlib.metadata.version("makegood")
    except importlib.metadata.PackageNotFoundError:
        return "unreleased"


def supervise(home: Path, modules: Mapping[str, str] = MODULES, folders: Mapping[str, Path] = install.FOLDERS) -> int:
    """Supervises one home until told to stop.

    Args:
        home: The home; absolute.
        modules: The Python module of each service.
        folders: The migrations of each service's schema.

    Returns:
        0 when stopped, 1 when the start failed, 4 when another supervisor has this home.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return BUSY
        left = state.clear(home)
        if left:
            say(f"ended what an earlier supervisor left behind: {', '.join(left)}")
        return asyncio.run(Supervisor(home, modules, folders).run())


def main() -> None:
    """The background program."""
    words = argparse.ArgumentParser(prog="python -m deploy.local.supervisor", description="Keeps the embedded stack of one home running.")
    words.add_argument("home", type=Path)
    words.add_argument("--only-servers", action="store_true", help="Kafka, PostgreSQL and what is installed in them, no services")
    told = words.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is not up yet is what the supervisor waits for
    sys.exit(supervise(told.home.absolute(), {} if told.only_servers else MODULES))


if __name__ == "__main__":
    main()
