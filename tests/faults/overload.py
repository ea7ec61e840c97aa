"""More than can be taken: records and requests come faster than they are worked on, for a while. Latency grows, nothing else does.

.venv/bin/python -m tests.faults.overload 60 --rate 3000
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from uuid import uuid4

import httpx
import psutil

from deploy.local import state
from shared.contract.envelope import SERVICES, SUBMISSIONS, command_headers, complaint_id, key_of
from shared.contract.intake import SubmitComplaint
from tests.shared.machine.live import producing
from tests.system import System, started

PROCESSES = (*SERVICES, "console")
LOOK_SECONDS = 0.5
DRAIN_SECONDS = 600.0
ASKING = 550
"""Who asks over HTTP at the same time: more than are let in."""
NARRATIVE = "The bread was wet, and so was the box that it came in. " * 15


@dataclass
class Seen:
    """What was seen of one process, look by look."""

    memory_bytes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """How far behind it said that it is."""
    unready: list[str] = field(default_factory=list)

    @property
    def third_bytes(self) -> int:
        """The most memory in the first third of the looks."""
        return max(self.memory_bytes[: len(self.memory_bytes) // 3 or 1])


@dataclass
class Overload:
    """A run."""

    system: System
    sent: int = 0
    drained_seconds: float = 0.0
    processes: dict[str, Seen] = field(default_factory=lambda: {name: Seen() for name in PROCESSES})
    answers: Counter[int] = field(default_factory=Counter)
    restarts: int = 0

    async def run(self, seconds: float, rate: float, asking: int = ASKING) -> None:
        """Offers so much for so long, then waits until all of it is worked off."""
        looking = asyncio.create_task(self._look())
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=self.system.console, timeout=60.0, trust_env=False, limits=limits) as client:
            until = time.monotonic() + seconds
            with ProcessPoolExecutor(1, get_context("spawn")) as beside:  # who asks must not keep it from feeding
                feeding = asyncio.get_running_loop().run_in_executor(beside, feed, self.system.stack.kafka, seconds, rate)
                await asyncio.gather(*(self._ask(client, until) for _ in range(asking)))
                self.sent = await feeding
        began = time.monotonic()
        drained = asyncio.create_task(self._drained())
        await asyncio.wait((drained, looking), return_when=asyncio.FIRST_COMPLETED)
        self.drained_seconds = time.monotonic() - began
        if looking.done():  # it failed, and nobody knows how they were since then
            drained.cancel()
            await looking
        looking.cancel()
        await drained
        found = state.read(self.system.home)
        self.restarts = sum(part.restarts for part in found.parts)

    async def _ask(self, client: httpx.AsyncClient, until: float) -> None:
        """Somebody who waits for an answer, and asks again."""
        while time.monotonic() < until:
            try:
                told = {"source": "overload-http", "ref": uuid4().hex, "narrative": "Wet."}
                answer = await client.post("/api/complaints", json=told, headers={"Prefer": "wait=10"})
                self.answers[answer.status_code] += 1
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
            except httpx.HTTPError:
                self.answers[0] += 1
                await asyncio.sleep(1)

    async def _look(self) -> None:
        while True:
            found = {part.name: part for part in state.read(self.system.home).parts}
            async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
                for name, seen in self.processes.items():
                    part = found[name]
                    answer = await client.get(f"{part.address}/readyz")
                    known = answer.json()
                    seen.memory_bytes.append(psutil.Process(part.pid).memory_info().rss)
                    seen.seconds.append(known.get("behind", {}).get("seconds", 0.0))
                    if not known["ready"]:
                        seen.unready.append(answer.text.strip())
            await asyncio.sleep(LOOK_SECONDS)

    async def _drained(self) -> None:
        async with asyncio.timeout(DRAIN_SECONDS):
            while True:
                await asyncio.sleep(1)
                with self.system.http() as client:
                    counts = await asyncio.to_thread(client.get, "/api/counts")
                if (
                    counts.is_success
                    and counts.json()["complaints"] >= self.sent
                    and all(seen.seconds and seen.seconds[-1] == 0 for seen in self.processes.values())
                ):
                    return

    def __str__(self) -> str:
        lines = [f"{self.sent:,} records sent, worked off {self.drained_seconds:.0f} s after the last; over HTTP {dict(self.answers)}", ""]
        lines += ["| process | memory at first, MiB | at a third | most | behind at most, s | not ready |", "| --- " * 6 + "|"]
        for name, seen in self.processes.items():
            first, third, most = seen.memory_bytes[0], seen.third_bytes, max(seen.memory_bytes)
            sizes = " | ".join(f"{size / 2**20:.0f}" for size in (first, third, most))
            lines.append(f"| {name} | {sizes} | {max(seen.seconds):.1f} | {len(seen.unready)} of {len(seen.seconds)} |")
        return "\n".join(
            [*lines, "", f"{self.restarts} restarts", *(line for seen in self.processes.values() for line in seen.unready[:2])]
        )


def feed(kafka: str, seconds: float, rate: float) -> int:
    """Sends so many complaints a second, or as many as it can; how many those were."""
    return asyncio.run(_feed(kafka, seconds, rate))


async def _feed(kafka: str, seconds: float, rate: float) -> int:
    run, began, sent = uuid4().hex[:6], time.monotonic(), 0
    async with producing(kafka) as producer:
        while (passed := time.monotonic() - began) < seconds:
            for _ in range(int(min(passed * rate, sent + rate)) - sent):
                sent += 1
                ref = f"{run}-{sent}"
                told = SubmitComplaint(source="overload", ref=ref, narrative=NARRATIVE, product="bread")
                stream = complaint_id("overload", ref)
                headers = command_headers(told.type, ref, stream=stream, source="/overload", actor="source:overload", sent_at="")
                await producer.send(SUBMISSIONS, told.to_bytes(), key=key_of(stream), headers=headers)
            await asyncio.sleep(0.02)
        await producer.flush()
    return sent


def main() -> None:
    """The command line."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    words = argparse.ArgumentParser(prog="python -m tests.faults.overload")
    words.add_argument("seconds", type=float)
    words.add_argument("--rate", type=float, default=3_000, help="records a second")
    words.add_argument("--asking", type=int, default=ASKING, help="requests at a time")
    told = words.parse_args()
    with started() as system:
        run = Overload(system)
        asyncio.run(run.run(told.seconds, told.rate, told.asking))
        sys.stdout.write(f"{run}\n{json.dumps({name: [round(s) for s in seen.seconds[::10]] for name, seen in run.processes.items()})}\n")


if __name__ == "__main__":
    main()
