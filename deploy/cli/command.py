"""`makegood command`: asking a service for something, and what can be asked."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from deploy.cli import output
from deploy.cli.asked import Field, NoSuchValue, about, askable, fields, named, with_values
from deploy.cli.client import CONFLICT, Client, problem_of
from deploy.cli.exits import Exit, stop
from deploy.cli.ids import complaint_of, reference
from deploy.cli.options import AsJson, Home, Service
from deploy.cli.place import minds, stack_of
from shared.contract.catalogue import service_of
from shared.contract.envelope import complaint_id
from shared.contract.intake import ReportFinding, SubmitComplaint
from shared.contract.machine import NothingChanged
from shared.contract.said import Command, short_name

if TYPE_CHECKING:
    import httpx

    from deploy.local.stack import Stack

WAIT_MAX_SECONDS = 30
"""The longest that a command waits for its outcome: the console waits no longer."""
INDENT = 4
SUBMITTED = (SubmitComplaint, ReportFinding)
"""What begins a complaint: it need not be there yet."""
PROBLEM = "problem"

Name = Annotated[str, typer.Argument(metavar="COMMAND", help="As in Deliver, or in full, resolution.Deliver.v1.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the app."""
    group = typer.Typer(help="Ask a service for something, and see what can be asked.", no_args_is_help=True)
    group.command("send")(send)
    group.command("list")(list_)
    group.command("show")(show)
    app.add_typer(group, name="command")


