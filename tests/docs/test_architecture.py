"""ARCHITECTURE.md is kept true: every name on the page can be imported, every link leads somewhere, every path is there."""

import importlib
import re
from pathlib import Path

import pytest

from deploy.cli.hops import HOPS

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - set((ROOT / "docs" / "reference").glob("*.md")))
NAME = re.compile(r"`([a-z_]+(?:\.[a-z_]+)+):([A-Za-z_]+(?:\.[a-z_]+)?)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
PATH = re.compile(r"`((?:shared|services|deploy|tests|docs)/[\w./-]+)`")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("module", "name"), sorted(set(NAME.findall(ARCHITECTURE))))
def test_every_name_on_the_page_is_in_the_code(module, name):
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)


def test_the_ten_hops_are_those_that_follow_prints():
    told = re.findall(r"^\d+\. \*\*(.+?)\*\* \(`(.+?)`\)", ARCHITECTURE, re.MULTILINE)
    assert told == [(hop.name, hop.code) for hop in HOPS]
    assert len(told) == 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_path_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(text):
        assert (page.parent / link).exists(), link
    for path in PATH.findall(text):
        assert (ROOT / path).exists(), path


def test_every_room_is_on_the_page():
    rooms = {
        path.name
        for room in ("shared", "services", "deploy")
        for path in (ROOT / room).iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    assert {room for room in rooms if f"{room}/" not in ARCHITECTURE} == set()
