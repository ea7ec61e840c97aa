"""`makegood complaint`: which complaints there are, and what happened to one."""

import enum
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from deploy.cli import output
from deploy.cli.client import Client
from deploy.cli.ids import SHOWN, complaint_of
from deploy.cli.options import AsJson, ComplaintId, Home
from deploy.cli.place import stack_of
from deploy.cli.story import tell

PAGE = 500
"""Rows of a page, where all are asked for."""


class Stage(enum.StrEnum):
    """Where a complaint is."""

    OWN = "own"
    FIX = "fix"
    DELIVER = "deliver"
    RETRAIN = "retrain"
    SETTLED = "settled"


class Severity(enum.StrEnum):
    """How much it matters."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def register(app: typer.Typer) -> None:
    """Adds the group to the app."""
    group = typer.Typer(help="See complaints: the list, one of them, its history, its trace.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("history")(history)
    group.command("trace")(trace)
    app.add_typer(group, name="complaint")


def list_(
    *,
    stage: Annotated[list[Stage] | None, typer.Option(help="In this stage; repeat it for more than one.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="WHO", help="Owned by, as in person:anna; - for nobody.")] = None,
    product: Annotated[str | None, typer.Option(metavar="NAME", help="About this product.")] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="From this upstream.")] = None,
    ref: Annotated[str | None, typer.Option(metavar="REF", help="With this number of its upstream's.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="Classified so.")] = None,
    held: Annotated[bool | None, typer.Option("--held/--not-held", help="Whether a misunderstanding is raised.")] = None,
    refused: Annotated[bool | None, typer.Option("--refused/--not-refused", help="Whether anything was ever refused.")] = None,
    conflicting: Annotated[
        bool | None, typer.Option("--conflicting/--not-conflicting", help="Whether its upstream told us two things under one reference.")
    ] = None,
    parked: Annotated[bool | None, typer.Option("--parked/--not-parked", help="Whether an input of it must be seen to.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="How many at most.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """List complaints, the last received first.

    Example: makegood complaint list --stage own --owner -

    Example: makegood complaint list --refused --json
    """
    asked = {
        "stage": [str(one) for one in stage or ()], "owner": owner, "product": product, "source": source, "ref": ref,
        "severity": str(severity) if severity else None, "held": held, "refused": refused, "conflicting": conflicting, "parked": parked,
    }  # fmt: skip
    with Client.of(home) as console:
        if all_:
            found, more = list(_pages(console, asked)), None
        else:
            page = console.get("/api/complaints", {**asked, "limit": limit})
            found, more = page["complaints"], page["next"]
    if as_json:
        output.show_json({"complaints": found, "next": more})
        return
    if found:
        _table(found)
    else:
        output.say("There is none." if any(asked.values()) else "There are no complaints yet: `makegood submit` brings some in.")
    if more:
        output.say(f"There are more than these {limit}: --limit N shows up to {PAGE}, --all shows all.", style="dim")


def _pages(console: Client, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    after = None
    while True:
        page = console.get("/api/complaints", {**asked, "limit": PAGE, "after": after})
        yield from page["complaints"]
        after = page["next"]
        if after is None:
            return


def _table(found: list[Mapping[str, Any]]) -> None:
    """Somebody at a terminal sees the beginnings of ids, which every command takes; a program gets them whole."""
    short = output.on_terminal()
    narrow = short and output.out().width < output.NARROW
    rows = [
        [
            one["id"][:SHOWN] if short else one["id"], one["stage"], one["owner"] or "–", _marks(one),
            *([] if narrow else [f"{one['source']}:{one['ref']}", output.moment(one["received_at"])]), one["summary"] or "–",
        ]
        for one in found
    ]  # fmt: skip
    output.table(["id", "stage", "owner", "note", *([] if narrow else ["source:ref", "received"]), "about"], rows)


def _marks(one: Mapping[str, Any]) -> str:
    """What needs an eye, in words."""
    told = {"held": one["held"], "parked": one["parked"], "broken": one["broken"], "refused": one["refusals"]}
    return ",".join(word for word, is_so in told.items() if is_so) or "–"


def show(*, complaint_id: ComplaintId, as_json: AsJson = False, home: Home = None) -> None:
    """Show one complaint: where it is and what is known of it.

    Example: makegood complaint show shop:4711
    """
    stack = stack_of(home)
    ident = complaint_of(complaint_id, stack)
    with Client(stack) as console:
        found = console.get(f"/api/complaints/{ident}", about=complaint_id)
    if as_json:
        output.show_json(found)
        return
    moments = {name for name in found if name.endswith(("_at", "_until"))}
    promises = "\n".join(
        f"{one['state']}, due {output.moment(one['due_at'])}: {one['what']} ({one['promise_id']})" for one in found.pop("promises")
    )
    output.fields(
        {name.replace("_", " "): output.moment(value) if name in moments and value else _said(value) for name, value in found.items()}
        | {"promises": promises, "page": f"{stack.console_url}/complaints/{ident}"}
    )
    output.say(f"`makegood complaint history {str(ident)[:SHOWN]}` tells what happened.", style="dim")


def _said(value: object) -> object:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def history(
    *,
    complaint_id: ComplaintId,
    full: Annotated[bool, typer.Option("--full", help="With all fields of each event.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Tell everything that happened to a complaint: every event and every refusal, who, when and why.

    Example: makegood complaint history 7498c925
    """
    stack = stack_of(home)
    ident = complaint_of(complaint_id, stack)
    with Client(stack) as console:
        found = history_of(console, str(ident), about=complaint_id)
    if as_json:
        output.show_json(found)
    else:
        tell(found["events"], full=full)


def trace(*, complaint_id: ComplaintId, as_json: AsJson = False, home: Home = None) -> None:
    """Draw the trace of a complaint: what was asked, what came of it in which service, and how long each took.

    It is made from the ledgers, so it is whole, and can be made again at any time. --json gives the spans, as they are exported.

    Example: makegood complaint trace 7498c925
    """
    from deploy.cli.trace import show as show_trace  # noqa: PLC0415 - it needs all that can be said, which the others do not

    show_trace(complaint_id, home, as_json=as_json)


def history_of(console: Client, ident: str, *, about: str = "") -> dict[str, Any]:
    """The whole history, as the console gives it, its pages put together. `about`: the complaint, as it was typed."""
    whole: dict[str, Any] = {"id": ident, "events": [], "next": None}
    after = None
    while True:
        page = console.get(f"/api/complaints/{ident}/history", {"after": after}, about=about)
        whole["events"] += page["events"]
        after = page["next"]
        if after is None:
            return whole
