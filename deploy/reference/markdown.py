"""Tables and fields in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WRITTEN = "<!-- Written by the code: `make docs`. Do not edit. -->\n\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a line break in a cell becomes a space, a bar is escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def fields(schema: Mapping[str, Any]) -> str:
    """The fields of a command or event, needed ones first in bold: `**owner**, reason`."""
    needed = set(schema.get("required", ()))
    names = sorted(schema.get("properties", {}), key=lambda name: name not in needed)
    return ", ".join(f"**{name}**" if name in needed else name for name in names)
