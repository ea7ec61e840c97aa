"""`makegood up` and `makegood down`: everything on this machine, in the background."""

import fcntl
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.cli import output
from deploy.cli.client import Client
from deploy.cli.exits import Exit, stop
from deploy.cli.ids import SHOWN
from deploy.cli.options import Home
from deploy.cli.place import home_of, outside, stack_of
from deploy.local import stack, state
from deploy.local.part import born
from deploy.local.supervisor import TRACES

READY = "ready"
STARTING, PREPARING = "starting PostgreSQL and Kafka", "preparing the database and the topics"
FEEDING = "complaints come in, and people work them"
SAMPLE_BEGUN = "sample.begun"
"""A file in the home, there while a first sample comes in."""
SAMPLE_LOCK = "sample.lock"
"""A file in the home, locked by whoever sees to the first sample."""
STAGES_LINE = ("own", "fix", "deliver", "retrain", "settled")
OUTSIDE = """\
MAKEGOOD_KAFKA and MAKEGOOD_DATABASE name servers of your own, and `makegood up` is for those that it brings along. For yours:
  makegood install              makes database roles, schemas, tables and topics, or brings them up to date
  makegood run intake           runs a service in the foreground; so do resolution, rootcause and console
Unset both to use the embedded ones."""


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command()(up)
    app.command()(down)


def up(
    *,
    no_sample: Annotated[bool, typer.Option("--no-sample", help="Begin without any complaints, instead of with some to look at.")] = False,
    home: Home = None,
) -> None:
    """Start everything on this machine, and say where it is.

    Kafka, PostgreSQL, the three services and the console run in the background until `makegood down`. The first start takes half a
    minute, and then as long again for some complaints to come in, to look at. Started again, it goes on with what is there. Ctrl-C
    undoes a start.

    Example: makegood up
    """
    if outside():
        stop(OUTSIDE, Exit.USAGE)
    place = home_of(home)
    with undone_if_interrupted(place) as running:
        running()
        whole = no_sample or _sample(place)
    _tell(place)
    if not whole:
        raise typer.Exit(Exit.FAILED)


def down(*, home: Home = None) -> None:
    """Stop everything. All that was told stays.

    Example: makegood down
    """
    place = home_of(home)
    with output.err().status("stopping: the services, then Kafka, then PostgreSQL"):
        was = stack.stop(place)
    output.say(f"Stopped. What was told is in {place}; `makegood up` goes on with it." if was else f"Nothing runs in {place}.")


# ---- starting, and undoing it ----------------------------------------------------------------------------------------------


@contextmanager
def undone_if_interrupted(home: Path) -> Iterator[Callable[[], None]]:
    """Gives what starts the stack. When the block is interrupted, what it started is stopped; what ran before goes on."""
    started: list[tuple[int, str | None]] = []

    def running() -> None:
        found = state.read(home)
        if found is not None and found.alive and found.phase == "running":
            output.say(f"Everything runs already, in {home}.")
            return
        with _held_back():  # between the start and the note of it nothing may come
            pid = stack.start(home)
            started.append((pid, born(pid)))
        _watch(home, pid)

    with _handling(_interrupt, signal.SIGTERM):
        try:
            yield running
        except KeyboardInterrupt:
            for pid, began in started:
                with _deaf(), output.err().status("undoing the start"):
                    stack.stop_supervisor(pid, began)
            output.say("Interrupted. What this started was stopped again." if started else "Interrupted.")
            raise typer.Exit(128 + signal.SIGINT) from None


