"""The run: storms and timed faults by turns while load runs; then everything is looked at."""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import asyncpg
import structlog

from shared.contract.envelope import POLICIES, SERVICES, SUBMISSIONS, commands_topic, events_topic
from tests.faults.chaos import checks, topics
from tests.faults.chaos.faults import Faults
from tests.faults.chaos.fleet import Fleet, started
from tests.faults.chaos.heads import Heads
from tests.faults.chaos.load import Load
from tests.faults.chaos.rebuilt import rebuilt
from tests.faults.chaos.recovery import GOALS, Recoveries
from tests.faults.chaos.wiping import wiped

STORM_SECONDS = 25.0
WIPED_EVERY_MINUTES = 8.0
"""The topics go half way through, and then so often."""
RATE = 8.0
RAISED = 1
"""How Python ends a process in which something was raised that nobody took care of."""
IN_30_MINUTES = {"service killed": 1_000, "postgres killed": 200, "kafka killed": 150, "service frozen": 100, "fences fired": 50}
"""So many there are to be."""
CATCH_UP_SECONDS = 180.0
TOPICS = (SUBMISSIONS, POLICIES, *map(commands_topic, SERVICES), *map(events_topic, SERVICES))


@dataclass
class Report:
    """What came of it."""

    seed: int
    minutes: float
    counts: dict[str, int] = field(default_factory=dict)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"chaos, seed {self.seed}", "", "| what | count | goal |", "| --- | ---: | ---: |"]
        lines += [f"| {what} | {count:,} | {self._goal(what)} |" for what, count in self.counts.items()]
        lines += [
            "",
            "| recovery, in seconds | times | median | longest | goal | within it |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for what, seconds in sorted(self.recoveries.items()):
            goal = GOALS.get(what)
            told = "| |" if goal is None else f"{goal:.0f} | {sum(one <= goal for one in seconds)}"
            lines.append(f"| {what} | {len(seconds)} | {median(seconds):.2f} | {max(seconds):.2f} | {told} |")
        lines += ["", f"{len(self.violations)} violations", *(f"- {one}" for one in self.violations)]
        return "\n".join(lines)

    def _goal(self, what: str) -> str:
        goal = IN_30_MINUTES.get(what)
        return "" if goal is None else f"{goal * self.minutes / 30:,.0f}"


async def chaos(minutes: float, seed: int, rate: float = RATE, *, keep: bool = False) -> Report:
    """A run of so many minutes, and what was found afterwards."""
    report = Report(seed, minutes)
    async with started(keep=keep) as fleet:
        faults, heads, load = Faults(fleet, seed), Heads(fleet.database), Load(fleet, seed, rate)
        recoveries = Recoveries(fleet, heads, faults)
        watching, sending = asyncio.create_task(heads.watch()), asyncio.create_task(load.send())
        gone: dict[tuple[str, int], tuple[int, int]] = {}
        try:
            until, wiping_at = time.monotonic() + 60 * minutes, time.monotonic() + 30 * minutes
            while time.monotonic() < until and not recoveries.missed:
                await recoveries.round()
                if time.monotonic() > wiping_at and await recoveries.calm():
                    wiping_at += 60 * WIPED_EVERY_MINUTES
                    found, seconds = await wiped(fleet, load, TOPICS, gone)
                    report.violations += found
                    recoveries.note("topics wiped, until all is ready again", seconds)
                    faults.counts["topics wiped and rebuilt"] += 1
                await faults.storm(min(STORM_SECONDS, max(0.0, until - time.monotonic())))
                if sending.done():
                    sending.result()
            await recoveries.calm()
            load.stopping = True
            report.violations += recoveries.missed + await _caught_up(fleet, sending)
            report.violations += await _looked_at(fleet, load, gone)
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)
            report.log = faults.log
        fences = sum(1 for _ in fleet.logged("fenced"))
        exits = {f"{one.name} ended with {code}": times for one in fleet.replicas for code, times in one.exits.items()}
        report.counts = {**dict(sorted(faults.counts.items())), "fences fired": fences, **load.counts, **exits}
        report.recoveries = recoveries.seconds
        report.violations += fleet.tracebacks()[: checks.SHOWN]
        report.violations += [f"{what}, by an error of its own" for what in exits if what.endswith(f" with {RAISED}")]
        if report.violations:
            say(f"what is left of it lies in {fleet.home}")
            (fleet.home / "report.txt").write_text("\n".join([*report.log, "", str(report)]))
            raise Violated(report)
    return report


class Violated(Exception):
    """Something is not as it must be."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


async def _caught_up(fleet: Fleet, sending: "asyncio.Task[None]") -> list[str]:
    """All that is under way comes to its end by itself."""
    done, _ = await asyncio.wait({sending}, timeout=CATCH_UP_SECONDS)
    if not done:
        return ["what people asked is not answered, long after the faults"]
    sending.result()
    connection = await asyncpg.connect(fleet.database)
    try:
        deadline = time.monotonic() + CATCH_UP_SECONDS
        calm = 0
        while calm < 3:  # it is quiet between two messages, too
            if time.monotonic() > deadline:
                return [f"it does not catch up: {await fleet.said()}"]
            calm = calm + 1 if await checks.quiet(connection) and await fleet.all_ready() else 0
            await asyncio.sleep(0.5)
    finally:
        await connection.close()
    return []


async def _looked_at(fleet: Fleet, load: Load, gone: checks.Gone) -> Sequence[str]:
    """What the checks find; one that can't be made is a violation, too, and the others are made nevertheless."""
    connection = await asyncpg.connect(fleet.database)
    found: list[str] = []
    try:
        for check in (
            checks.proven(fleet.kafka, fleet.database),
            topics.looked_at(connection, fleet.kafka, TOPICS, load.acknowledged, gone),
            checks.timers(connection),
            checks.deserved(connection),
            checks.lived(connection),
            checks.received(connection, load.submitted),
            checks.answered(connection, list(load.answers.values())),
            rebuilt(connection, fleet.database, fleet.kafka),
        ):
            try:
                found += await check
            except Exception as error:
                found.append(f"{check.__qualname__} could not be made: {error!r}")
    finally:
        await connection.close()
    return found


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> int:
    """The command line; 1 where something is not as it must be."""
    words = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description="Chaos, for so many minutes; then every check.")
    words.add_argument("minutes", type=float)
    words.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    words.add_argument("--rate", type=float, default=RATE, help="complaints a second")
    words.add_argument("--keep", action="store_true", help="leave what the processes logged and stored")
    words.add_argument("--log", action="store_true", help="print every fault with its time")
    told = words.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    say(f"chaos for {told.minutes:g} minutes, seed {told.seed}")
    try:
        report = asyncio.run(chaos(told.minutes, told.seed, told.rate, keep=told.keep))
    except Violated as violated:
        report = violated.report
    say("\n".join([*(report.log if told.log else ()), str(report)]))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
