"""`makegood submit`: complaints from files, each row answered by the system itself."""

import asyncio
import enum
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.cli import output
from deploy.cli.address import kafka_address
from deploy.cli.exits import Exit, stop
from deploy.cli.options import Home
from deploy.feed.reading import BadFile, HeaderReader, Line, csv_lines, header_of, is_read_once, json_lines, known, size_of
from deploy.feed.submissions import Terms, validate_only
from deploy.feed.submissions import submit as submit_rows
from deploy.feed.tally import Tally
from deploy.formats import cfpb, incidents, nyc311
from deploy.formats.plain import BadMap, by_header, csv_format, parse_map
from deploy.formats.rows import Format


class Kind(enum.StrEnum):
    """The formats there are."""

    CFPB = "cfpb"
    NYC311 = "nyc311"
    INCIDENTS = "incidents"
    CSV = "csv"
    JSONL = "jsonl"


SHIPPED = {Kind.CFPB: cfpb.FORMAT, Kind.NYC311: nyc311.FORMAT, Kind.INCIDENTS: incidents.FORMAT}


class _Reader:
    """How the files of one run are read."""

    def __init__(self, kind: Kind, mapped: dict[str, str], source: str | None) -> None:
        self.kind, self.mapped, self.source = kind, mapped, source
        self.columns: dict[str, str] = {}
        self.read_bytes = 0

    def headers(self) -> HeaderReader:
        """What reads a header and finds the format."""
        if self.kind in SHIPPED:
            check = known(SHIPPED[self.kind])
        else:

            def check(header: list[str]) -> Format:
                try:
                    return csv_format(by_header(self.mapped, header), self.source or "")
                except BadMap as bad:
                    raise BadFile(str(bad)) from bad

        def noted(header: list[str]) -> Format:
            form = check(header)
            self.columns.update(form.columns)
            return form

        return noted

    def check(self, files: list[str]) -> None:
        """Looks at every file's header before anything is sent, where that takes nothing away. Raises BadFile, OSError."""
        for file in files:
            if not is_read_once(file):
                try:
                    header_of(file, self.headers() if self.kind is not Kind.JSONL else None, exact=self.kind is Kind.CSV)
                except BadFile as bad:
                    raise BadFile(f"{file}: {bad}") from bad

    def lines(self, files: list[str]) -> Iterator[Line]:
        """Every row of every file, in order."""
        for file in files:
            done = self.read_bytes
            for line in self.one(file):
                yield line
                self.read_bytes = done + line.read_bytes

    def one(self, file: str) -> Iterator[Line]:
        """The rows of one file."""
        if self.kind is Kind.JSONL:
            return json_lines(file, self.source)
        return csv_lines(file, self.headers(), exact=self.kind is Kind.CSV)


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(submit)


def submit(
    *,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files or pipes, plain or gzipped; - is standard input.")],
    kind: Annotated[Kind, typer.Option("--format", help="What the files are.")],
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="csv: which column a field comes from; repeat it.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="csv, jsonl: the upstream's name, for rows that name none.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds without any answer before giving up.")] = 120,
    errors: Annotated[Path | None, typer.Option(help="Write every bad row into this file.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where any row is bad.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and validate only; send nothing.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Send only; do not wait for answers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as the last line on standard output.")] = False,
    kafka: Annotated[str | None, typer.Option(help="Kafka's bootstrap servers, where it is not this installation's.")] = None,
    home: Home = None,
) -> None:
    """Submit complaints from files.

    Every row is accepted (a new complaint), repeated (known already, or an update of its upstream), conflicting (other content
    under the same reference; both are kept) or bad, with the reason. To submit a file again is safe: nothing happens twice. Exits 1
    where there were rows and none could be used.

    Examples: makegood submit --format cfpb complaints.csv.gz, or
    makegood submit --format csv --source shop --map ref=Ticket --map narrative=Text docs/examples/tickets.csv
    """
    output.log_to_stderr()
    reader = _reader(files, kind, mapping or [], source)
    address = "" if dry_run else kafka or kafka_address(home)
    with ExitStack() as stack:
        mode: Literal["answered", "valid", "sent"] = "valid" if dry_run else "sent" if no_wait else "answered"
        tally = Tally(mode, all_errors=stack.enter_context(errors.open("w", encoding="utf-8")) if errors else None)
        try:
            if dry_run:
                validate_only(reader.lines(files), reader.columns, tally)
            else:
                _send(reader, files, Terms(address, timeout_seconds=timeout, wait=not no_wait), tally)
        except BadFile as bad:
            stop(f"{bad}.", Exit.USAGE)
        except TimeoutError:  # before OSError, which it is one of
            stop("Kafka did not take all rows in time. Run the same again: nothing happens twice.")
        except KafkaConnectionError:
            stop(f"Kafka does not answer at {address}. `makegood status` tells what runs.")
        except (LookupError, OSError, KafkaError) as error:
            stop(f"{str(error) or type(error).__name__}. Is makegood running? `makegood status` tells.")
    _report(tally, errors)
    if as_json:
        print(tally.to_json(), flush=True)  # noqa: T201 - data goes to standard output
    if tally.unanswered:
        stop(_given_up(tally, timeout))
    bad_rows = tally.outcomes["bad"]
    if bad_rows and (strict or bad_rows == tally.rows):
        raise typer.Exit(Exit.FAILED)