def send(
    *,
    about_id: Annotated[
        str, typer.Argument(metavar="ID", help="The complaint: its id or the first six or more characters of it, or SOURCE:REF.")
    ],
    name: Name,
    service: Service = None,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="The fields, as a JSON object; @FILE reads it, @- from standard input.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="One field; repeat it. proof.kind=reply sets a part, a list grows with each."),
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="TEXT", help="Asked again with the same key, nothing happens twice.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="WHO", help="Who asks, as in person:anna.")] = None,
    wait: Annotated[int, typer.Option(min=0, max=WAIT_MAX_SECONDS, metavar="SECONDS", help="Wait so long for the outcome.")] = 5,
    problem: Annotated[bool, typer.Option("--problem", help="ID is a problem's, not a complaint's.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Ask for something about a complaint: StartFix, Deliver, MakePromise. `makegood command list` shows what there is.

    A refusal says which rule was against it and what to do, and exits 4; it is recorded, too. About a complaint that there is not nothing
    is sent. What is not answered in time is not lost: the address that is printed tells later what became of it.

    Example: makegood command send shop:4711 SubmitComplaint --set narrative="The bread was wet."

    Example: makegood command send shop:4711 AssignOwner --set owner=person:anna

    Example: makegood command send 7498c925 Deliver --set what=bread --set how="by hand" --set evidence=signed --actor person:anna
    """
    candidates = _named(name, service)
    try:
        filled = with_values(_data(data), values or [], candidates)
    except NoSuchValue as wrong:
        stop(f"{wrong}. `makegood command show {short_name(candidates[0].type)}` tells what it takes.", Exit.USAGE)
    if problem is not (candidates[0].stream == PROBLEM):
        of = "a problem: add --problem, and name the problem's id" if not problem else "a complaint: leave out --problem"
        stop(f"{short_name(candidates[0].type)} is asked of {of}.", Exit.USAGE)
    stack = stack_of(home)
    headers = {"Prefer": f"wait={wait}"} | ({"Idempotency-Key": key} if key else {}) | ({"Makegood-Actor": actor} if actor else {})
    with Client(stack) as console:
        path, body = _addressed(console, about_id, _problem(about_id) if problem else complaint_of(about_id, stack), candidates, filled)
        answer = console.ask("POST", path, json=body, headers=headers, seconds=wait)
        if as_json and (answer.is_success or answer.status_code == CONFLICT):
            output.show_json(answer.json())
        if answer.is_success:
            _told(stack, answer, quiet=as_json)
        elif answer.status_code == CONFLICT:
            _refused(problem_of(answer))
        else:
            takes = f"`makegood command show {short_name(candidates[0].type)}` tells what it takes."
            console.refused(answer, takes if problem_of(answer).get("title") == "invalid command" else "", about=about_id)


def _addressed(
    console: Client, typed: str, ident: UUID, candidates: Sequence[type[Command]], data: dict[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """Where a command goes, and what is sent there. Ends the command where it concerns a complaint that there is not: nothing is sent."""
    first = candidates[0]
    whose = service_of(first.type) if len(candidates) == 1 else None
    body = {"command": short_name(first.type), "service": whose, "data": data}
    if first.stream == PROBLEM:
        return f"/api/problems/{ident}/commands", body
    if first in SUBMITTED:
        _fill_in_reference(data, typed, ident)
    else:
        console.get(f"/api/complaints/{ident}", about=typed)
    return ("/api/complaints", data) if first is SubmitComplaint else (f"/api/complaints/{ident}/commands", body)


def _fill_in_reference(data: dict[str, Any], typed: str, ident: UUID) -> None:
    """What is submitted says itself which complaint it is: what was left out follows from SOURCE:REF, and what was not must be that one."""
    if (named := reference(typed)) is not None:
        data.setdefault("source", named[0])
        data.setdefault("ref", named[1])
    source, ref = data.get("source"), data.get("ref")
    if isinstance(source, str) and isinstance(ref, str) and complaint_id(source.strip(), ref.strip()) != ident:
        stop(f"{typed} is one complaint and source={source}, ref={ref} another: name one of them, SOURCE:REF is enough.", Exit.USAGE)


def _named(name: str, service: str | None) -> list[type[Command]]:
    if service:
        minds(service)
    found = named(name, service)
    if not found:
        near = get_close_matches(name, [short_name(command.type) for command in askable()], n=3)
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        whose = f" of {service}" if service else ""
        stop(f"There is no command {name}{whose}. {meant}`makegood command list` shows what there is.", Exit.USAGE)
    return found


def _data(given: str | None) -> Mapping[str, Any]:
    if given is None:
        return {}
    try:
        text = given if not given.startswith("@") else sys.stdin.read() if given == "@-" else Path(given[1:]).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as error:
        stop(f"--data takes a JSON object, or @FILE that holds one: {error}.", Exit.USAGE)
    if not isinstance(found, dict):
        stop('--data takes a JSON object, as in {"owner": "person:anna"}.', Exit.USAGE)
    return found


def _problem(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        stop(f"{given} is no problem's id: it is a UUID, written whole.", Exit.USAGE)


def _told(stack: "Stack", answer: "httpx.Response", *, quiet: bool) -> None:
    said = answer.json()
    status, address = said["status"], f"{stack.console_url}{said['url']}"
    if not quiet:
        if status == "pending":
            output.show(f"pending  {address}")
        for one in said["events"]:
            what = "nothing changed: it is so already" if one["type"] == NothingChanged.type else short_name(one["type"])
            output.show(f"{status}  {what}  {one['id']}")
    if status == "pending":
        output.say(
            f"It was sent and is not answered yet. Asked again with --key {answer.headers.get('Idempotency-Key')}, nothing happens twice."
        )
    elif status == "waiting":
        output.say("An earlier input of this stream is parked; this one waits behind it, in order. `makegood parked list` shows that one.")
    elif status == "parked":
        why = said["events"][0]["why"] if said["events"] else ""
        stop(f"It could not be decided and is parked, whole: {why}. `makegood parked list` shows it.")


def _refused(said: Mapping[str, Any]) -> None:
    detail = str(said.get("detail", "")).rstrip(".")
    invariant = f", invariant {said['invariant']}" if said.get("invariant") else ""
    stop(f"Refused: {detail[:1].lower()}{detail[1:]}. [{said.get('rule')}{invariant}]", Exit.CONFLICT)


# ---- what can be asked -----------------------------------------------------------------------------------------------------


def list_(*, service: Service = None, as_json: AsJson = False) -> None:
    """List what can be asked, of which service, with which fields. Those in brackets may be left out.

    Example: makegood command list --service resolution
    """
    services = frozenset(minds(service))
    found = [command for command in askable() if service_of(command.type) in services]
    if as_json:
        output.show_json([_as_data(command) for command in found])
    elif output.on_terminal():
        _by_service(found)
    else:
        output.table(
            ["command", "service", "asked of a", "what it says", "fields"],
            [[short_name(one.type), service_of(one.type), one.stream, about(one), _names(one)] for one in found],
        )


def _by_service(found: list[type[Command]]) -> None:
    width = max(len(short_name(command.type)) for command in found)
    before = ""
    for command in found:
        if (of := service_of(command.type)) != before:
            output.show(of, style="bold")
            before = of
        output.show_indented(f"{short_name(command.type):{width}}  {about(command)}", 2, hang=width + 2)
        output.show_indented(_names(command), width + INDENT, style="dim")


def _names(command: type[Command]) -> str:
    """The names of its fields, those that may be left out in brackets."""
    top = [field for field in fields(command) if "." not in field.name]
    return ", ".join(field.name if field.needed else f"[{field.name}]" for field in top) or "no fields"


def show(*, name: Name, service: Service = None, as_json: AsJson = False) -> None:
    """Show what a command says and the fields it takes, with their limits.

    Example: makegood command show MakeDecision
    """
    found = _named(name, service)
    if as_json:
        output.show_json([_as_data(command) for command in found] if len(found) > 1 else _as_data(found[0]))
        return
    for command in found:
        output.show(f"{command.type}, asked of a {command.stream}", style="bold")
        output.show_indented(about(command), 2)
        listed = fields(command)
        width = max((len(field.name) for field in listed), default=0)
        for field in listed:
            output.show_indented(f"{field.name:{width}}  {_needed(field)}{field.kind}", INDENT, hang=width + 2)
            output.show_indented(field.about, width + INDENT + 2, style="dim")
        output.show()
    example = short_name(found[0].type)
    output.say(
        f"makegood command send ID {example}{''.join(_example(field) for field in fields(found[0]) if _is_asked(field))}", style="dim"
    )


def _needed(field: Field) -> str:
    return "" if field.needed else "may be left out; "


def _is_asked(field: Field) -> bool:
    return field.needed and "." not in field.name


def _example(field: Field) -> str:
    return f" --set {field.name}=…"


def _as_data(command: type[Command]) -> dict[str, Any]:
    return {
        "name": short_name(command.type), "type": command.type, "service": service_of(command.type), "stream": command.stream,
        "about": about(command), "fields": [asdict(field) for field in fields(command)],
    }  # fmt: skip
