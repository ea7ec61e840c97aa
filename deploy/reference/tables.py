"""The tables as a page: from the migrations, with what the code says of each column."""

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from deploy.install import CONSOLE, MACHINE, ROOT
from deploy.migrate import found
from deploy.reference.markdown import WRITTEN, table

TABLE = re.compile(
    r"(?P<about>(?:^--[^\n]*\n)*)^CREATE TABLE (?P<name>\w+) \(\n(?P<columns>.*?)\n\)(?P<more>[^;]*);", re.MULTILINE | re.DOTALL
)
COLUMN = re.compile(r'^\s+"?(?P<name>[a-z_]+)"?\s+(?P<type>[a-z]+)(?P<rest>[^\n]*?),?$')
CLASSES = {
    "head": ("head.py", "Head"),
    "journal": ("bytes.py", "JournalRow"),
    "ledger": ("bytes.py", "LedgerRow"),
    "state": ("rows.py", "Live"),
}
"""Whose attributes say what a table's columns mean."""


def page() -> str:
    """Every table of a deciding service, then the console's."""
    text = WRITTEN + _INTRODUCTION
    for title, folder in (("A deciding service", MACHINE), ("The console", CONSOLE)):
        text += f"\n## {title}\n"
        for migration in found(folder):
            text += "".join(_section(match) for match in TABLE.finditer(migration.sql))
    return text


def _section(match: re.Match[str]) -> str:
    name = match["name"]
    about = " ".join(line.removeprefix("--").strip() for line in match["about"].splitlines())
    meaning = _meanings(*CLASSES[name]) if name in CLASSES else {}
    rows = [(f"`{column}`", of, meaning.get(column, "")) for column, of in _columns(match["columns"])]
    by = f" {match['more'].strip()}" if match["more"].strip() else ""
    return f"\n### {name}\n\n{about}{f' (`{by.strip()}`)' if by else ''}\n\n" + table(("column", "type", "meaning"), rows)


def _columns(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if (match := COLUMN.match(line)) and match["name"] != "primary":
            yield match["name"], match["type"]


def _meanings(file: str, name: str) -> Mapping[str, str]:
    """The words under each attribute of a class."""
    tree = ast.parse((ROOT / "shared" / "machine" / file).read_text(encoding="utf-8"))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    meanings: dict[str, str] = {}
    for node, after in pairwise(body):
        match node, after:
            case ast.AnnAssign(target=ast.Name(id=attribute)), ast.Expr(value=ast.Constant(value=str(words))):
                meanings[attribute] = words
            case _:
                pass
    return meanings


_INTRODUCTION = """# Tables

Each deciding service (intake, resolution, rootcause) has these in a schema of its own, for a role of its own, which may only add to the
journal and the ledger. The console's come after them; they are made of events and could be made again.
"""
