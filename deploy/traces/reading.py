"""Reading what spans are made of: journal and ledger rows, and when they were relayed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from deploy.database import use
from shared.contract.envelope import SERVICES, shard_of
from shared.machine import stored
from shared.machine.bytes import JournalRow, LedgerRow
from shared.machine.traces import Led, Span, spans

Row = tuple[int, int]
"""A shard, and the journal entry in it."""


async def of_complaint(connection: asyncpg.Connection, generation: str, shards: int, complaint: UUID) -> list[Span]:
    """All spans of a complaint's trace, by when they began. Empty where nothing is known of it.

    `connection` is the owner's. What happened on other streams about the complaint is found by the console's projection.
    """
    found: list[Span] = []
    for service in SERVICES:
        await use(connection, service)
        rows = await connection.fetch(
            "SELECT shard, entry FROM ledger WHERE shard = $1 AND stream = $2"
            " UNION SELECT shard, entry FROM ledger JOIN console.story USING (shard, position)"
            " WHERE story.service = $3 AND story.complaint = $2",
            shard_of(complaint, shards), complaint, service,
        )  # fmt: skip
        entries = {(row["shard"], row["entry"]) for row in rows}
        found += spans(service, generation, await led_to(connection, entries))
    return sorted(found, key=lambda span: (span.started_at, not span.of_input))


async def led_to(connection: asyncpg.Connection, entries: Iterable[Row]) -> list[Led]:
    """What these inputs of the service in use led to; those that led to nothing are left out."""
    by_shard: dict[int, list[int]] = {}
    for shard, entry in entries:
        by_shard.setdefault(shard, []).append(entry)
    found = []
    for shard, wanted in sorted(by_shard.items()):
        rows = await connection.fetch("SELECT * FROM journal WHERE shard = $1 AND entry = ANY($2) ORDER BY entry", shard, sorted(wanted))
        inputs = [stored.journal_row(row) for row in rows if row["events"]]
        positions = [position for one in inputs for position in range(one.first_position, one.first_position + one.events)]
        events = await connection.fetch("SELECT * FROM ledger WHERE shard = $1 AND position = ANY($2) ORDER BY position", shard, positions)
        found += led(inputs, [stored.ledger_row(row) for row in events], await relayed(connection, shard, positions))
    return found


def led(inputs: Sequence[JournalRow], events: Iterable[LedgerRow], when: dict[int, datetime]) -> list[Led]:
    """Inputs put together with their events."""
    of_entry: dict[int, list[LedgerRow]] = {}
    for event in events:
        of_entry.setdefault(event.entry, []).append(event)
    return [Led(one, of_entry[one.entry], when) for one in inputs if one.entry in of_entry]


async def relayed(connection: asyncpg.Connection, shard: int, positions: Sequence[int]) -> dict[int, datetime]:
    """When Kafka had acknowledged each of these positions of the service in use; those that it has not are left out."""
    rows = await connection.fetch(
        "SELECT wanted, (SELECT at FROM relayed WHERE shard = $1 AND position >= wanted ORDER BY position LIMIT 1) AS at"
        " FROM unnest($2::bigint[]) AS wanted",
        shard, list(positions),
    )  # fmt: skip
    return {row["wanted"]: row["at"] for row in rows if row["at"] is not None}
