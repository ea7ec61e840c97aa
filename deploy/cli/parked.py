"""`makegood parked`: inputs that could not be decided, and those that wait behind one, as they were received; and settling them."""

import base64
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from deploy.cli import output, settling
from deploy.cli.database import in_range, run
from deploy.cli.exits import Exit, stop
from deploy.cli.options import OPERATOR, Actor, AsJson, Home, Reason, Service, ShardNumber
from deploy.cli.place import minds, stack_of
from deploy.cli.settling import Seen
from deploy.database import connected, installation, use
from shared.machine.bytes import unpack_headers

PLACE = re.compile(r"(\w+)/(\d{1,9})/(\d{1,18})")
LISTED_MAX = 1_000
"""Most inputs that are listed."""
BODY_INDENT = 2


def register(app: typer.Typer) -> None:
    """Adds the group to the app."""
    group = typer.Typer(help="See the inputs that could not be decided, and settle them.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("discard")(discard)
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
    failed on one, later inputs of the same complaint wait behind it. What was settled is listed no more.

    Example: makegood parked list --service intake
    """
    names = minds(service)
    stack = stack_of(home)

    async def held() -> list[Seen]:
        found: list[Seen] = []
        async with connected(stack.owner_dsn) as connection:
            shards = in_range(shard, (await installation(connection)).shards)
            for name in names:
                await use(connection, name)
                found += await settling.held(connection, name, shards, limit + 1)
        return sorted(found, key=lambda one: one.row.now, reverse=True)

    found = run(held())
    listed = found[:limit]
    if as_json:
        output.show_json({"parked": [_as_data(one) for one in listed], "more": len(found) > limit})
    elif listed:
        _list(listed)
        output.say(f"`makegood parked show {listed[0].place}` shows one whole; `retry` and `discard` settle it.", style="dim")
    else:
        output.say("Nothing is parked.")
    if len(found) > limit:
        output.say(f"There are more than these {limit}: --limit N shows up to {LISTED_MAX:,}.", style="dim")


def _list(listed: Sequence[Seen]) -> None:
    """On a terminal the reason stands on a line of its own."""
    rows = [[output.moment(one.row.now), one.place, one.state, one.where, one.why] for one in listed]
    if not output.on_terminal():
        output.table(["when", "input", "outcome", "from", "why"], rows)
        return
    for when, place, outcome, where, why in rows:
        output.show(f"{when}  {place}  {outcome}  {where}", style="bold")
        output.show_indented(why, 22)


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

    one = run(settling.look(stack.owner_dsn, name, number, at))
    if one is None:
        stop(f"The journal of {name} has no entry {at} in shard {number}. `makegood parked list` shows what is parked.", Exit.NOT_FOUND)
    if not one.was_held:
        stop(f"{one.place} is not parked: it was {one.row.outcome.replace('_', ' ')}.", Exit.NOT_FOUND)
    if raw:
        sys.stdout.buffer.write(one.row.body or b"")
        sys.stdout.buffer.flush()
    elif as_json:
        output.show_json(_as_data(one) | _content(one))
    else:
        _show(one)


DryRun = Annotated[bool, typer.Option("--dry-run", help="Look only; send nothing.")]
Wait = Annotated[int, typer.Option("--wait", min=0, max=settling.WAIT_MAX_SECONDS, metavar="SECONDS", help="Wait so long for the outcome.")]
Place = Annotated[str, typer.Argument(metavar="SERVICE/SHARD/ENTRY", help="As `makegood parked list` shows it.")]


def retry(
    *,
    place: Place,
    reason: Reason,
    body: Annotated[
        str | None, typer.Option("--body", metavar="JSON", help="What it should have said, whole; @FILE reads it, @- from standard input.")
    ] = None,
    actor: Actor = OPERATOR,
    dry_run: DryRun = False,
    wait: Wait = 10,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Have a parked input decided again, and then all that waits behind it, in order.

    As it was received, once its fault is mended; or with another body, where the body was the fault. Both stay in the journal. Key and
    headers stay as they are: where they are at fault, discard it and have it sent anew. Whoever sent it gets the answer under its own id.

    Example: makegood parked retry intake/3/17 --reason "fixed in 1.2"

    Example: makegood parked retry intake/3/17 --reason "a comma was missing" --body @corrected.json
    """
    corrected = None if body is None else settling.body_of(body)
    settling.settle(
        settling.Wish(*_place(place, None, None, None), reason, actor, corrected=corrected), stack_of(home), wait=wait, dry_run=dry_run,
        as_json=as_json,
    )  # fmt: skip


def discard(
    *,
    place: Place,
    reason: Reason,
    actor: Actor = OPERATOR,
    dry_run: DryRun = False,
    wait: Wait = 10,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Give a parked input up, and have all that waits behind it decided, in order.

    Whoever sent it is told that it was given up, and why. It stays in the journal, byte for byte, but is not decided any more.

    Example: makegood parked discard intake/3/17 --reason "sent again as shop/4712"
    """
    settling.settle(
        settling.Wish(*_place(place, None, None, None), reason, actor, given_up=True), stack_of(home), wait=wait, dry_run=dry_run,
        as_json=as_json,
    )  # fmt: skip


def _place(place: str | None, service: str | None, shard: int | None, entry: int | None) -> tuple[str, int, int]:
    """Which input is meant. Ends the command where that is not said, or can't be."""
    if place is None and service is not None and shard is not None and entry is not None:
        place = f"{service}/{shard}/{entry}"
    found = PLACE.fullmatch(place or "")
    if found is None:
        stop("Say which: SERVICE/SHARD/ENTRY, as in intake/3/17, or --service, --shard and --entry.", Exit.USAGE)
    minds(found[1])
    return found[1], int(found[2]), int(found[3])


def _show(one: Seen) -> None:
    row = one.row
    output.fields({
        "input": one.place, "outcome": one.state, "why": one.why, "when": output.moment(row.now, precise=True),
        "from": one.where, "message id": row.message_id, "type": row.type, "stream": f"{row.kind} {row.stream}" if row.stream else "",
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


def _text(found: bytes) -> str:
    """Bytes as text; what is none as escapes."""
    return output.visible(found.decode("utf-8", "backslashreplace"))


def _as_data(one: Seen) -> dict[str, Any]:
    row = one.row
    return {
        "input": one.place, "service": one.service, "shard": row.shard, "entry": row.entry, "outcome": row.outcome, "state": one.state,
        "reason": row.reason, "why": one.why, "behind": one.behind or None, "at": row.now, "topic": row.topic, "partition": row.partition,
        "offset": row.offset, "message_id": row.message_id, "type": row.type, "kind": row.kind, "stream": row.stream,
        "again": [{"entry": again.entry, "at": again.now, "outcome": again.outcome, "reason": again.reason} for again in one.again],
    }  # fmt: skip


def _content(one: Seen) -> dict[str, Any]:
    """Key, headers and body, in base64: they need not be text."""
    row = one.row
    return {
        "key_base64": _base64(row.key),
        "headers": [{"name": header, "value_base64": _base64(value)} for header, value in unpack_headers(row.headers)],
        "body_base64": _base64(row.body),
        "corrected_base64": [_base64(again.body) for again in one.again if again.body is not None],
    }


def _base64(found: bytes | None) -> str | None:
    return None if found is None else base64.b64encode(found).decode()
