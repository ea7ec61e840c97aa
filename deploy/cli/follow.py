"""`makegood follow`: the ten hops of one real input, each with its code and what it was this time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NoReturn
from uuid import UUID

import asyncpg
import typer

from deploy.cli import output
from deploy.cli.database import run
from deploy.cli.exits import Exit, stop
from deploy.cli.hops import HOPS, code_of
from deploy.cli.ids import complaint_of, unknown
from deploy.cli.options import AsJson, Home
from deploy.cli.place import stack_of
from deploy.database import Installation, connected, installation, use
from deploy.local.stack import Stack
from deploy.traces.reading import led_to
from shared.contract.envelope import EventPlace, event_id, event_place, events_topic, shard_of, text_headers
from shared.contract.said import short_name
from shared.machine import stored
from shared.machine.bytes import JournalRow, unpack_headers
from shared.machine.head import Outcome
from shared.machine.stored import Damaged, policy_of
from shared.machine.traces import Led

HASH_SHOWN = 16
SLASHES = 3
"""In an event's id."""
INTAKE, COMPLAINT = "intake", "complaint"
"""Where a complaint begins: the service, and the kind of its stream there."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One input, and what the hops left behind."""

    service: str
    led: Led
    epoch: int
    policy: str
    place: int
    """How far the console has seen the shard."""
    placed_at: datetime | None
    first: JournalRow | None = None
    """Of an input that was passed on from another shard: the record as it came to that one."""


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(follow)


