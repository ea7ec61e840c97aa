"""`makegood verify`: proves that every ledger is whole and unchanged, and that all agree about it."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NoReturn

import typer

from deploy.agreement import disagreements
from deploy.cli import output
from deploy.cli.database import in_range, run
from deploy.cli.exits import Exit, stop
from deploy.cli.minds import minds_of
from deploy.cli.options import AsJson, Home, Service, ShardNumber
from deploy.cli.place import stack_of
from deploy.cli.proving import Found, side_by_side
from deploy.database import connected, installation
from shared.machine.fault import Fault
from shared.machine.proof import Proven, verify_shard

HASH_SHOWN = 16
"""Characters; whoever needs all of them asks for --json."""


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(verify)


def verify(*, service: Service = None, shard: ShardNumber = None, as_json: AsJson = False, home: Home = None) -> None:
    """Prove that every ledger is whole and unchanged.

    Reads every journal and ledger from the first row on: nothing is missing, each hash follows from the one before, each event from its
    input, the stored states from the events. Then that the services, the console and Kafka have seen what stands there. It may run
    while the system does. Exits 5 where something is not as it must be, and says where.

    Example: makegood verify --service intake --shard 3
    """
    minds = minds_of(service)
    stack = stack_of(home)
    began = time.monotonic()

    async def prove() -> tuple[Found[Proven], int, list[Fault]]:
        async with connected(stack.owner_dsn) as connection:
            shards = in_range(shard, (await installation(connection)).shards)
            found = await side_by_side(stack.owner_dsn, minds, shards, verify_shard, "verifying")
            return found, *await disagreements(connection, [mind.service for mind in minds], shards)

    found, claims, differ = run(prove())
    faults = [*found.faults, *differ]
    if as_json:
        shown: dict[str, Any] = {"ok": not faults, "hashes": {mind.service: _hash(found.proven, mind.service) for mind in minds}}
        shown |= {"shards": [asdict(one) for one in found.proven], "claims": claims, "faults": [asdict(one) for one in faults]}
        output.show_json(shown)
    else:
        _show(found.proven, one_by_one=shard is not None or service is not None)
    if faults:
        failed(faults, "verified")
    entries, events = sum(one.entries for one in found.proven), sum(one.events for one in found.proven)
    output.say(
        f"Verified: {entries:,} inputs and {events:,} events in {time.monotonic() - began:.1f} s. The services, the console and Kafka agree"
        f" about them ({claims:,} comparisons).",
        style="green",
    )


def _show(proven: Sequence[Proven], *, one_by_one: bool) -> None:
    """A service a line; a shard a line, with its last hash, where one was asked for or nobody looks on."""
    if one_by_one or not output.on_terminal():
        rows = [[one.service, one.shard, one.entries, one.events, one.streams, one.hash] for one in proven]
        output.table(["service", "shard", "entries", "events", "streams", "hash"], rows, right=(1, 2, 3, 4))
        return
    sums: dict[str, Counter[str]] = {}
    for one in proven:
        sums.setdefault(one.service, Counter()).update(shards=1, entries=one.entries, events=one.events, streams=one.streams)
    headings = ["shards", "entries", "events", "streams"]
    rows = [[name, *(f"{of[one]:,}" for one in headings), _hash(proven, name)[:HASH_SHOWN]] for name, of in sums.items()]
    output.table(["service", *headings, "hash"], rows, right=(1, 2, 3, 4))


def _hash(proven: Sequence[Proven], service: str) -> str:
    """One hash for a service: of its shards' last ones, in order. Two installations, or two moments, are compared by it at a glance."""
    return hashlib.sha256(b"".join(bytes.fromhex(one.hash) for one in proven if one.service == service)).hexdigest()


def failed(faults: Sequence[Fault], what: str) -> NoReturn:
    """Ends the command with what was found."""
    for fault in faults:
        output.say(f"{fault}.", style="bold red")
    many = "one thing is" if len(faults) == 1 else f"{len(faults)} things are"
    stop(
        f"Not {what}: {many} not as it must be. Change nothing, keep a copy of the database, and compare with a backup or with the events "
        "in Kafka, which are kept for ever.",
        Exit.PROOF_FAILED,
    )
