"""`make bench`: one run, one table. Every rate is held against the bare loop, run before it and after it.

Other work on the machine moves all figures alike: read the ratios, and run it again. What was found stands in docs/performance.md.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from unittest.mock import patch

from tests.benchmarks import engine, load
from tests.benchmarks.table import Table
from tests.servers import ROLE_PASSWORD, Servers, embedded

NOTE, INTAKE = "tests.benchmarks.note", "services.intake"
RECORDS = 60_000
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

    async def _run(self, module: str, loads: Loads, count: int, shards: int) -> engine.Ran:
        installation = await self.servers.fresh_installation(shards=shards)
        await load.fill(installation.kafka, shards, loads(self.records, uuid.uuid4().hex[:8]))
        return await engine.measured(installation, module, self.records, count=count)


def main() -> None:
    cli = argparse.ArgumentParser(prog="make bench", description=__doc__)
    cli.add_argument("--records", type=int, default=RECORDS, help="of each line's load")
    told = cli.parse_args()
    table = Table()
    table.say("starting Kafka and PostgreSQL")
    with patch.dict(os.environ, {"MAKEGOOD_ROLE_PASSWORD": ROLE_PASSWORD}), embedded() as servers:
        bench = Bench(servers, table, told.records)
        table.head()
        bench.rate("engine, one process", NOTE, load.notes)
        bench.rate("engine, one process, one shard", NOTE, load.notes, shards=1)
        bench.rate("engine, two processes", NOTE, load.notes, count=2)
        bench.rate("engine, four processes", NOTE, load.notes, count=4)
        bench.rate("intake, submissions, one process", INTAKE, load.submissions)


if __name__ == "__main__":
    main()
