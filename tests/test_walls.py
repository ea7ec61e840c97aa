"""The walls that no import shows: minds read no clock and draw no random number; files are small; nothing is called what says nothing."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = sorted(
    path
    for folder in ("services/intake", "services/resolution", "services/rootcause", "shared/obligations", "shared/policy", "shared/contract")
    for path in (ROOT / folder).glob("*.py")
    if path.name not in {"__main__.py", "loader.py"}
)
"""All that a mind is made of. What starts a process, and what reads the shipped policies for it, is not."""
PRODUCT = sorted(path for room in ("shared", "services", "deploy") for path in (ROOT / room).rglob("*.py"))
FORBIDDEN = {
    "now",
    "utcnow",
    "today",
    "time",
    "time_ns",
    "monotonic",
    "perf_counter",
    "uuid1",
    "uuid4",
    "random",
    "randint",
    "choice",
    "open",
    "sleep",
}
"""What a mind must not call, whoever's method it is. A mind's `now` is an attribute of its context, and not called."""
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "base", "manager", "misc", "service_layer"}
LINES_MAX = 400


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_mind_calls_no_clock_no_chance_and_no_file(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith), (
            f"line {node.lineno}: a mind waits for nothing"
        )
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert name not in FORBIDDEN, f"line {node.lineno}: {name}()"


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small_and_named_for_what_they_hold(path):
    if "contract" not in path.parts:  # a catalogue is as long as what it lists
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX
    assert not EMPTY_NAMES & {path.stem, *path.relative_to(ROOT).parts}


@pytest.mark.parametrize(
    "room", ["shared", "services", "deploy", *(f"services/{name}" for name in ("intake", "resolution", "rootcause", "console"))]
)
def test_every_room_has_a_first_page(room):
    page = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    assert page
    assert len(page) > 40