def follow(
    *,
    ident: Annotated[str, typer.Argument(metavar="ID", help="A complaint's id (or the beginning of it, or SOURCE:REF), or an event's.")],
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Follow one input through the ten hops, with the code of each.

    Of a complaint it is the one with which it came. An event's id, as `makegood complaint history` shows them, follows the input that
    led to that event.

    Example: makegood follow shop:4711

    Example: makegood follow g1/resolution/3/17
    """
    stack = stack_of(home)
    event = event_place(ident)
    if event is None and ident.count("/") == SLASHES:
        _no_event(ident)
    found, there = run(_found(stack, event or complaint_of(ident, stack), ident))
    facts = [dict(one) for one in _facts(found, there, stack)]
    first = found.led.events[0]
    if as_json:
        hops = [
            {"hop": hop.name, "code": code_of(hop, first.kind), "does": hop.does, "here": here}
            for hop, here in zip(HOPS, facts, strict=True)
        ]  # fmt: skip
        output.show_json({"event": _event(found, there), "complaint": str(first.correlation), "hops": hops})
        return
    for number, (hop, here) in enumerate(zip(HOPS, facts, strict=True), 1):
        output.show(f"{number:2}  {hop.name:10} {code_of(hop, first.kind)}", style="bold")
        output.show_indented(hop.does, 4, style="dim")
        width = max(map(len, here))
        for name, value in here.items():
            output.show_indented(f"{name:{width}}  {value}", 4, hang=width + 2)
    output.say(f"`makegood complaint trace {str(first.correlation)[:8]}` shows how long each took.", style="dim")


async def _found(stack: Stack, meant: EventPlace | UUID, typed: str) -> tuple[Followed, Installation]:
    async with connected(stack.owner_dsn) as connection:
        there = await installation(connection)
        service, shard, entry = await (
            _of_complaint(connection, there, meant, typed) if isinstance(meant, UUID) else _of_event(connection, there, meant)
        )
        [led] = await led_to(connection, [(shard, entry)])
        first = await _passed_on_from(connection, service, led.input)
        epoch = await connection.fetchval("SELECT epoch FROM head WHERE shard = $1", shard)
        body = await connection.fetchval("SELECT body FROM policy_versions WHERE digest = $1", led.input.policy)
        place = await connection.fetchrow("SELECT position, at FROM console.places WHERE service = $1 AND shard = $2", service, shard)
        named = _named(led.input.policy, body)
        position, at = (place["position"], place["at"]) if place else (0, None)
        return Followed(service, led, epoch, named, position, at, first), there


def _named(digest: str, body: bytes | None) -> str:
    """A policy by its name."""
    if body is None:
        return "the first one"
    try:
        policy = policy_of(digest, body)
    except Damaged:
        return f"{digest}, which was changed since"
    return f"{policy.name}, version {policy.version}"


Place = tuple[str, int, int]
"""The service, shard and journal entry of an input. Whoever found it left the service in use."""


async def _of_event(connection: asyncpg.Connection, there: Installation, meant: EventPlace) -> Place:
    """The input that led to an event. Ends the command where there is no such event."""
    generation, service, shard, position = meant
    entry = None
    if generation == there.generation:
        await use(connection, service)
        entry = await connection.fetchval("SELECT entry FROM ledger WHERE shard = $1 AND position = $2", shard, position)
    if entry is None:
        _no_event(event_id(*meant))
    return service, shard, entry


def _no_event(ident: str) -> NoReturn:
    stop(f"There is no event {ident}: `makegood complaint history ID` shows those of a complaint.", Exit.NOT_FOUND)


async def _of_complaint(connection: asyncpg.Connection, there: Installation, complaint: UUID, typed: str) -> Place:
    """The input with which a complaint came: the first one of it that intake accepted. Ends the command where there is none."""
    shard = shard_of(complaint, there.shards)
    await use(connection, INTAKE)
    entry = await connection.fetchval(
        "SELECT journal.entry FROM ledger JOIN journal USING (shard, entry) WHERE shard = $1 AND ledger.stream = $2"
        " AND ledger.kind = $3 AND outcome = $4 ORDER BY version LIMIT 1",
        shard, complaint, COMPLAINT, Outcome.ACCEPTED,
    )  # fmt: skip
    if entry is None:
        unknown(typed)
    return INTAKE, shard, entry


async def _passed_on_from(connection: asyncpg.Connection, service: str, row: JournalRow) -> JournalRow | None:
    """The record that another shard passed on to this one as a row of its ledger; none where this one is nothing such.

    The record's own headers name the row; the service is in use.
    """
    headers = text_headers(unpack_headers(row.headers))
    place = event_place(headers.get("ce_id", "")) if "ledger-shard" in headers else None
    if place is None or place.service != service:
        return None
    found = await connection.fetchrow(
        "SELECT journal.* FROM journal JOIN ledger USING (shard, entry) WHERE shard = $1 AND position = $2 AND outcome = $3",
        place.shard, place.position, Outcome.PASSED_ON,
    )  # fmt: skip
    return stored.journal_row(found) if found else None


def _event(found: Followed, there: Installation) -> str:
    first = found.led.events[0]
    return event_id(there.generation, found.service, first.shard, first.position)


# ---- what each hop was -----------------------------------------------------------------------------------------------------


def _facts(found: Followed, there: Installation, stack: Stack) -> Iterator[Mapping[str, Any]]:
    """In the order of the hops."""
    row, events = found.led.input, found.led.events
    first, last = events[0], events[-1]
    yield _record(found)
    yield {"type": row.type or "–", "message id": row.message_id or "–", "stream": f"{first.kind} {first.stream}", "from": first.actor}
    yield {"shard": f"{row.shard} of {there.shards}, of {found.service}", "now": row.now_text, "epoch": f"{found.epoch} by now"}
    yield {"outcome": row.outcome, **({"why": row.reason} if row.reason else {}), "policy": found.policy, "rules": row.rules}
    yield {"version": f"{first.version - 1} → {last.version}", **({"state": "as it was"} if row.outcome != Outcome.ACCEPTED else {})}
    yield {
        "entry": f"{row.entry}, hash {row.hash.hex()[:HASH_SHOWN]}",
        **{f"position {event.position}": f"{short_name(event.type)}, hash {event.hash.hex()[:HASH_SHOWN]}" for event in events},
    }
    yield {"now": f"{row.now_text}: entry {row.entry} and position{_span(events)}, together"}
    yield _relayed(found)
    place = f"position {found.place}, {output.moment(found.placed_at, precise=True)}" if found.placed_at else "nothing yet"
    yield {"console has": place, "this one": "taken in" if found.place >= last.position else "on its way"}
    yield {"url": f"{stack.console_url}/complaints/{first.correlation}"}


def _record(found: Followed) -> Mapping[str, Any]:
    row = found.first or found.led.input
    if row.again:
        return {"topic": f"none: it was told in entry {row.refers}, and is decided once more", "when": row.now_text}
    if not row.topic:
        return {"topic": "none: the machine told itself", "when": row.now_text}
    sent = output.moment(row.sent_at, precise=True)
    size = f"{len(row.body or b''):,} bytes, {len(row.headers):,} of headers"
    about = {"topic": row.topic, "partition": row.partition, "offset": row.offset, "sent": sent, "size": size}
    if found.first is None:
        return about
    to = found.led.input
    return {**about, "passed on": f"by shard {row.shard}, entry {row.entry}, as {to.topic}/{to.partition}/{to.offset}"}


def _relayed(found: Followed) -> Mapping[str, Any]:
    last = found.led.events[-1]
    at = found.led.relayed.get(last.position)
    return {
        "topic": events_topic(found.service),
        "partition": last.shard,
        "acknowledged": output.moment(at, precise=True) if at else "not yet",
    }


def _span(events: Sequence[Any]) -> str:
    first, last = events[0].position, events[-1].position
    return f" {first}" if first == last else f"s {first} to {last}"
