"""`makegood replay --check`: the journals, decided again, lead to the same ledgers."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import asyncpg
import typer

from deploy.cli import output
from deploy.cli.database import in_range, run
from deploy.cli.exits import Exit, stop
from deploy.cli.minds import minds_of
from deploy.cli.options import AsJson, Home, Service, ShardNumber
from deploy.cli.place import settings, stack_of
from deploy.cli.proving import Found, side_by_side
from deploy.cli.verify import failed
from deploy.database import connected, installation
from shared.machine.mind import Mind
from shared.machine.replay import Replayed, check_shard
from shared.machine.told import Reader


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(replay)


def replay(
    *,
    check: Annotated[bool, typer.Option("--check", help="Compare with the ledgers, and change nothing.")] = False,
    service: Service = None,
    shard: ShardNumber = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Decide the journals again, and compare with the ledgers.

    Every input since the first is decided once more, by the same rules, under the policy and at the time that its journal row names;
    each event that it leads to must be the one that stands there, byte for byte. Nothing is written or sent, and it may run while the
    system does. Exits 5 at a difference, and says where.

    Example: makegood replay --check --service resolution
    """
    if not check:
        stop("Say what the replay is for: `makegood replay --check` compares it with the ledgers. There is nothing else yet.", Exit.USAGE)
    minds = minds_of(service)
    stack, submissions = stack_of(home), settings().submission_topics
    began = time.monotonic()

    async def again() -> Found[Replayed]:
        async with connected(stack.owner_dsn) as connection:
            there = await installation(connection)
        readers = {mind.service: Reader(mind, there.shards, submissions, there.generation) for mind in minds}

        async def one(connection: asyncpg.Connection, mind: Mind, number: int) -> Replayed:
            return await check_shard(connection, mind, readers[mind.service], number)

        return await side_by_side(stack.owner_dsn, minds, in_range(shard, there.shards), one, "replaying")

    found = run(again())
    if as_json:
        shown = {"ok": not found.faults, "shards": [asdict(one) for one in found.proven], "faults": [asdict(one) for one in found.faults]}
        output.show_json(shown)
    else:
        _show(found.proven)
    if found.faults:
        failed(found.faults, "replayed")
    entries = sum(one.entries for one in found.proven)
    output.say(
        f"Replayed: {entries:,} inputs in {time.monotonic() - began:.1f} s, and every event is the one that stands there.", style="green"
    )


def _show(replayed: Sequence[Replayed]) -> None:
    sums: dict[str, Counter[str]] = {}
    for one in replayed:
        sums.setdefault(one.service, Counter()).update(shards=1, inputs=one.entries, events=one.events, parked=one.taken_from_journal)
    headings = ["shards", "inputs", "events", "parked"]
    output.table(["service", *headings], [[name, *(f"{of[one]:,}" for one in headings)] for name, of in sums.items()], right=(1, 2, 3, 4))
