"""`makegood complaint trace` shows a complaint's trace; `makegood trace export` sends all of them to where traces are kept."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import typer

from deploy.cli import output
from deploy.cli.database import run
from deploy.cli.exits import Exit, stop
from deploy.cli.ids import complaint_of, unknown
from deploy.cli.options import Home
from deploy.cli.place import home_of, settings, stack_of
from deploy.cli.waterfall import LEGEND, draw
from deploy.database import NOT_THE_OWNER, NOTHING_THERE, Installation, connected, installation
from deploy.local.stack import Stack
from deploy.traces.export import Export, NotTaken, Place
from deploy.traces.reading import of_complaint
from shared.machine.patience import PASSING
from shared.machine.traces import Span

PLACE = "traces.json"
"""In the home: how far the traces were exported."""
AGAIN_SECONDS = 1.0
"""Before a follower connects again."""
LASTING = (*NOTHING_THERE, *NOT_THE_OWNER, asyncpg.SyntaxOrAccessError)
"""What no waiting mends."""


def register(app: typer.Typer) -> None:
    """Adds the group to the app."""
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_of_all)
    group.command("export")(export)
    app.add_typer(group, name="trace")


def _of_all() -> None:
    """Send the traces of complaints to where traces are kept.

    The trace of one complaint is shown by `makegood complaint trace ID`.
    """


def show(given: str, home: Path | None, *, as_json: bool) -> None:
    """Shows the trace of a complaint: what `makegood complaint trace` does."""
    stack = stack_of(home)
    ident = complaint_of(given, stack)
    spans = run(_spans(stack, ident))
    if not spans:
        unknown(given)
    if as_json:
        output.show_json({"trace_id": ident.hex, "spans": [as_data(span) for span in spans]})
        return
    draw(spans)
    output.say(LEGEND, style="dim")


async def _spans(stack: Stack, complaint: UUID) -> list[Span]:
    async with connected(stack.owner_dsn) as connection:
        there = await installation(connection)
        return await of_complaint(connection, there.generation, there.shards, complaint)


def as_data(span: Span) -> dict[str, Any]:
    """A span as JSON has it."""
    found = asdict(span)
    found["kind"] = "consumer" if found.pop("of_input") else "producer"
    return found


def export(
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on, for ever; stop it with Ctrl-C.")] = False,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Where traces go (OTLP over HTTP) [default: MAKEGOOD_OTLP].")
    ] = None,
    place: Annotated[
        Path | None, typer.Option("--place", metavar="FILE", help=f"Keeps how far it is [default: {PLACE} in the home].")
    ] = None,
    home: Home = None,
) -> None:
    """Send all that was not sent yet, from the ledgers, over OTLP/HTTP.

    It may be stopped at any moment and goes on from where it was. Without its place it sends everything again, with the same ids.
    With --follow it waits where nobody takes them, or PostgreSQL is away. Where MAKEGOOD_OTLP is set, `makegood up` runs it.

    Example: makegood trace export --follow --to http://127.0.0.1:4318/v1/traces
    """
    address = to or settings().otlp
    if not address:
        stop("Nobody said where traces go: --to URL, or MAKEGOOD_OTLP, as in http://127.0.0.1:4318/v1/traces.", Exit.USAGE)
    stack = stack_of(home)
    file = place or home_of(home) / PLACE
    try:
        kept = Place(file)
    except (OSError, ValueError) as error:
        stop(f"{file} can't be read ({error}). Remove it to send everything again, or name another with --place.")
    sent = run(_export(stack, kept, address, follow=follow))
    output.say(f"{sent:,} spans were sent to {address}.")


async def _export(stack: Stack, place: Place, address: str, *, follow: bool) -> int:
    total, waits = 0, False

    def tell(number: int) -> None:
        nonlocal total
        total += number

    with output.err().status(f"sending to {address}"):
        while True:
            try:
                async with connected(stack.owner_dsn) as connection:
                    there = await installation(connection)
                    if waits:
                        output.say("It goes on.")
                    waits = False
                    await _send(connection, there, place, address, follow=follow, tell=tell)
                    return total
            except PASSING as error:
                if not follow or isinstance(error, LASTING):
                    raise
                if not waits:
                    output.say(f"It can't go on just now ({str(error) or type(error).__name__}); it goes on by itself.")
                waits = True
                await asyncio.sleep(AGAIN_SECONDS)


async def _send(
    connection: asyncpg.Connection, there: Installation, place: Place, address: str, *, follow: bool, tell: Callable[[int], None]
) -> None:
    from deploy.traces.otlp import Sender  # noqa: PLC0415 - half a second, and only where traces are sent

    sender = Sender(address, there.generation)
    try:
        await Export(connection, there.generation, there.shards, place, sender, output.say).run(follow=follow, tell=tell)
    except NotTaken as error:
        stop(f"{str(error)[:1].upper()}{str(error)[1:]}. What was sent before is noted; the rest goes with the next export.")
    finally:
        sender.close()