def _reader(files: list[str], kind: Kind, mapping: list[str], source: str | None) -> _Reader:
    """Checks what was asked for before anything is sent; ends with exit code 2 where it makes no sense."""
    if kind is Kind.CSV and not source and not any(pair.startswith("source=") for pair in mapping):
        stop("csv needs --source NAME: whose complaints these are.", Exit.USAGE)
    if mapping and kind is not Kind.CSV:
        stop(f"--map goes with --format csv; {kind} knows its columns.", Exit.USAGE)
    if source and kind in SHIPPED:
        stop(f"--source goes with --format csv or jsonl; {kind} has its own.", Exit.USAGE)
    try:
        reader = _Reader(kind, parse_map(mapping), source)
        reader.check(files)
    except (BadMap, BadFile) as bad:
        stop(f"{bad}.", Exit.USAGE)
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}.", Exit.USAGE)
    return reader


def _send(reader: _Reader, files: list[str], terms: Terms, tally: Tally) -> None:
    total = size_of(files)
    counted = TextColumn("{task.fields[read]} read, {task.fields[rows]} answered")
    shape = (TextColumn("{task.description}"), BarColumn(), counted, TimeElapsedColumn())
    with Progress(*shape, console=output.err(), disable=not output.err().is_terminal, transient=True) as bar:
        task = bar.add_task("submitting", total=total, read=0, rows=0)

        def progress(read: int, rows: int) -> None:
            bar.update(task, completed=reader.read_bytes, read=read, rows=rows)

        asyncio.run(submit_rows(reader.lines(files), reader.columns, terms, tally, progress))


def _given_up(tally: Tally, timeout: float) -> str:
    """What is known of the rows without an answer."""
    safe, unknown = tally.unanswered - tally.unacknowledged, tally.unacknowledged
    said = [f"{_rows(tally.unanswered)} got no answer within {timeout:g} s."]
    if safe:
        said.append(f"{_rows(safe)}: safe in Kafka; the services take them when they are back (`makegood status`).")
    if unknown:
        said.append(f"{_rows(unknown)}: not acknowledged by Kafka; nobody knows whether it has them.")
    if tally.cut_short:
        said.append("What comes after them was not sent.")
    return f"{' '.join(said)} Submit the same again: nothing happens twice."


def _rows(many: int) -> str:
    return f"{many:,} row{'' if many == 1 else 's'}"


def _report(tally: Tally, errors: Path | None) -> None:
    for line in tally.shown:
        output.say(str(line))
    if (more := tally.outcomes["bad"] - len(tally.shown)) > 0:
        where = f"all are in {errors}" if errors else "--errors FILE lists them all"
        output.say(f"... and {more:,} more bad rows; {where}")
    counts = {name: count for name, count in tally.counts().items() if name != "rows"}
    took = f" in {tally.seconds:.1f} s" if tally.seconds else ""
    output.say(f"{_rows(tally.rows)}{took}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}")
    if tally.updates:
        output.say(f"{tally.updates:,} of the repeated were updates: newer content of their upstream.")
