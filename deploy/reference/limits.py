"""The limits as a page: every number in the code that bounds something, found by its name, which ends in what it counts."""

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from deploy.reference.markdown import WRITTEN, table

ROOT = Path(__file__).parents[2]
ROOMS: Mapping[str, str] = {
    "shared/machine": "The machine",
    "shared": "A process's port",
    "services/console": "The console",
    "deploy/feed": "Feeding: `makegood submit`, `makegood sample`",
    "deploy/sample": "What `makegood sample` feeds",
    "deploy/rebuild": "Making again: `makegood topics rebuild`, `makegood projection rebuild`",
    "deploy/traces": "Exporting traces",
    "deploy/local": "The embedded stack",
    "deploy": "The other commands",
    "shared/contract": "What is said aloud",
    "shared/obligations": "Obligations",
    "shared/policy": "The policy",
    "services/intake": "intake",
    "services/resolution": "resolution",
    "services/rootcause": "rootcause",
}
BOUNDS = re.compile(
    r"([A-Z][A-Z0-9_]*_)?(MAX|MAX_SECONDS|SECONDS|MS|BYTES|ROWS|RECORDS|BATCHES|ONCE|CONNECTIONS|HEARTBEATS|DEATHS|TRIES|BACK|KEPT|REMEMBERED)"
)
"""How such a name ends: a most, a unit, or what is counted."""
ELSEWHERE = frozenset({"shared/simulation", "deploy/sample/matters.py", "deploy/sample/people.py", "deploy/sample/owning.py"})
"""What bounds nothing that runs: the tests' simulated servers, and what the sample's people do."""
UNITS: Mapping[str, str] = {"SECONDS": "s", "MS": "ms", "BYTES": "bytes"}
INTRODUCTION = """# Limits

Every queue, batch, wait, retry and body has a limit with a name, and this is all of them. Under more load than can be taken, records
wait in Kafka and requests are turned away with 503: latency grows, memory does not. How far behind a service is, `makegood status`,
`/readyz` and the metric `makegood_lag_seconds` say as the age of the oldest record that waits.

What can be set otherwise is a [setting](settings.md); these are constants. A retry has no last time where what it waits for comes back by
itself (Kafka, PostgreSQL): its pauses are bounded.
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that bounds something."""

    module: str
    name: str
    value: object
    about: str
    """What it bounds; empty where the code does not say."""


def limits(room: str) -> Iterator[Limit]:
    """Those of a folder, but for what is a room of its own, in the order of the code."""
    place = ROOT / room
    others = {ROOT / other for other in (*ROOMS, *ELSEWHERE)} - {place, *place.parents}
    for path in sorted(place.rglob("*.py")):
        if others & {path, *path.parents}:
            continue
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for name, about in _constants(ast.parse(path.read_text(encoding="utf-8"))):
            value = getattr(importlib.import_module(module), name)
            if isinstance(value, (int, float, timedelta)):
                yield Limit(module, name, value, about)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The module's own constants that are named so, each with the docstring below it."""
    for statement, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(statement, ast.Assign):
            continue
        about = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            about = after.value.value
        for target in statement.targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name) and BOUNDS.fullmatch(name.id):
                    yield name.id, about


def page() -> str:
    """All of them, by room."""
    found = WRITTEN + INTRODUCTION
    for room, title in ROOMS.items():
        rows = [(f"`{one.module}:{one.name}`", _shown(one), one.about) for one in limits(room)]
        if rows:
            found += f"\n## {title}\n\n" + table(("limit", "", "what it bounds"), rows)
    return found


def _shown(limit: Limit) -> str:
    """With its unit, where the name has one."""
    value = limit.value
    if isinstance(value, timedelta):
        return f"{value.total_seconds():,.0f} s" if value < timedelta(days=1) else f"{value.days:,} days"
    assert isinstance(value, (int, float)), "limits are numbers"
    number = f"{value:,}" if isinstance(value, int) else f"{value:g}"
    unit = next((shown for part, shown in UNITS.items() if part in limit.name.split("_")), "")
    return f"{number} {unit}".strip()
