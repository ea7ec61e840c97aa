"""`makegood projection rebuild`: what the console shows, made again from the ledgers."""

import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.cli import output
from deploy.cli.database import run
from deploy.cli.exits import Exit, stop
from deploy.cli.options import OPERATOR, Actor, AsJson, Home, must_be_a_person
from deploy.cli.place import stack_of
from deploy.rebuild.projections import Busy, Differs, OtherRelease, Rebuilt, rebuild
from services.console.projections.kept import KEPT
from shared.machine.head import Stopped

NAMES = ", ".join(KEPT)


def register(app: typer.Typer) -> None:
    """Adds the group to the app."""
    group = typer.Typer(help="Make what the console shows again from the ledgers.", no_args_is_help=True)
    group.callback()(_nothing)
    group.command("rebuild")(rebuild_)
    app.add_typer(group, name="projection")


def _nothing() -> None:
    """So that a single command stays a command of a group."""


def rebuild_(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Which one: {NAMES}.")],
    anyway: Annotated[
        str, typer.Option("--anyway", metavar="REASON", help="Why it may have more or fewer rows than the one that is there.")
    ] = "",
    anew: Annotated[bool, typer.Option("--anew", help="From the first event, though an interrupted run left some of it.")] = False,
    actor: Actor = OPERATOR,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Make what the console shows again from the ledgers.

    For when a release shows something that an older one did not keep, or what is shown is doubted. It is made beside what is there, while
    everything runs, and takes its place at once when it has caught up: nobody sees half of it. It does not where it saw other events
    than the one that is there (the hashes differ), and not where it has more or fewer rows, unless you say why. Interrupted, it is run
    again and goes on; two runs at once there are not.

    Example: makegood projection rebuild queue
    """
    if name not in KEPT:
        stop(f"There is no projection {name}: say one of {NAMES}.", Exit.USAGE)
    must_be_a_person(actor)
    stack = stack_of(home)
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.err(), disable=not output.err().is_terminal, transient=True) as bar:
        task = bar.add_task("taking events in", total=None)

        async def made() -> Rebuilt:
            return await rebuild(
                stack.owner_dsn, name, KEPT[name], anew=anew, reason=anyway, actor=actor,
                tell=lambda done, of: bar.update(task, completed=done, total=of),
            )  # fmt: skip

        try:
            done = run(made())
        except (Differs, Stopped) as other:
            stop(f"Nothing was changed: {other}.", Exit.PROOF_FAILED)
        except (Busy, OtherRelease) as refused:
            stop(f"Nothing was changed: {refused}.")
    seconds = time.monotonic() - began
    if as_json:
        output.show_json(asdict(done) | {"seconds": round(seconds, 3)})
    output.say(
        f"{name} was made again from {done.events:,} events, {done.now:,} of them by this run, in {seconds:.1f} s"
        f" ({done.now / seconds:,.0f} a second). It has {done.rows_after:,} rows, and had {done.rows_before:,}.",
        style="green",
    )
