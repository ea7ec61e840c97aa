"""`makegood topics rebuild`: Kafka's topics, made again from the ledgers."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from aiokafka.errors import KafkaError
from pydantic import TypeAdapter, ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.cli import output
from deploy.cli.database import NOT_INSTALLED
from deploy.cli.exits import Exit, stop
from deploy.cli.options import OPERATOR, Actor, AsJson, Home, Reason, Service, must_be_a_person
from deploy.cli.place import home_of, minds, outside, settings
from deploy.database import NOT_THE_OWNER, NOTHING_THERE
from deploy.local import stack
from deploy.rebuild.events import ChangedRow, HoldsOther
from deploy.rebuild.topics import Done, Loses, Refused, Task, rebuild
from deploy.topics import TopicsDiffer
from shared.contract.in_words import in_words
from shared.contract.values import ShortText
from shared.machine.stored import Damaged

DOING = "writing events"
REASON: TypeAdapter[str] = TypeAdapter(ShortText)


def register(app: typer.Typer) -> None:
    """Adds the group to the app."""
    group = typer.Typer(help="Make Kafka's topics again from the ledgers.", no_args_is_help=True)
    group.callback()(_nothing)
    group.command("rebuild")(rebuild_)
    app.add_typer(group, name="topics")


def _nothing() -> None:
    """So that a single command stays a command of a group."""


def rebuild_(
    *,
    service: Service = None,
    cluster: Annotated[
        str, typer.Option(metavar="ID", help="The id of a new Kafka cluster that takes the place of the old one, which is gone for good.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Go on though something may be lost: without it, it is said what.")] = False,
    reason: Reason = "",
    actor: Actor = OPERATOR,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Make Kafka's topics again from the ledgers.

    For when Kafka lost its data, or some of it. Topics that are missing are made, and every event that one lacks is written from the
    ledger: the same ids, the same bytes, in the same order; whoever reads them goes on where they were. Requests between complaints that
    nobody had taken in are sent again. What others had sent and no service had read is lost with Kafka: the services go on with what is
    there now. No service may run meanwhile; of the embedded stack only the servers are started for it. Interrupted, it is run again and
    goes on. It refuses where a topic holds something else. Who said --yes, why, and to what, is kept in the database.

    Example: makegood topics rebuild --yes --reason "the broker's disk died"
    """
    must_be_a_person(actor)
    why = _reason(reason, accepted=yes)
    services, place = tuple(minds(service)), home_of(home)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with _servers(place) as (kafka, owner_dsn), Progress(*columns, console=output.err(), disable=not output.err().is_terminal) as bar:
        shown = bar.add_task(DOING, total=None)
        began = time.monotonic()
        task = Task(owner_dsn, kafka, settings().submission_topics, services, cluster, yes, actor, why)
        done = _done(task, lambda so_far, of: bar.update(shown, completed=so_far, total=of))
        seconds = time.monotonic() - began
    if as_json:
        output.show_json(asdict(done) | {"seconds": round(seconds, 3)})
    for sentence in done.lost:
        output.say(f"{sentence}.")
    output.say(
        f"{done.written:,} events were written in {seconds:.1f} s ({done.there:,} were there), {done.asked:,} requests "
        f"were sent again, {len(done.made)} topics are new. {_next()}",
        style="green",
    )


def _reason(given: str, *, accepted: bool) -> str:
    """Why, as it is kept. Ends the command where it can't be, or where what may be lost is accepted and nothing is said of why."""
    if accepted and not given:
        stop("Somebody answers for what may be lost: say why, too, with --reason TEXT.", Exit.USAGE)
    try:
        return REASON.validate_python(given) if given else ""
    except ValidationError as error:
        stop(f"That can't be a reason: it {in_words(error)}.", Exit.USAGE)


def _next() -> str:
    return "Start the services again; `makegood doctor` tells when all is caught up." if outside() else "Next: `makegood up`."


@contextmanager
def _servers(home: Path) -> Iterator[tuple[str, str]]:
    """Kafka's address and the owner's: those that are named, or the embedded stack's servers, alone, for as long as the block lasts."""
    if outside():
        told = settings()
        yield told.kafka, told.database
        return
    if stack.running(home) is not None:
        stop(f"Everything runs in {home}, and no service may run meanwhile: `makegood down` first.", Exit.CONFLICT)
    if not (home / "postgres").is_dir():
        stop(f"There is nothing in {home} to make topics from. Where it is elsewhere, name it: --home FOLDER.", Exit.NOT_FOUND)
    try:
        with output.err().status("starting PostgreSQL and Kafka"):
            found = stack.wait(home, stack.start(home, only_servers=True, with_us=True))
        yield found.kafka, found.database
    except stack.StackFailed as failed:
        stop(f"The servers did not start: {failed}")
    finally:
        with output.err().status("stopping Kafka and PostgreSQL"):
            stack.stop(home)


def _done(task: Task, tell: Callable[[int, int], None]) -> Done:
    """Does it. Ends the command with a sentence where it can't be done."""
    try:
        return asyncio.run(rebuild(task, tell))
    except Loses as losing:
        for sentence in losing.what:
            output.say(f"{sentence}.")
        stop(
            f"Nothing was changed yet. {losing.events:,} events are to be written. What stands above would be lost, unless Kafka's old "
            "data can be put back: if it can't, say --yes, and why: --reason TEXT.", Exit.CONFLICT,
        )  # fmt: skip
    except Refused as refused:
        stop(f"{_upper(refused)}.", Exit.CONFLICT)
    except (HoldsOther, TopicsDiffer) as other:
        stop(f"{_upper(other)}.", Exit.CONFLICT)
    except (ChangedRow, Damaged) as changed:
        stop(f"{_upper(changed)}.", Exit.PROOF_FAILED)
    except NOTHING_THERE:
        stop(NOT_INSTALLED)
    except NOT_THE_OWNER as error:
        stop(f"PostgreSQL does not let us: {error}. MAKEGOOD_DATABASE must name the installation's owner.")
    except (KafkaError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        stop(f"It was interrupted: {str(error) or type(error).__name__}. What was written stays; run it again, and it goes on from there.")


def _upper(error: Exception) -> str:
    said = str(error)
    return said[:1].upper() + said[1:]
