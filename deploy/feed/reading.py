"""Files as rows, one at a time: never a whole file in memory. Plain or gzipped; `-` is standard input.

What is no file on disk is read once, from beginning to end, and each row is handed on as soon as it is there.

CSV is read strictly: text after a closing quotation mark, or one that is never closed, makes a bad row. Read leniently, the rows
that follow it would end inside a field, and nobody would hear of them.
"""

import csv
import gzip
import io
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from pydantic_core import from_json

from deploy.formats.rows import BadRow, Fields, Format, canonical

STANDARD_INPUT = "-"
STDIN = 0
"""Its descriptor."""
GZIP_MAGIC = b"\x1f\x8b"
LINE_BYTES_MAX = 4 * 1024 * 1024
"""A longer line of JSON is no complaint: the narrative ends at 60,000 characters."""
FIELD_CHARACTERS_MAX = 16 * 1024 * 1024
"""A longer field is no field: a quotation mark was not closed. Up to here, what is too long is refused by what it means."""
LOOKED_AT_BYTES = 8192
"""The beginning of a file by which its encoding and its kind are told."""
ODD_MAX = 0.1
"""Of a file's beginning, the share of what is no character of a text: more than that is no text."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
ODD = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\udc80-\udcff]")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What else than commas separates the columns of a file that calls itself CSV."""

csv.field_size_limit(FIELD_CHARACTERS_MAX)


class BadFile(ValueError):
    """A file that is not what it was said to be, and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """One data row: where it stands, and its fields or why it has none."""

    file: str
    number: int
    """The line it begins on; the file's first is 1."""
    fields: Fields | None
    bad: str = ""
    read_bytes: int = 0
    """How much of the file was read by then, in bytes as they lie on disk."""


UNREADABLE = (EOFError, OSError, zlib.error)
"""What a damaged file raises."""
NEVER_CLOSED, TOO_LONG = "unexpected end of data", "field limit"
"""How the csv module says so: its errors have no kinds."""
HeaderReader = Callable[[list[str]], Format]
"""Finds the format by a file's header; it raises BadFile where the header is of another kind of file."""


def known(form: Format) -> HeaderReader:
    """The reader of headers for a format that is known beforehand: the columns it needs must be there, and none twice."""

    def check(header: list[str]) -> Format:
        missing = [column for column in form.needs if column not in header]
        if missing:
            raise BadFile(f"this is no {form.name} file: it has no column {', '.join(missing)}; it has {', '.join(header) or 'none'}")
        for column in header:
            if column and header.count(column) > 1:
                raise BadFile(f"it has {header.count(column)} columns {column}: which of them counts?")
        return form

    return check


@contextmanager
def opened(file: str) -> Iterator[tuple[IO[bytes], BinaryIO]]:
    """The file's content, and the raw file beneath, whose place tells how far we are. Raises OSError, and BadFile for what is no text."""
    # Standard input gets a reader of our own: nobody can wait for the one of sys while the process ends.
    with open(STDIN, "rb", closefd=False) if file == STANDARD_INPUT else Path(file).open("rb") as raw:
        seen = raw.peek(len(GZIP_MAGIC))
        content = cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb")) if seen[:2] == GZIP_MAGIC else raw
        with suppress(*UNREADABLE):  # whoever reads on will say so
            _check_is_text(content.peek(LOOKED_AT_BYTES)[:LOOKED_AT_BYTES])  # type: ignore[attr-defined]
        yield content, raw


def _check_is_text(beginning: bytes) -> None:
    if beginning.startswith(UTF_16):
        raise BadFile("this is UTF-16: save it as UTF-8")
    text = beginning.decode("utf-8", "surrogateescape")
    if len(ODD.findall(text)) > ODD_MAX * len(text):
        raise BadFile("this is no text in UTF-8: it is another kind of file, or was saved in another encoding")


def csv_lines(file: str, by_header: HeaderReader, *, exact: bool = False) -> Iterator[Line]:
    """The rows of a CSV (UTF-8, the first record its header), line breaks inside fields included. Raises BadFile, OSError.

    Args:
        file: Its path, or `-`.
        by_header: What the rows mean, by the header.
        exact: Whether column names are taken as they are written, rather than in their canonical form.
    """
    with opened(file) as (content, raw):
        place = _place(raw)
        text = io.TextIOWrapper(cast("BinaryIO", content), encoding="utf-8-sig", errors="surrogateescape", newline="")
        records = csv.reader(text, strict=True)
        names, form = _understood(_header(records), by_header, exact=exact)
        while True:
            number = records.line_num + 1
            try:
                record = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                yield Line(file, number, None, _no_csv(error, number, records.line_num), place())
                if TOO_LONG in str(error):
                    return
                continue
            except UNREADABLE as error:
                yield Line(file, number, None, f"the file cannot be read beyond this line: {error}", place())
                return
            if not record:
                continue
            yield _csv_line(file, number, names, record, form=form, read_bytes=place())


