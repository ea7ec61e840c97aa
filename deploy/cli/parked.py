"""`makegood parked`: inputs that could not be decided, and those that wait behind one, as they were received."""

import base64
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import asyncpg
import typer

from deploy.cli import output
from deploy.cli.database import in_range, run
from deploy.cli.exits import Exit, stop
from deploy.cli.options import AsJson, Home, Service, ShardNumber
from deploy.cli.place import minds, stack_of
from deploy.database import connected, installation, use
from shared.machine import stored
from shared.machine.bytes import JournalRow, unpack_headers
from shared.machine.head import Outcome

PLACE = re.compile(r"(\w+)/(\d{1,9})/(\d{1,18})")
LISTED_MAX = 1_000
HELD = [Outcome.PARKED, Outcome.WAITING]
BODY_INDENT = 2


def register(app: typer.Typer) -> None:
    """Adds the group to the app."""
    group = typer.Typer(help="See the inputs that could not be decided, whole, with the reason.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("show")(show)
    app.add_typer(group, name="parked")


def list_(
    *,
    service: Service = None,
    shard: ShardNumber = None,
    limit: Annotated[int, typer.Option(min=1, max=LISTED_MAX, help="How many at most.")] = 100,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """List the inputs that are parked, and those that wait behind one, the newest first.

    Nothing is lost: each is kept as it was received, byte for byte. One that could not be read stands alone; where a service itself
    failed on one, later inputs of the same complaint wait behind it.

    Example: makegood parked list --service intake
    """
    names = minds(service)
    stack = stack_of(home)

    async def held() -> list[tuple[str, JournalRow]]:
        async with connected(stack.owner_dsn) as connection:
            shards = in_range(shard, (await installation(connection)).shards)
            found = [(name, row) for name in names for row in await _held(connection, name, shards, limit + 1)]
            return sorted(found, key=lambda one: one[1].now, reverse=True)

    found = run(held())
    listed = found[:limit]
    if as_json:
        output.show_json({"parked": [_as_data(name, row) for name, row in listed], "more": len(found) > limit})
    elif listed:
        _list(listed)
        output.say(f"`makegood parked show {listed[0][0]}/{listed[0][1].shard}/{listed[0][1].entry}` shows one whole.", style="dim")
    else:
        output.say("Nothing is parked.")
    if len(found) > limit:
        output.say(f"There are more than these {limit}: --limit N shows up to {LISTED_MAX:,}.", style="dim")


def _list(listed: Sequence[tuple[str, JournalRow]]) -> None:
    """On a terminal the reason stands on a line of its own."""
    rows = [[output.moment(row.now), f"{name}/{row.shard}/{row.entry}", row.outcome, _where(row), _why(row)] for name, row in listed]
    if not output.on_terminal():
        output.table(["when", "input", "outcome", "from", "why"], rows)
        return
    for when, place, outcome, where, why in rows:
        output.show(f"{when}  {place}  {outcome}  {where}", style="bold")
        output.show_indented(why, 22)


async def _held(connection: asyncpg.Connection, service: str, shards: Sequence[int], limit: int) -> list[JournalRow]:
    await use(connection, service)
    rows = await connection.fetch(
        "SELECT * FROM journal WHERE outcome IN ('parked', 'waiting') AND shard = ANY($1) ORDER BY now DESC LIMIT $2", list(shards), limit
    )
    return [stored.journal_row(row) for row in rows]


def show(
    *,
    place: Annotated[str | None, typer.Argument(metavar="SERVICE/SHARD/ENTRY", help="As `makegood parked list` shows it.")] = None,
    service: Service = None,
    shard: ShardNumber = None,
    entry: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --service and --shard, instead of SERVICE/SHARD/ENTRY.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The body's exact bytes on standard output, and nothing else.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Show one parked input whole: where it came from, why it is parked, its headers and its body.

    What is no text is shown as escapes; --raw gives the very bytes, --json has them in base64.

    Example: makegood parked show intake/3/17 --raw > body.bin
    """
    name, number, at = _place(place, service, shard, entry)
    stack = stack_of(home)

    async def found() -> JournalRow | None:
        async with connected(stack.owner_dsn, name) as connection:
            row = await connection.fetchrow("SELECT * FROM journal WHERE shard = $1 AND entry = $2", number, at)
            return stored.journal_row(row) if row else None

    row = run(found())
    if row is None:
        stop(f"The journal of {name} has no entry {at} in shard {number}. `makegood parked list` shows what is parked.", Exit.NOT_FOUND)
    if row.outcome not in HELD:
        stop(f"{name}/{number}/{at} is not parked: it was {row.outcome.replace('_', ' ')}.", Exit.NOT_FOUND)
    if raw:
        sys.stdout.buffer.write(row.body or b"")
        sys.stdout.buffer.flush()
    elif as_json:
        output.show_json(_as_data(name, row) | _content(row))
    else:
        _show(name, row)


def _place(place: str | None, service: str | None, shard: int | None, entry: int | None) -> tuple[str, int, int]:
    """Which input is meant. Ends the command where that is not said, or can't be."""
    if place is None and service is not None and shard is not None and entry is not None:
        place = f"{service}/{shard}/{entry}"
    found = PLACE.fullmatch(place or "")
    if found is None:
        stop("Say which: SERVICE/SHARD/ENTRY, as in intake/3/17, or --service, --shard and --entry.", Exit.USAGE)
    minds(found[1])
    return found[1], int(found[2]), int(found[3])


def _show(name: str, row: JournalRow) -> None:
    output.fields({
        "input": f"{name}/{row.shard}/{row.entry}", "outcome": row.outcome, "why": _why(row), "when": output.moment(row.now, precise=True),
        "from": _where(row), "message id": row.message_id, "type": row.type, "stream": f"{row.kind} {row.stream}" if row.stream else "",
        "key": _text(row.key) if row.key is not None else "none",
    })  # fmt: skip
    output.show()
    output.show("headers", style="bold")
    for header, value in unpack_headers(row.headers):
        output.show(f"  {header}: {'null' if value is None else _text(value)}")
    output.show()
    output.show(f"body ({len(row.body):,} bytes)" if row.body is not None else "body: null", style="bold")
    for line in map(_text, (row.body or b"").split(b"\n")):
        if output.on_terminal() and line:
            output.show_indented(line, BODY_INDENT)
        else:  # whole, so that a program gets a line as it is
            output.show(f"{'':{BODY_INDENT}}{line}")


def _where(row: JournalRow) -> str:
    return f"{row.topic}/{row.partition}/{row.offset}" if row.topic else "the machine itself"


def _why(row: JournalRow) -> str:
    return row.reason or (f"waits behind entry {row.refers}" if row.outcome == Outcome.WAITING else "")


def _text(found: bytes) -> str:
    """Bytes as text; what is none as escapes."""
    return output.visible(found.decode("utf-8", "backslashreplace"))


def _as_data(name: str, row: JournalRow) -> dict[str, Any]:
    return {
        "input": f"{name}/{row.shard}/{row.entry}", "service": name, "shard": row.shard, "entry": row.entry, "outcome": row.outcome,
        "reason": row.reason, "behind": row.refers or None, "at": row.now, "topic": row.topic, "partition": row.partition,
        "offset": row.offset, "message_id": row.message_id, "type": row.type, "kind": row.kind, "stream": row.stream,
    }  # fmt: skip


def _content(row: JournalRow) -> dict[str, Any]:
    """Key, headers and body, in base64: they need not be text."""
    return {
        "key_base64": _base64(row.key),
        "headers": [{"name": header, "value_base64": _base64(value)} for header, value in unpack_headers(row.headers)],
        "body_base64": _base64(row.body),
    }


def _base64(found: bytes | None) -> str | None:
    return None if found is None else base64.b64encode(found).decode()
