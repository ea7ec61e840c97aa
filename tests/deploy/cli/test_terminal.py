"""What somebody sees at a terminal of 80 columns, and of 120: nothing is cut that matters, and no line is broken by the terminal."""

import pytest

from deploy.cli import output
from deploy.cli.exits import Exit
from deploy.cli.main import COMMANDS, everything
from deploy.cli.story import tell
from tests.deploy.cli.conftest import makegood
from tests.deploy.cli.test_main import ALL

WIDTHS = (80, 120)
WHOLE = ("http://", "https://", "postgresql://")
"""What is never broken, so that it can be copied."""


@pytest.fixture(params=WIDTHS)
def columns(request, monkeypatch):
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("TERMINAL_WIDTH", str(request.param))
    return request.param


def fits(text, columns):
    return [line for line in text.splitlines() if len(line.rstrip()) > columns and not any(word in line for word in WHOLE)] == []


@pytest.mark.parametrize("name", ["", *COMMANDS, *ALL])
def test_help_fits(columns, name):
    done = makegood(*name.split(), "--help")
    assert done.code == Exit.DONE
    assert fits(done.out, columns), done.out


def test_at_eighty_columns_every_command_is_told_of_in_one_line():
    longest = max(len(name) for name in everything().commands)
    for name, later in COMMANDS.items():
        assert len(later.sentence) <= 80 - longest - 6, name


VIEWS = [
    ["complaint", "list"], ["complaint", "show"], ["complaint", "history"], ["complaint", "trace"], ["follow"], ["command", "list"],
    ["command", "show", "MakeDecision"], ["status"], ["doctor"], ["verify"], ["replay", "--check"], ["parked", "list"],
]  # fmt: skip


@pytest.mark.parametrize("words", VIEWS, ids=" ".join)
def test_what_is_shown_fits(cli, walked, columns, words):
    of_one = words in (["complaint", "show"], ["complaint", "history"], ["complaint", "trace"], ["follow"])
    done = cli(*words, *([walked] if of_one else []))
    assert done.code == Exit.DONE, done.err
    assert fits(done.out, columns), done.out


def test_a_list_at_a_terminal_has_the_beginnings_of_ids_and_every_command_takes_them(cli, walked, columns):
    [row] = [line for line in cli("complaint", "list", "--stage", "deliver").out.splitlines() if line.startswith(str(walked)[:8])]
    assert str(walked) not in row
    assert cli("complaint", "show", row.split()[0], "--json").json["id"] == str(walked)


def test_a_history_at_a_terminal_has_a_heading_for_each_day_and_a_line_for_each_reason(cli, walked, columns):
    lines = cli("complaint", "history", walked).out.splitlines()
    assert lines[0].endswith(" (UTC)")
    at = next(number for number, line in enumerate(lines) if "refused: GiveExplanation" in line)
    reason = " ".join(line.strip() for line in lines[at + 1 : at + 4])
    assert "deliver first. [no_excuse_before_delivery, invariant 2]" in reason


LONG = "The courier was asked to ring twice, and rang once. " * 6 + "x" * 200


def test_long_texts_of_a_history_are_broken_where_the_terminal_ends(columns, capsys):
    row = {
        "type": "intake.NeedStated.v1", "at": "2026-11-24T12:00:00Z", "actor": "person:anna", "id": "g1/intake/0/3", "refused": False,
        "rule": None, "invariant": None, "why": LONG, "data": {"need": LONG},
    }  # fmt: skip
    output._console.cache_clear()
    tell([row], full=True)
    out = capsys.readouterr().out
    output._console.cache_clear()
    assert fits(out, columns), out
    said = "".join("".join(out.split("\n")[2:]).split())
    assert said.count("".join(LONG.split())) == 2, "nothing of it is lost"
