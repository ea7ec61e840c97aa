"""`make bench`: one run, one table. Every rate is held against the bare loop, run before it and after it.

Other work on the machine moves all figures alike: read the ratios, and run it again. What was found stands in docs/performance.md.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from unittest.mock import patch

from tests.benchmarks import engine, large, load, rival, whole
from tests.benchmarks.table import Table, percentiles
from tests.servers import ROLE_PASSWORD, Servers, embedded
from tests.system import started

HOME = Path(".makegood")
NOTE, INTAKE = "tests.benchmarks.note", "services.intake"
RECORDS = 60_000
LEDGERS, LONG_LEDGERS = (10_000, 1_000_000), (10_000, 1_000_000, 5_000_000)
HOUR_RECORDS, LONG_HOUR_RECORDS = 120_000, 360_000
"""A long run has an hour's load of a hundred a second."""
REQUESTS = 200
P50_SECONDS, P99_SECONDS = 0.050, 0.150
"""What a single command is to take when idle."""
SHARDS = 16
Loads = Callable[[int, str], Iterable[load.Told]]


class Bench:
    """One run on servers of its own, with fsync on."""

    def __init__(self, servers: Servers, table: Table, records: int) -> None:
        self.servers, self.table, self.records = servers, table, records
        self._bare: list[float] = []

    def bare(self) -> float:
        """The bare loop's rate now."""
        self.table.say("the bare loop")
        told = ["--kafka", self.servers.kafka, "--dsn", self.servers.owner_dsn, "--records", str(self.records)]
        ran = subprocess.run([sys.executable, "-m", "tests.benchmarks.bare_loop", *told], stdout=subprocess.PIPE, text=True, check=True)
        self._bare.append(json.loads(ran.stdout)["events_per_s"])
        return self._bare[-1]

    def rate(self, name: str, module: str, loads: Loads, *, count: int = 1, shards: int = SHARDS) -> None:
        """A line about the engine, between two bare loops."""
        before = self._bare[-1] if self._bare else self.bare()
        self.table.say(name)
        ran = asyncio.run(self._run(module, loads, count, shards))
        after = self.bare()
        against = (before + after) / 2
        spent = ", ".join(f"{kind} {us:.0f}" for kind, us in ran.cpu_us_per_event.items())
        more = f"the bare loop's {before:,.0f} and {after:,.0f}; processor µs an event: {spent}"
        self.table.line(name, f"{ran.events_per_s:,.0f}/s", ran.events_per_s / against, more)

    def pipeline(self) -> None:
        """The engine against a plain pipeline of a library's, both now."""
        name = f"pipeline_{uuid.uuid4().hex[:8]}"
        self.table.say("eventsourcing: its environment")
        python = rival.environment(HOME)
        before = self._bare[-1]
        self.table.say("eventsourcing")
        theirs = asyncio.run(rival.run(python, self.servers, name, self.records // 4, load.STREAMS // 4))
        ours = asyncio.run(self._run(NOTE, load.notes, 1, SHARDS))
        self.table.line("eventsourcing 9.5, batches of 100", f"{theirs:,.0f}/s", theirs / before, f"the bare loop's {before:,.0f}")
        more = f"eventsourcing's {theirs:,.0f}, right after it"
        self.table.line("engine, one process", f"{ours.events_per_s:,.0f}/s", ours.events_per_s / theirs, more)

    def rebuild(self) -> None:
        """A projection from nothing, against the bare loop."""
        self.table.say("projections, rebuilt")

        async def rebuilding() -> float:
            installation = await self.servers.fresh_installation(shards=SHARDS)
            count = self.records // 3
            await load.fill(installation.kafka, SHARDS, load.submissions(count, uuid.uuid4().hex[:8]))
            await engine.measured(installation, INTAKE, count)
            return await engine.rebuilt(installation, count)

        found, against = asyncio.run(rebuilding()), self._bare[-1]
        self.table.line("the console's projections, rebuilt", f"{found:,.0f}/s", found / against, f"the bare loop's {against:,.0f}")

    def large(self, rows: Sequence[int]) -> None:
        """Whether time an event grows with the ledger: against the smallest."""
        smallest = 0.0
        for count in rows:
            self.table.say(f"a ledger of {count:,} rows")
            ran = asyncio.run(self._run(NOTE, load.notes, 1, SHARDS, rows=count))
            us = 1e6 / ran.events_per_s
            smallest = smallest or us
            processor = sum(ran.cpu_us_per_event.values())
            self.table.line(
                f"at {count:,} ledger rows", f"{us:,.0f} µs", us / smallest, f"the first one; processor µs of all: {processor:.0f}"
            )

    def memory(self, records: int) -> None:
        """An hour's load at once: whether memory grows."""
        self.table.say(f"{records:,} notes")
        ran = asyncio.run(self._run(NOTE, load.notes, 1, SHARDS, records=records))
        first, half, last = ran.memory_mb
        more = f"from halfway on; {first:.0f} MB when it began; {ran.events_per_s:,.0f}/s"
        self.table.line(f"memory after {records:,} notes", f"{last:,.0f} MB", last / half, more)

    async def _run(
        self, module: str, loads: Loads, count: int, shards: int, *, rows: int = 0, records: int = 0
    ) -> engine.Ran:  # fmt: skip
        records = records or self.records
        installation = await self.servers.fresh_installation(shards=shards)
        if rows:
            await large.grow(installation, rows)
        await load.fill(installation.kafka, shards, loads(records, uuid.uuid4().hex[:8]))
        return await engine.measured(installation, module, records, count=count)


def whole_system(table: Table, complaints: int) -> None:
    """The lines that need all services; figures of seconds are held against the goals for an idle system."""
    table.say("the whole system")
    with started() as system:
        asyncio.run(whole.taken_in(system, complaints // 10))
        rate = asyncio.run(whole.taken_in(system, complaints))
        table.line("whole system, submissions into projections", f"{rate:,.0f}/s")
        for name, per_s in (("idle", 0.0), (f"half load, {rate / 2:,.0f}/s", rate / 2)):
            table.say(f"single commands, {name}")
            found = asyncio.run(whole.latency(system, REQUESTS, per_s))
            for what, seconds in (("outcome", found.outcome), ("visible", found.visible)):
                p50 = statistics.median(seconds)
                more = f"p50 against {1000 * P50_SECONDS:.0f} ms; p99 is to be under {1000 * P99_SECONDS:.0f} ms"
                table.line(f"HTTP request to {what}, {name}: p50/p95/p99", percentiles(seconds), p50 / P50_SECONDS, more)


def main() -> None:
    cli = argparse.ArgumentParser(prog="make bench", description=__doc__)
    cli.add_argument("--records", type=int, default=RECORDS, help="of each line's load (default: %(default)s)")
    cli.add_argument("--long", action="store_true", help="also five million ledger rows, and an hour's load for the memory")
    cli.add_argument("--only", choices=("engine", "pipeline", "rebuild", "large", "memory", "system"), help="only these lines")
    told = cli.parse_args()
    wanted = lambda part: told.only in {None, part}  # noqa: E731
    table = Table()
    table.head()
    if told.only != "system":
        table.say("starting Kafka and PostgreSQL")
        with patch.dict(os.environ, {"MAKEGOOD_ROLE_PASSWORD": ROLE_PASSWORD}), embedded() as servers:
            on_servers(Bench(servers, table, told.records), wanted, long=told.long)
    if wanted("system"):
        whole_system(table, told.records // 6)


def on_servers(bench: Bench, wanted: Callable[[str], bool], *, long: bool) -> None:
    """The lines that need Kafka and PostgreSQL alone."""
    bench.bare()
    if wanted("engine"):
        bench.rate("engine, one process", NOTE, load.notes)
        bench.rate("engine, one process, one shard", NOTE, load.notes, shards=1)
        bench.rate("engine, two processes", NOTE, load.notes, count=2)
        bench.rate("engine, four processes", NOTE, load.notes, count=4)
        bench.rate("intake, submissions, one process", INTAKE, load.submissions)
    if wanted("pipeline"):
        bench.pipeline()
    if wanted("rebuild"):
        bench.rebuild()
    if wanted("large"):
        bench.large(LONG_LEDGERS if long else LEDGERS)
    if wanted("memory"):
        bench.memory(LONG_HOUR_RECORDS if long else HOUR_RECORDS)


if __name__ == "__main__":
    main()