def _no_csv(error: csv.Error, first: int, last: int) -> str:
    """Why the lines from `first` to `last` are no record."""
    if TOO_LONG in str(error):
        return f"a field is longer than {FIELD_CHARACTERS_MAX} characters: is a quotation mark missing? The file is not read beyond it"
    if NEVER_CLOSED in str(error):
        inside = f"the lines to {last}, the file's last, stand inside it" if last > first else "it seems to be cut off"
        return f"a quotation mark is never closed; {inside}"
    return f"this is not CSV: {error}"


def _csv_line(file: str, number: int, names: list[str], record: list[str], *, form: Format, read_bytes: int) -> Line:
    if len(record) != len(names):
        cut = "; it seems to be cut off" if len(record) < len(names) else "; is a quotation mark missing?"
        return Line(file, number, None, f"{len(record)} of {len(names)} fields{cut}", read_bytes)
    try:
        return Line(file, number, form.read(dict(zip(names, record, strict=True))), "", read_bytes)
    except BadRow as bad:
        return Line(file, number, None, str(bad), read_bytes)


def json_lines(file: str, source: str | None) -> Iterator[Line]:
    """The lines of a JSON Lines file, each a `SubmitComplaint`; `source` is for those without one. Raises OSError."""
    with opened(file) as (content, raw):
        place = _place(raw)
        number = 0
        while True:
            try:
                line = content.readline(LINE_BYTES_MAX + 1)
            except UNREADABLE as error:
                yield Line(file, number + 1, None, f"the file cannot be read beyond this line: {error}", place())
                return
            if not line:
                return
            number += 1
            if len(line) > LINE_BYTES_MAX:
                with suppress(*UNREADABLE):  # whoever reads on will say so
                    while line and not line.endswith(b"\n"):
                        line = content.readline(LINE_BYTES_MAX)
                yield Line(file, number, None, f"longer than {LINE_BYTES_MAX} bytes", place())
            elif line.strip():
                yield _json_line(file, number, line, source, place())


def _json_line(file: str, number: int, line: bytes, source: str | None, read_bytes: int) -> Line:
    try:
        found = from_json(line)
    except ValueError as error:
        return Line(file, number, None, f"this is not JSON: {error}", read_bytes)
    if not isinstance(found, dict):
        return Line(file, number, None, "a line must be one JSON object", read_bytes)
    return Line(file, number, {"source": source, **found} if source else found, "", read_bytes)


def _place(raw: BinaryIO) -> Callable[[], int]:
    return raw.tell if raw.seekable() else lambda: 0


def is_read_once(file: str) -> bool:
    """Whether what was read of it is gone then: standard input, a pipe, a terminal. Raises OSError."""
    return file == STANDARD_INPUT or not (Path(file).is_dir() or stat.S_ISREG(Path(file).stat().st_mode))


def size_of(files: Iterable[str]) -> int | None:
    """The files' bytes on disk altogether; None where one of them is no file on disk. Raises OSError."""
    listed = list(files)
    return None if any(map(is_read_once, listed)) else sum(Path(file).stat().st_size for file in listed)


def header_of(file: str, by_header: HeaderReader | None, *, exact: bool = False) -> None:
    """Looks whether a file opens and its header fits, without reading on. Raises BadFile, OSError."""
    with opened(file) as (content, _):
        if by_header is None:
            _read_on(content)
            return
        text = io.TextIOWrapper(cast("BinaryIO", content), encoding="utf-8-sig", errors="surrogateescape", newline="")
        _understood(_header(csv.reader(text)), by_header, exact=exact)


def _understood(header: list[str], by_header: HeaderReader, *, exact: bool) -> tuple[list[str], Format]:
    """The columns' names and the format. Raises BadFile, with a hint where one column's name looks like several."""
    names = header if exact else [canonical(name) for name in header]
    try:
        return names, by_header(names)
    except BadFile as bad:
        found = [words for one, words in SEPARATORS.items() if len(header) == 1 and one in header[0]]
        hint = f". Its columns seem to be separated by {found[0]}: this reads commas, so save it with commas" if found else ""
        raise BadFile(f"{bad}{hint}") from bad


def _header(records: Iterator[list[str]]) -> list[str]:
    try:
        header = next(records, None)
    except (*UNREADABLE, csv.Error) as error:
        raise BadFile(f"its first line cannot be read: {error}") from error
    if header is None:
        raise BadFile("the file is empty")
    return header


def _read_on(content: IO[bytes]) -> None:
    try:
        content.read(1)
    except UNREADABLE as error:
        raise BadFile(f"it cannot be read: {error}") from error
