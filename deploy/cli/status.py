"""`makegood status`: what runs, whether it is ready, and how far it is."""

import asyncio
from collections.abc import Mapping
from typing import Any

import typer

from deploy.cli import output
from deploy.cli.exits import Exit, stop
from deploy.cli.options import AsJson, Home
from deploy.cli.place import home_of, outside
from deploy.local.part import State
from deploy.status import Status, look


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(status)


def status(*, as_json: AsJson = False, home: Home = None) -> None:
    """Show what runs, whether it is ready, and how far it is.

    Exits 0 when all is well, 1 when something is not. `makegood doctor` looks deeper and says what to do.

    Example: makegood status --json
    """
    place = home_of(home)
    found = asyncio.run(look(place, from_outside=outside()))
    if as_json:
        output.show_json({**vars(found), "well": found.well})
    else:
        _show(found)
    if not found.well:
        if as_json:
            raise typer.Exit(Exit.FAILED)
        stop("\n".join(f"{sentence[:1].upper()}{sentence[1:]}" for sentence in found.wrong))


def _show(found: Status) -> None:
    if found.phase == "outside":
        output.say("Servers from outside are named; their processes are not ours to watch.", style="dim")
    ready = {one["service"]: one for one in found.services}
    if found.parts:
        rows = [
            [
                part["name"], _state(part, ready.get(part["name"])), _behind(ready.get(part["name"])), output.moment(part["since"]),
                part["pid"] or "–", part["restarts"], part["address"],
            ]
            for part in found.parts
        ]  # fmt: skip
        output.table(["part", "state", "behind", "since", "pid", "restarts", "address"], rows, right=(2, 4, 5))
    if found.counts:
        if found.parts:
            output.show()
        numbers = [found.counts["complaints"], *found.counts["by_stage"].values()]
        output.table(["complaints", *found.counts["by_stage"]], [[f"{one:,}" for one in numbers]], right=range(6))
    if found.relay:
        output.show()
        rows = [[one["service"], f"{one['position']:,}", f"{one['lag']:,}"] for one in found.relay]
        output.table(["ledger", "events", "not in Kafka yet"], rows, right=(1, 2))


def _state(part: Mapping[str, Any], service: Mapping[str, Any] | None) -> str:
    """A part's state; of a service, whether it does its work, too."""
    return "in trouble" if part["state"] == State.READY and service is not None and not service["ready"] else str(part["state"])


def _behind(service: Mapping[str, Any] | None) -> str:
    """How old the oldest record is that waits for a service."""
    behind = service["behind"] if service else None
    return f"{behind['seconds']:,.1f} s" if behind else ""
