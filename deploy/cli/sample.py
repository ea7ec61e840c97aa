"""`makegood sample`: believable complaints, and people who work them, so that every stage fills."""

import asyncio
import enum
import json
from typing import Annotated

import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.cli import fed, output
from deploy.cli.exits import Exit, stop
from deploy.cli.options import Home
from deploy.cli.place import outside, stack_of
from deploy.feed.tally import Tally
from deploy.sample.feed import FIRST_COMPLAINTS, FIRST_SEED, SeedIsUsed, Terms, feed
from deploy.sample.summary import WHERES, Summary

SEED_MAX = 2**53
"""Whatever reads JSON has numbers up to here exactly."""
OUTSIDE = (
    "MAKEGOOD_KAFKA and MAKEGOOD_DATABASE name servers of your own: made-up complaints would stand among the real ones for ever. "
    "If that is meant, say --yes."
)
NOTHING_NEW = "Nothing new: seed {seed} was fed before. Take another, as in --seed {other}."


class Only(enum.StrEnum):
    """What of a sample is fed."""

    SUBMISSIONS = "submissions"


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(sample)


def sample(
    *,
    complaints: Annotated[int, typer.Option(min=1, metavar="N", help="How many.")] = FIRST_COMPLAINTS,
    seed: Annotated[int, typer.Option(min=0, max=SEED_MAX, metavar="S", help="The same seed gives the same sample.")] = FIRST_SEED,
    rate: Annotated[float | None, typer.Option(min=0.01, metavar="PER_SECOND", help="Complaints a second, at most.")] = None,
    only: Annotated[Only | None, typer.Option(help="Submit complaints, and let nobody work them.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds without any answer before giving up.")] = 120,
    yes: Annotated[bool, typer.Option("--yes", help="On servers of your own: yes, made-up complaints, for ever.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as the last line on standard output.")] = False,
    home: Home = None,
) -> None:
    """Feed believable complaints, and people who work them.

    A quarter stays in own, a fifth in fix, the rest is delivered, learned from or settled. People try what the rules refuse, too; a
    refusal that was not meant to be is shown, and the exit code is 1. The same seed again changes nothing, also after an interruption:
    it goes on where it was. On servers of your own it asks for --yes: events stay for ever.

    Examples: makegood sample --complaints 500 --seed 7, or
    makegood sample --only submissions --complaints 20000 --rate 500
    """
    output.log_to_stderr()
    if (elsewhere := outside()) and not yes:
        stop(OUTSIDE, Exit.USAGE)
    stack = stack_of(home)
    if not elsewhere and only is None and (before := fed.known(stack.home, seed, complaints)):
        output.say(NOTHING_NEW.format(seed=seed, other=seed + 1))
        if as_json:
            print(json.dumps(before), flush=True)  # noqa: T201 - data goes to standard output
        return
    terms = Terms(stack.kafka, complaints, seed, worked=only is None, rate=rate, timeout_seconds=timeout)
    try:
        summary = _fed(terms)
    except SeedIsUsed as used:
        stop(f"{used}.", Exit.USAGE)
    except TimeoutError:  # before OSError, which it is one of
        stop(f"Nothing was answered within {timeout:g} s. `makegood status` tells what runs; the same again goes on from here.")
    except KafkaConnectionError:
        stop(f"Kafka does not answer at {stack.kafka}. `makegood status` tells what runs.")
    except (LookupError, OSError, KafkaError) as error:
        stop(f"{str(error) or type(error).__name__}. Is makegood running? `makegood status` tells.")
    if only:
        _report_submissions(summary, as_json=as_json)
    else:
        _report(summary, as_json=as_json)
        if summary.answered and summary.repeated == summary.answered:
            output.say(NOTHING_NEW.format(seed=seed, other=seed + 1))
        if not elsewhere:
            fed.note(stack.home, seed, summary)
    if summary.unanswered:
        unknown = f" {summary.unacknowledged:,} of their messages: not acknowledged by Kafka; nobody knows whether it has them."
        stop(
            f"{summary.unanswered:,} complaint{'' if summary.unanswered == 1 else 's'} got no answer within {timeout:g} s."
            f" What Kafka has acknowledged is safe in it; the services take it when they are back (`makegood status`)."
            f"{unknown if summary.unacknowledged else ''} The same again goes on from there: nothing happens twice."
        )
    if summary.unexpected and not only:
        raise typer.Exit(Exit.FAILED)


def _fed(terms: Terms) -> Summary:
    shape = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("complaints"), TimeElapsedColumn())
    with Progress(*shape, console=output.err(), disable=not output.err().is_terminal, transient=True) as bar:
        task = bar.add_task("feeding", total=terms.complaints)
        return asyncio.run(feed(terms, lambda done: bar.update(task, completed=done)))


def _report(summary: Summary, *, as_json: bool) -> None:
    for unexpected in summary.shown:
        output.say(f"unexpected: {unexpected}")
    if (more := summary.unexpected - len(summary.shown)) > 0:
        output.say(f"... and {more} more that were not expected")
    speed = summary.commands / summary.seconds if summary.seconds else 0.0
    repeated = f", {summary.repeated:,} of the messages repeated" if summary.repeated else ""
    output.say(
        f"{summary.complaints:,} complaints and {summary.commands:,} commands in {summary.seconds:.1f} s ({speed:,.0f} commands a second);"
        f" {summary.refused:,} refused as expected, {summary.unexpected:,} not{repeated}"
    )
    if as_json:
        print(summary.to_json(), flush=True)  # noqa: T201 - data goes to standard output
        return
    output.table(("stage", "complaints"), [(where, f"{summary.stages[where]:,}") for where in WHERES], right={1})


def _report_submissions(summary: Summary, *, as_json: bool) -> None:
    tally = Tally(outcomes=summary.submissions, seconds=summary.seconds)
    if as_json:
        output.say(f"{tally.rows:,} rows in {summary.seconds:.1f} s")
        print(tally.to_json(), flush=True)  # noqa: T201 - data goes to standard output
        return
    output.table(tuple(tally.counts()), [[f"{count:,}" for count in tally.counts().values()]], right=range(len(tally.counts())))
