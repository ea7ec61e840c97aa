"""Whether all agree: what each service and the console have seen of another's ledger is what stands there, and so is what Kafka has.

A consumer that carries the same hash at a position has seen every event up to it, in order, unchanged.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from deploy.database import use
from shared.contract.envelope import SERVICES
from shared.machine.fault import Fault
from shared.machine.stored import Damaged, seen_of

CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class _Claim:
    """Somebody says that they have seen a ledger up to a position, with this hash there; an empty hash claims the position only."""

    by: str
    position: int
    hash: bytes


Claims = Mapping[tuple[str, int], list[_Claim]]
"""By the service and shard of the ledger."""


async def disagreements(
    connection: asyncpg.Connection, services: Collection[str] = SERVICES, shards: Collection[int] = ()
) -> tuple[int, list[Fault]]:
    """Compares what is claimed about the ledgers of these services and shards with the ledgers.

    Claims are read first: a ledger only grows, so that what is true of one stays true.

    Args:
        connection: The owner's.
        services: Whose ledgers.
        shards: Which shards of them; all where there is none.

    Returns:
        How many claims there are, and the faults.
    """
    claims: dict[tuple[str, int], list[_Claim]] = {}
    for by in SERVICES:
        await use(connection, by)
        for row in await connection.fetch("SELECT shard, seen FROM head ORDER BY shard"):
            with suppress(Damaged):  # whose head it is, that proof says so
                for name, seen in seen_of(row).items():
                    source, _, shard = name.rpartition("/")
                    claim = _Claim(f"{by}, shard {row['shard']}", seen.position, seen.hash)
                    claims.setdefault((source.removesuffix(".commands"), int(shard)), []).append(claim)
        for row in await connection.fetch(
            "SELECT shard, (SELECT max(position) FROM relayed WHERE shard = head.shard) AS position FROM head"
        ):
            claims.setdefault((by, row["shard"]), []).append(_Claim("its relay", row["position"] or 0, b""))
    for row in await connection.fetch("SELECT service, shard, position, hash FROM console.places ORDER BY service, shard"):
        claims.setdefault((row["service"], row["shard"]), []).append(_Claim(CONSOLE, row["position"], row["hash"]))
    asked = {place: made for place, made in claims.items() if place[0] in services and (not shards or place[1] in shards)}
    faults = [fault for place, made in sorted(asked.items()) for fault in await _compared(connection, *place, made)]
    return sum(map(len, asked.values())), faults


async def _compared(connection: asyncpg.Connection, service: str, shard: int, claims: Iterable[_Claim]) -> list[Fault]:
    positions = [claim.position for claim in claims if claim.position]
    await use(connection, service)
    rows = await connection.fetch("SELECT position, hash FROM ledger WHERE shard = $1 AND position = ANY($2)", shard, positions)
    there = {row["position"]: row["hash"] for row in rows}
    found = []
    for claim in claims:
        if claim.position and claim.position not in there:
            found.append(Fault(service, shard, f"{claim.by} has got there, but the ledger has no such position", claim.position))
        elif claim.position and claim.hash and claim.hash != there[claim.position]:
            found.append(Fault(service, shard, f"{claim.by} has seen another event there: the hashes differ", claim.position))
    return found
