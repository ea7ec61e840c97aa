"""Each promise of docs/guarantees.md cites tests, and those are there."""

import re
from pathlib import Path

import pytest

PAGE = Path("docs/guarantees.md").read_text(encoding="utf-8")
CITED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PROMISES = [line for line in re.split(r"\n(?=\d+\. |- )", PAGE.split("## What it does not promise")[0]) if re.match(r"\d+\. |- ", line)]


def test_there_are_eleven_and_more():
    assert [line.partition(".")[0] for line in PROMISES[:11]] == [str(number) for number in range(1, 12)]
    assert len(PROMISES) > 25


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:40])
def test_each_promise_cites_a_test(promise):
    assert CITED.search(promise)


@pytest.mark.parametrize(("path", "name"), sorted(set(CITED.findall(PAGE))))
def test_what_is_cited_is_there(path, name):
    assert re.search(rf"^(async )?def {name}\(", Path(path).read_text(encoding="utf-8"), re.MULTILINE)
