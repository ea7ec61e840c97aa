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
ADDITION = re.compile(r"(?P<about>(?:^--[^\n]*\n)*)^ALTER TABLE (?P<name>\w+) (?P<columns>ADD COLUMN [^;]*);", re.MULTILINE)
ADDED = re.compile(r'ADD COLUMN "?(?P<name>[a-z_]+)"? (?P<type>[a-z]+)')
COLUMN = re.compile(r'^\s+"?(?P<name>[a-z_]+)"?\s+(?P<type>[a-z]+)(?P<rest>[^\n]*?),?$')
CLASSES = {
    "head": ("head.py", "Head"),
    "journal": ("bytes.py", "JournalRow"),
    "ledger": ("bytes.py", "LedgerRow"),
    "state": ("rows.py", "Live"),
}
"""Whose attributes say what a table's columns mean."""


def page() -> str:
    """Every table of a deciding service, then the console's, each as it is after the last migration."""
    text = WRITTEN + _INTRODUCTION
    for title, folder in (("A deciding service", MACHINE), ("The console", CONSOLE)):
        text += f"\n## {title}\n"
        sql = "".join(migration.sql for migration in found(folder))
        text += "".join(_section(match, sql) for match in TABLE.finditer(sql))
    return text


def _section(match: re.Match[str], sql: str) -> str:
    name = match["name"]
    additions = [one for one in ADDITION.finditer(sql) if one["name"] == name]
    about = "\n\n".join(_said(one) for one in (match, *additions))
    meaning = _meanings(*CLASSES[name]) if name in CLASSES else {}
    columns = [*_columns(match["columns"]), *((one["name"], one["type"]) for more in additions for one in ADDED.finditer(more["columns"]))]
    rows = [(f"`{column}`", of, meaning.get(column, "")) for column, of in columns]
    by = f" {match['more'].strip()}" if match["more"].strip() else ""
    return f"\n### {name}\n\n{about}{f' (`{by.strip()}`)' if by else ''}\n\n" + table(("column", "type", "meaning"), rows)


def _said(match: re.Match[str]) -> str:
    return " ".join(line.removeprefix("--").strip() for line in match["about"].splitlines())


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
