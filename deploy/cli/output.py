"""What is printed: data on standard output, everything else on standard error.

Where standard output is no terminal, tables are plain: aligned, whole, without colours or lines.
"""

import json
import logging
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from rich.console import Console

NARROW = 100
"""Columns; below them a terminal is shown less of each row."""
NARROWEST = 8
"""Columns that every column of a table keeps."""
TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of writing, and so can make a text look like another."""


@cache
def _console(stream: str) -> Console:
    return Console(stderr=stream == "stderr", highlight=False, emoji=False, soft_wrap=False)


def out() -> Console:
    """Standard output."""
    return _console("stdout")


def err() -> Console:
    """Standard error."""
    return _console("stderr")


def on_terminal() -> bool:
    """Whether somebody looks at standard output."""
    return sys.stdout.isatty()


def say(sentence: str, *, style: str = "") -> None:
    """A sentence for whoever looks on; no data."""
    err().print(visible(sentence, breaks=True), style=style or None, markup=False, soft_wrap=True)


def show(line: str = "", *, style: str = "") -> None:
    """A line of data."""
    out().print(visible(line), style=style or None, markup=False, soft_wrap=True)


def show_indented(text: str, indent: int, *, hang: int = 0, style: str = "") -> None:
    """A longer text, broken into lines where the terminal ends, each of them indented; by `hang` more after the first.

    A word is broken only where it fits on no line; an address never, so that it can be copied.
    """
    width = max(out().width, indent + hang + 20) if on_terminal() else sys.maxsize
    first, others = " " * indent, " " * (indent + hang)
    wrap = textwrap.TextWrapper(
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words="://" not in text,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    for line in wrap.wrap(visible(text)):
        show(line, style=style)


def show_json(data: Any) -> None:
    """Data as one JSON document."""
    print(json.dumps(data, indent=2, ensure_ascii=False, default=_as_text))  # noqa: T201 - data goes to standard output


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else value.hex() if isinstance(value, bytes) else str(value)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> None:
    """Rows as a table; `right`: which columns are numbers. On a terminal what is too wide for it is cut, the widest column first."""
    cells = [[visible(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    if on_terminal():
        widths = _fitted(widths, out().width - 2 * (len(widths) - 1))
    numbers = frozenset(right)
    for row, style in ((headings, "bold"), *((row, "") for row in cells)):
        aligned = [_aligned(cell, width, to_right=number in numbers) for number, (cell, width) in enumerate(zip(row, widths, strict=True))]
        show("  ".join(aligned).rstrip(), style=style)


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """The widths, made narrower where there is too little room: always the widest one."""
    found = list(widths)
    while sum(found) > room and max(found) > NARROWEST:
        found[found.index(max(found))] -= 1
    return found


def _aligned(cell: str, width: int, *, to_right: bool) -> str:
    cut = cell if len(cell) <= width else f"{cell[: width - 1]}…"
    return cut.rjust(width) if to_right else cut.ljust(width)


def fields(pairs: Mapping[str, object]) -> None:
    """A thing's fields, one a line: what is empty is left out."""
    there = {name: str(value) for name, value in pairs.items() if value not in (None, "", [], {}, ())}
    width = max(map(len, there), default=0)
    for name, value in there.items():
        first, *more = value.splitlines() or [""]
        show_indented(f"{name.ljust(width)}  {first}", 0, hang=width + 2)
        for line in more:
            show_indented(line, width + 2)


def visible(text: str, *, breaks: bool = False) -> str:
    """Text without anything that could move a terminal's cursor or turn its writing round: such characters as escapes.

    `breaks`: line breaks are kept.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _harmless(one, breaks=breaks) else repr(one)[1:-1] for one in text)


def _harmless(one: str, *, breaks: bool) -> bool:
    return (breaks and one == "\n") or (unicodedata.category(one) not in {"Cc", "Cs", "Zl", "Zp"} and one not in TURNING)


def moment(at: str | datetime | None, *, precise: bool = False) -> str:
    """A moment as it is shown everywhere: UTC, to the second or to the millisecond."""
    if at is None:
        return "–"
    when = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}{f'.{when.microsecond // 1000:03}' if precise else ''}Z"


def log_to_stderr() -> None:
    """What is logged on the way goes to standard error: data alone goes to standard output. What Kafka's client says we say ourselves."""
    import structlog  # noqa: PLC0415 - most commands log nothing

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
