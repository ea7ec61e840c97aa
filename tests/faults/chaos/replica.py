"""One process of a service: started, started again at once when it dies, as systemd would; killed, frozen and stopped from outside."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from deploy.local.part import tied
from deploy.local.stack import PYTHON

AGAIN_SECONDS = 0.2
"""Before a process that ended is started again."""
STOP_SECONDS = 20.0


class Replica:
    """A process and its restarts."""

    def __init__(self, name: str, service: str, env: Mapping[str, str], log: Path) -> None:
        self.name, self.service, self.log = name, service, log
        self.env = env
        self.pid: int | None = None
        self.frozen = False
        self.wanted = False
        """Whether it is to run."""
        self.exits: dict[int, int] = {}
        """How often it ended by itself, by exit code; what a signal ended is not counted."""
        self._keeping: asyncio.Task[None] | None = None
        self._child: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.env['MAKEGOOD_PORT']}"

    def start(self) -> None:
        self.wanted = True
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep(), name=self.name)

    def signal(self, number: signal.Signals) -> bool:
        """Sends a signal; whether there was a process to send it to."""
        if self.pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    async def freeze(self, seconds: float) -> bool:
        """Stops the process in its tracks for a while; whether it was still the same one that woke up."""
        pid = self.pid
        if pid is None or self.frozen or not self.signal(signal.SIGSTOP):
            return False
        self.frozen = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self.frozen = False
            if self.pid == pid:
                self.signal(signal.SIGCONT)
        return self.pid == pid

    async def stop(self) -> None:
        """Ends it politely, and for good."""
        self.wanted = False
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._keeping is not None and not self._keeping.done():
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
            await asyncio.sleep(0.05)

    async def _keep(self) -> None:
        while self.wanted:
            with self.log.open("ab") as log:
                child = await asyncio.create_subprocess_exec(
                    *tied((*PYTHON, f"services.{self.service}")), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                    env=dict(self.env), start_new_session=True,
                )  # fmt: skip
            self.pid = child.pid
            code = await child.wait()
            self.pid = None
            if self.wanted and code >= 0:
                self.exits[code] = self.exits.get(code, 0) + 1
            if self.wanted:
                await asyncio.sleep(AGAIN_SECONDS)