def _watch(home: Path, pid: int) -> None:
    """Waits until everything runs, and says what is ready. Where nobody looks on, each step is a line."""
    said: set[str] = set()

    def once(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            output.say(sentence)

    with output.err().status(STARTING) as spinner:

        def tell(found: state.StackState) -> None:
            for sentence in found.notes:
                once(f"{sentence[:1].upper()}{sentence[1:]}.")
            for part in found.parts:
                if part.state == READY:
                    once(f"traces go to {part.address}" if part.name == TRACES else f"{part.name} is ready at {part.address}")
            waiting = [part.name for part in found.parts if part.state != READY]
            prepared = PREPARING if found.parts else STARTING
            doing = found.doing or (f"waiting for {', '.join(waiting)}" if waiting else prepared)
            spinner.update(doing)
            if not output.err().is_terminal and not doing.startswith("waiting") and found.phase != "running":
                once(doing)

        if not output.err().is_terminal:
            once(STARTING)
        try:
            stack.wait(home, pid, tell)
        except stack.StackFailed as failed:
            stop(f"It did not start: {failed}")


def _interrupt(*_: Any) -> None:
    """A polite signal interrupts like Ctrl-C does."""
    raise KeyboardInterrupt


@contextmanager
def _held_back() -> Iterator[None]:
    """An interrupt that comes meanwhile takes effect afterwards."""
    came: list[int] = []
    with _handling(lambda number, _: came.append(number), signal.SIGINT, signal.SIGTERM):
        yield
    if came:
        raise KeyboardInterrupt


@contextmanager
def _deaf() -> Iterator[None]:
    """Interrupts are told to wait: what is under way is the undoing itself."""
    with _handling(lambda *_: output.say("One moment: it is being stopped."), signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], Any], *numbers: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # signals are handled by the main thread alone
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


# ---- what is there ---------------------------------------------------------------------------------------------------------


def _sample(home: Path) -> bool:
    """Where there are no complaints yet, or a sample was interrupted, some come in. Whether all of them did.

    Of two that are started at once, one sees to that; the other waits, and then finds them there.
    """
    with (home / SAMPLE_LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            output.say("Another `makegood up` brings the sample in; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        return _fed(home)


def _fed(home: Path) -> bool:
    begun = home / SAMPLE_BEGUN
    if not begun.exists() and _counts(home)["complaints"]:
        return True
    from deploy.cli import fed  # noqa: PLC0415 - half a second, and only here
    from deploy.sample.feed import FIRST_COMPLAINTS, FIRST_SEED, SeedIsUsed, first_sample  # noqa: PLC0415

    begun.touch()
    if not output.err().is_terminal:
        output.say(f"{FIRST_COMPLAINTS} {FEEDING}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.err(), disable=not output.err().is_terminal, transient=True) as bar:
        task = bar.add_task(FEEDING, total=FIRST_COMPLAINTS)
        try:
            summary = first_sample(stack_of(home), lambda done: bar.update(task, completed=done))
        except (LookupError, OSError, KafkaError, SeedIsUsed) as error:
            why = str(error) or ("no answer came in time" if isinstance(error, TimeoutError) else type(error).__name__)
            output.say(f"The sample did not come in whole: {why}. `makegood up` goes on with it.")
            return False
    begun.unlink(missing_ok=True)
    fed.note(home, FIRST_SEED, summary)
    output.say(f"A sample of {summary.complaints:,} complaints came in, and people worked them.")
    return True


def _counts(home: Path) -> Mapping[str, Any]:
    with Client.of(home) as console:
        found: Mapping[str, Any] = console.get("/api/counts")
        return found


def _tell(home: Path) -> None:
    with Client.of(home) as console:
        counts = console.get("/api/counts")
        page = (
            console.get("/api/complaints", {"limit": 1, "refused": True})["complaints"]
            or console.get("/api/complaints", {"limit": 1})["complaints"]
        )
    output.show(f"console      {console.address}")
    stages = "   ".join(f"{stage} {counts['by_stage'][stage]:,}" for stage in STAGES_LINE)
    output.show(f"complaints   {counts['complaints']:,}   ({stages})")
    output.show()
    output.show("Three things to try:")
    for command in _to_try(page[0]["id"][:SHOWN] if page else "", home):
        output.show(f"  {command}")


def _to_try(ident: str, home: Path) -> list[str]:
    where = "" if home == home_of(None) else f" --home {home}"
    submit = 'command send shop:1 SubmitComplaint --set narrative="The bread was wet."'
    words = (f"complaint history {ident}", f"follow {ident}", "verify") if ident else (submit, "complaint history shop:1", "verify")
    return [f"{_ourselves()} {word}{where}" for word in words]


def _ourselves() -> str:
    """How this command is called from here: by its name, or where that is not found, by its path."""
    program = Path(sys.argv[0])
    found = shutil.which("makegood")
    if program.name != "makegood" or (found and Path(found).samefile(program)):
        return "makegood"
    inside = program.absolute().is_relative_to(Path.cwd())
    return str(program.absolute().relative_to(Path.cwd()) if inside else program)
