"""`makegood submit`: complaints from files, each row answered by the system itself."""

import asyncio
import enum
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.cli.address import kafka_address
from deploy.cli.exits import Exit
from deploy.cli.output import log_to_stderr
from deploy.feed.reading import STANDARD_INPUT, BadFile, HeaderReader, Line, csv_lines, header_of, json_lines, known, size_of
from deploy.feed.submissions import Terms, validate_only
from deploy.feed.submissions import submit as submit_rows
from deploy.feed.tally import Tally
from deploy.formats import cfpb, incidents, nyc311
from deploy.formats.plain import BadMap, by_header, csv_format, parse_map
from deploy.formats.rows import Format

FAILED, USAGE = Exit.FAILED, Exit.USAGE


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
        """Looks at every file's header before anything is sent. Raises BadFile, OSError."""
        for file in files:
            if file != STANDARD_INPUT:
                try:
                    header_of(file, self.headers() if self.kind is not Kind.JSONL else None, exact=self.kind is Kind.CSV)
                except BadFile as bad:
                    raise BadFile(f"{file}: {bad}") from bad

    def lines(self, files: list[str]) -> Iterator[Line]:
        """Every row of every file, in order."""
        done = 0
        for line in chain.from_iterable(self.one(file) for file in files):
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
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, plain or gzipped; - is standard input.")],
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
) -> None:
    """Submit complaints from files.

    Every row is accepted (a new complaint), repeated (known already, or an update of its upstream), conflicting (other content
    under the same reference; both are kept) or bad, with the reason. To submit a file again is safe: nothing happens twice.

    Examples: makegood submit --format cfpb complaints.csv.gz, or
    makegood submit --format csv --source shop --map ref=Ticket --map narrative=Text tickets.csv
    """
    log_to_stderr()
    said = Console(stderr=True)
    reader = _reader(said, files, kind, mapping or [], source)
    with ExitStack() as stack:
        mode: Literal["answered", "valid", "sent"] = "valid" if dry_run else "sent" if no_wait else "answered"
        tally = Tally(mode, all_errors=stack.enter_context(errors.open("w", encoding="utf-8")) if errors else None)
        try:
            if dry_run:
                validate_only(reader.lines(files), reader.columns, tally)
            else:
                terms = Terms(kafka or kafka_address(), timeout_seconds=timeout, wait=not no_wait)
                _send(said, reader, files, terms, tally)
        except BadFile as bad:
            _stop(said, str(bad), USAGE)
        except (LookupError, OSError, KafkaError) as error:
            _stop(said, f"{error}. Is makegood running? `makegood status` tells.", FAILED)
        except TimeoutError:
            _stop(said, "Kafka did not take all rows in time. Run the same again: nothing happens twice.", FAILED)
    _report(said, tally, errors)
    if as_json:
        print(tally.to_json(), flush=True)  # noqa: T201 - data goes to standard output
    if tally.unanswered:
        _stop(
            said,
            f"{tally.unanswered} rows were sent and got no answer within {timeout:g} s. They are safe in Kafka and will be taken when"
            " the services are back (`makegood status`). Run the same again for the counts: nothing happens twice.",
            FAILED,
        )
    if strict and tally.outcomes["bad"]:
        raise typer.Exit(FAILED)


def _stop(said: Console, why: str, code: int) -> NoReturn:
    said.print(why, style="bold", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _reader(said: Console, files: list[str], kind: Kind, mapping: list[str], source: str | None) -> _Reader:
    """Checks what was asked for before anything is sent; ends with exit code 2 where it makes no sense."""
    if kind is Kind.CSV and not source and not any(pair.startswith("source=") for pair in mapping):
        _stop(said, "csv needs --source NAME: whose complaints these are", USAGE)
    if mapping and kind is not Kind.CSV:
        _stop(said, f"--map goes with --format csv; {kind} knows its columns", USAGE)
    if source and kind in SHIPPED:
        _stop(said, f"--source goes with --format csv or jsonl; {kind} has its own", USAGE)
    try:
        reader = _Reader(kind, parse_map(mapping), source)
        reader.check(files)
    except (BadMap, BadFile) as bad:
        _stop(said, str(bad), USAGE)
    except OSError as error:
        _stop(said, f"{error.filename}: {error.strerror}", USAGE)
    return reader


def _send(said: Console, reader: _Reader, files: list[str], terms: Terms, tally: Tally) -> None:
    total = size_of(files)
    counted = TextColumn("{task.fields[read]} read, {task.fields[rows]} answered")
    shape = (TextColumn("{task.description}"), BarColumn(), counted, TimeElapsedColumn())
    with Progress(*shape, console=said, disable=not said.is_terminal, transient=True) as bar:
        task = bar.add_task("submitting", total=total, read=0, rows=0)

        def progress(read: int, rows: int) -> None:
            bar.update(task, completed=reader.read_bytes, read=read, rows=rows)

        asyncio.run(submit_rows(reader.lines(files), reader.columns, terms, tally, progress))


def _report(said: Console, tally: Tally, errors: Path | None) -> None:
    for line in tally.shown:
        said.print(str(line), highlight=False, markup=False, soft_wrap=True)
    if (more := tally.outcomes["bad"] - len(tally.shown)) > 0:
        where = f"all are in {errors}" if errors else "--errors FILE lists them all"
        said.print(f"... and {more} more bad rows; {where}", markup=False)
    table = Table(title=f"{tally.rows} rows in {tally.seconds:.1f} s" if tally.seconds else f"{tally.rows} rows")
    counts = {name: count for name, count in tally.counts().items() if name != "rows"}
    for name in counts:
        table.add_column(name, justify="right")
    table.add_row(*(f"{count:,}" for count in counts.values()))
    said.print(table)
    if tally.updates:
        said.print(f"{tally.updates:,} of the repeated were updates: newer content of their upstream.")
