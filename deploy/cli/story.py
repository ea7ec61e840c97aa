"""A history as people read it: when, what, who, and of a refusal, which rule and why."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.cli import output
from shared.contract.machine import InputParked, InputWaiting
from shared.contract.said import short_name

Happened = Mapping[str, Any]
REASON_INDENT = 16


def tell(events: Sequence[Happened], *, full: bool = False) -> None:
    """Prints a history. On a terminal a day is a heading, and what is to be said of a row stands on a line of its own.

    `full`: with all fields of each event, in that form wherever it is printed.
    """
    if not full and not output.on_terminal():
        output.table(["when", "what", "who", "id", "why"], [_row(one) for one in events])
        return
    what = max((len(_what(one)) for one in events), default=0)
    who = max((len(one["actor"]) for one in events), default=0)
    day = ""
    for one in events:
        today, time = output.moment(one["at"], precise=True).split(" ")
        if today != day:
            day = today
            output.show(f"{day} (UTC)", style="bold")
        output.show(f"  {time[:-1]}  {_what(one).ljust(what)}  {one['actor'].ljust(who)}  {one['id']}", style=_style(one))
        if why := _why(one):
            output.show_indented(why, REASON_INDENT, style="dim")
        if full:
            for name, value in one["data"].items():
                output.show_indented(f"{name}: {_said(value)}", REASON_INDENT, hang=2)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _style(one: Happened) -> str:
    """What was refused, and what could not be decided, catches the eye."""
    return "yellow" if one["refused"] or one["type"] in {InputParked.type, InputWaiting.type} else ""


def _row(one: Happened) -> list[str]:
    return [output.moment(one["at"], precise=True), _what(one), one["actor"], one["id"], _why(one)]


def _what(one: Happened) -> str:
    """`FixStarted`, or of a refusal what was asked: `refused: StartFix`."""
    return f"refused: {short_name(one['data']['command'])}" if one["refused"] else short_name(one["type"])


def _why(one: Happened) -> str:
    """What the console says of a row in words; of a refusal with the rule's name."""
    why = " ".join((one["why"] or "").split())
    if one["refused"]:
        invariant = f", invariant {one['invariant']}" if one["invariant"] else ""
        return f"{why} [{one['rule']}{invariant}]"
    return why
