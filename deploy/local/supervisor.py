"""The supervisor: starts the parts in the order in which they need each other, keeps them running, and stops them the other way round.

It runs in the background in a session of its own, one for each home:

    python -m deploy.local.supervisor HOME [--only-servers]

What blocks (fetching jars, formatting storage) happens in threads that nobody waits for at the end: the process ends without them, and
the tools they run are tied to it. What they were making is made anew the next time.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import importlib.metadata
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from deploy import install
from deploy.local import kafka, postgres, state
from deploy.local.part import Part, Program, born, rotate, say
from deploy.local.ports import LOOPBACK, Ports
from deploy.local.stack import BUSY, LOG, PYTHON, STOP_SECONDS
from deploy.roles import PROCESSES, role_dsn
from deploy.status import without_password
from shared.settings import Settings, load

MODULES: Mapping[str, str] = {service: f"services.{service}" for service in PROCESSES}
"""What is run for each service."""
SERVICE_START_SECONDS = 60.0
"""How long a service may take until it is ready."""
SERVICE_STOP_SECONDS = 10.0
"""And to end, before it is killed."""
READY_SECONDS = 2.0
"""How long it may take to say whether it is."""
LOGS_EVERY_SECONDS = 10.0
"""How often it is looked how large the logs are."""
TRACES = "traces"
"""The part that exports traces, where MAKEGOOD_OTLP says where to."""


class Supervisor:
    """One home's parts."""

    def __init__(self, home: Path, modules: Mapping[str, str], folders: Mapping[str, Path]) -> None:
        self._home = home
        self._modules = modules
        self._folders = folders
        self._ports = Ports(home / "ports.json")
        self._aside = ThreadPoolExecutor(thread_name_prefix="aside")
        self._servers: list[Part] = []
        self._services: list[Part] = []
        self._state = state.StackState(
            phase="starting", pid=os.getpid(), born=born(os.getpid()), release=release(),
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
        small = asyncio.create_task(self._keep_logs_small())
        waiting = asyncio.create_task(ended.wait())
        under_way = [start]
        error: str | None = None
        try:
            await asyncio.wait({start, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                start.result()
                self._phase("running")
                say("everything runs")
                under_way.append(asyncio.create_task(kafka.quicken(self._home)))
                await waiting
        except Exception as problem:  # whatever it was, it is told, and the parts are stopped
            logging.getLogger(__name__).exception("the start failed")
            error = "\n".join(_reasons(problem))
        waiting.cancel()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self._phase("stopping", error)
        await self._stop()
        small.cancel()
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
        if self._folders:
            await self._install(owner, broker)
        self._services = [Part(self._service(name, module, owner, broker), self._write) for name, module in self._modules.items()]
        if self._folders and load().otlp:  # without what is installed there is nothing to export
            self._services.append(Part(self._traces(load().otlp, owner, broker), self._write))
        async with asyncio.TaskGroup() as together:
            for part in self._services:
                together.create_task(part.start())

    async def _install(self, owner: str, broker: str) -> None:
        installed = await install.install(owner, broker, Settings(kafka=broker, database=owner), self._folders)
        say(f"installed: {len(installed.migrations)} migrations and {len(installed.topics)} topics are new, {installed.shards} shards")
        self._state = self._state.model_copy(update={"roles": {name: role_dsn(owner, name) for name in self._folders}})

    async def _start_server(self, make: Callable[[Path, Ports, Callable[[str], None]], Program]) -> None:
        loop = asyncio.get_running_loop()

        def tell(sentence: str) -> None:
            loop.call_soon_threadsafe(self._takes_a_while, sentence)

        program = await loop.run_in_executor(self._aside, make, self._home, self._ports, tell)
        part = Part(program, self._write)
        self._servers.append(part)
        self._servers.sort(key=lambda part: part.program.name)  # Kafka, then PostgreSQL, whichever was prepared first
        await part.start()

    def _service(self, name: str, module: str, owner: str, broker: str) -> Program:
        port = self._ports.keep(name)
        address = f"http://{LOOPBACK}:{port}"
        env = {
            "MAKEGOOD_KAFKA": broker,
            "MAKEGOOD_DATABASE": role_dsn(owner, name),
            "MAKEGOOD_HOME": str(self._home),
            "MAKEGOOD_PORT": str(port),
            "MAKEGOOD_INSTANCE": name,
            "MAKEGOOD_BIND": LOOPBACK,  # where they are asked
            "PYTHONUNBUFFERED": "1",
        }

        async def ready() -> bool:
            return await answers(f"{address}/readyz")

        return Program(
            name, (*PYTHON, module), address, self._home / "logs" / f"{name}.log", ready, env,
            start_seconds=SERVICE_START_SECONDS, stop_seconds=SERVICE_STOP_SECONDS,
        )  # fmt: skip

    def _traces(self, address: str, owner: str, broker: str) -> Program:
        """What follows the ledgers and exports their traces. Nobody waits for it: whoever takes them may be away."""
        env = {"MAKEGOOD_KAFKA": broker, "MAKEGOOD_DATABASE": owner, "MAKEGOOD_HOME": str(self._home), "PYTHONUNBUFFERED": "1"}

        async def ready() -> bool:
            return True

        argv = (*PYTHON, "deploy.cli", "trace", "export", "--follow")
        return Program(TRACES, argv, without_password(address), self._home / "logs" / f"{TRACES}.log", ready, env)

    async def _stop(self) -> None:
        """Services first, then Kafka, then PostgreSQL: nobody loses what they stand on."""
        await asyncio.gather(*(part.stop() for part in self._services))
        for part in self._servers:
            await part.stop()

    async def _keep_logs_small(self) -> None:
        """Puts aside what has grown large while it is written to. Here and not in a thread: a start looks after its part's log, too."""
        while True:
            await asyncio.sleep(LOGS_EVERY_SECONDS)
            for log in (self._home / LOG, *(part.program.log for part in (*self._servers, *self._services))):
                with contextlib.suppress(OSError):  # a full disk; it is tried again
                    rotate(log)

    def _phase(self, phase: str, error: str | None = None) -> None:
        self._state = self._state.model_copy(update={"phase": phase, "error": error, "doing": ""})
        self._write()

    def _takes_a_while(self, sentence: str) -> None:
        if self._state.phase == "starting":  # what a thread says later is nobody's concern any more
            say(sentence)
            self._state = self._state.model_copy(update={"doing": sentence})
            self._write()

    def _write(self) -> None:
        parts = [
            state.PartState(
                name=part.program.name, state=part.state, pid=part.pid, born=part.born, since=part.since, restarts=part.restarts,
                address=part.program.address, log=str(part.program.log),
            )
            for part in (*self._servers, *self._services)
        ]  # fmt: skip
        console = next((part.address for part in parts if part.name == "console"), "")
        try:
            state.write(self._home, self._state.model_copy(update={"parts": parts, "console": console, "notes": list(self._ports.moved)}))
        except OSError as problem:  # a full disk does not end the supervision
            say(f"the state could not be written: {problem}")


async def answers(url: str) -> bool:
    """Whether this URL answers 200; raises where nobody answers."""
    async with httpx.AsyncClient(timeout=READY_SECONDS, trust_env=False) as client:
        return (await client.get(url)).status_code == httpx.codes.OK


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


def supervise(home: Path, modules: Mapping[str, str], folders: Mapping[str, Path]) -> int:
    """Supervises one home until told to stop.

    Args:
        home: The home; absolute.
        modules: The Python module of each service.
        folders: The migrations of each service's schema. Where there are none, nothing is installed in the servers.

    Returns:
        0 when stopped, 1 when the start failed, 4 when another supervisor has this home and keeps it.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        with state.lock(home) as ours:
            if ours:
                left = state.clear(home)
                if left:
                    say(f"ended what an earlier supervisor left behind: {', '.join(left)}")
                return asyncio.run(Supervisor(home, modules, folders).run())
        other = state.read(home)
        if time.monotonic() > deadline or (other is not None and other.alive and other.phase in {"starting", "running"}):
            return BUSY
        time.sleep(state.POLL_SECONDS)  # it is on its way out


def main(modules: Mapping[str, str] = MODULES, folders: Mapping[str, Path] = install.FOLDERS) -> None:
    """The background program: supervises these services, with these migrations."""
    words = argparse.ArgumentParser(prog="python -m deploy.local.supervisor", description="Keeps the embedded stack of one home running.")
    words.add_argument("home", type=Path)
    words.add_argument("--only-servers", action="store_true", help="Kafka and PostgreSQL, with nothing installed in them")
    told = words.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is not up yet is what the supervisor waits for
    if told.only_servers:
        modules, folders = {}, {}
    os.umask(0o077)  # what people told us in confidence is nobody else's to read
    code = supervise(told.home.absolute(), modules, folders)
    sys.stderr.flush()
    os._exit(code)  # threads that still fetch or format are not waited for


if __name__ == "__main__":
    main()
