"""`makegood doctor`: everything that can be wrong, and what to do."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from deploy.cli import output
from deploy.cli.exits import Exit
from deploy.cli.options import AsJson, Home
from deploy.cli.place import home_of, outside
from deploy.doctor.judging import judge
from deploy.doctor.looking import see
from deploy.doctor.seen import Finding, Level
from deploy.local.postgres import binaries
from deploy.local.stack import running

MARKS = {Level.FINE: ("✓", "green"), Level.NOTE: ("·", ""), Level.WRONG: ("✗", "bold red")}
ABOUT_COLUMNS = 10


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(doctor)


def doctor(*, as_json: AsJson = False, home: Home = None) -> None:
    """Look at everything that can be wrong, and say what to do.

    Processes, Kafka and its topics, offsets that were lost, events that did not get through, parked inputs, clocks, disk, PostgreSQL's
    settings, the policy in force. It changes nothing. Exits 0 when nothing is wrong, 1 otherwise.

    Example: makegood doctor
    """
    place = home_of(home)
    from_outside = outside()
    with output.err().status("looking"):
        findings = judge(asyncio.run(see(place, outside=from_outside)))
    counts = Counter(finding.level for finding in findings)
    if as_json:
        output.show_json({"well": not counts[Level.WRONG], "findings": [asdict(finding) for finding in findings]})
    elif output.on_terminal():
        _show(findings)
    else:
        rows = [[one.level, one.about, one.what, one.do, one.sql] for one in findings]
        output.table(["level", "about", "what", "do", "sql"], rows)
    if any(one.sql for one in findings):
        output.say(f"What is SQL is done as the owner: {_psql(place, from_outside=from_outside)}")
    if counts[Level.WRONG]:
        output.say("One thing is wrong." if counts[Level.WRONG] == 1 else f"{counts[Level.WRONG]} things are wrong.", style="bold")
        raise typer.Exit(Exit.FAILED)
    output.say("Nothing is wrong.", style="green")


def _show(findings: Sequence[Finding]) -> None:
    for one in findings:
        mark, style = MARKS[one.level]
        output.show_indented(f"{mark} {one.about:{ABOUT_COLUMNS}} {one.what}", 0, hang=ABOUT_COLUMNS + 3, style=style)
        if one.do:
            output.show_indented(f"→ {one.do}", ABOUT_COLUMNS + 3, hang=2)
        if one.sql:
            output.show(f"{'':{ABOUT_COLUMNS + 5}}{one.sql}", style="bold")


def _psql(home: Path, *, from_outside: bool) -> str:
    """How to get at the database."""
    found = running(home)
    return 'psql "$MAKEGOOD_DATABASE"' if from_outside or found is None else f"{binaries() / 'psql'} {found.owner_dsn}"
