"""A history as people read it: when, what, who, and of a refusal, which rule and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.cli import output
from shared.contract.said import short_name

Happened = Mapping[str, Any]


def tell(events: Sequence[Happened]) -> None:
    """Prints a history. On a terminal a day is a heading, and what was wrong stands on a line of its own."""
    if not output.on_terminal():
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
        style = "yellow" if one["refused"] or _why(one) else ""
        output.show(f"  {time[:-1]}  {_what(one).ljust(what)}  {one['actor'].ljust(who)}  {one['id']}", style=style)
        if why := _why(one):
            output.show_indented(why, 16, style="dim")


def _row(one: Happened) -> list[str]:
    return [output.moment(one["at"], precise=True), _what(one), one["actor"], one["id"], _why(one)]


def _what(one: Happened) -> str:
    """`FixStarted`, or of a refusal what was asked: `refused: StartFix`."""
    return f"refused: {short_name(one['data']['command'])}" if one["refused"] else short_name(one["type"])


def _why(one: Happened) -> str:
    if one["refused"]:
        invariant = f", invariant {one['invariant']}" if one["invariant"] else ""
        return f"{one['why']} [{one['rule']}{invariant}]"
    return one["why"] or ""
