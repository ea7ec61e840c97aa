import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.cli.exits import Exit
from deploy.cli.main import COMMANDS, everything
from deploy.local.supervisor import release
from tests.deploy.cli.conftest import makegood

ROOT = Path(__file__).parents[3]
CONTRACT = {
    "up", "down", "status", "submit", "complaint list", "complaint show", "complaint history", "complaint trace", "command send",
    "command list", "command show", "verify", "replay", "follow", "parked list", "parked show", "doctor", "trace export", "install", "run",
    "topics rebuild", "projection rebuild",
}  # fmt: skip
READS = CONTRACT - {"up", "down", "submit", "trace export", "run"}
"""What has --json because it reads; `submit` has it, too."""


def leaves(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(leaves(everything()))


def test_every_command_that_was_promised_is_there():
    assert ALL.keys() >= CONTRACT


@pytest.mark.parametrize("name", sorted(READS))
def test_every_command_that_reads_has_json(name):
    assert "--json" in {option for param in ALL[name].params for option in getattr(param, "opts", ())}


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_says_what_it_does_and_gives_an_example(name):
    told = ALL[name].help
    assert told.split("\n")[0].endswith(".")
    assert f"makegood {name}" in told


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_stand_in_says_what_the_command_itself_says_first(name):
    command = everything().commands[name]
    assert COMMANDS[name].sentence == command.help.split("\n\n")[0].replace("\n", " ")


def test_help_comes_at_once_and_loads_no_command():
    script = "import sys; sys.argv = ['makegood', '--help']\nfrom deploy.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    heavy = ("rich", "asyncpg", "aiokafka", "httpx", "pydantic", "deploy.local", "deploy.cli.output")
    script += f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    began = time.process_time(), time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "makegood up" in done.stdout
    assert time.monotonic() - began[1] < 3, "half a second where nothing else runs"


def test_a_command_that_is_mistyped_is_a_usage_error_that_guesses():
    done = makegood("complain", "list")
    assert done.code == Exit.USAGE
    assert "complaint" in done.err
    assert done.out == ""


def test_the_exit_codes_are_what_scripts_rely_on():
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0, "FAILED": 1, "USAGE": 2, "NOT_FOUND": 3, "CONFLICT": 4, "PROOF_FAILED": 5,
    }  # fmt: skip


NEEDS_A_SYSTEM = [
    ["complaint", "list"], ["complaint", "show", "shop:1"], ["complaint", "history", "shop:1"], ["complaint", "trace", "shop:1"],
    ["command", "send", "shop:1", "StartFix"], ["verify"], ["replay", "--check"], ["follow", "shop:1"], ["parked", "list"],
    ["parked", "show", "intake/0/1"], ["trace", "export", "--to", "http://127.0.0.1:1/"], ["sample"], ["run", "intake"],
]  # fmt: skip


@pytest.mark.parametrize("words", NEEDS_A_SYSTEM, ids=" ".join)
def test_where_nothing_runs_every_command_says_so_and_what_to_do(words, tmp_path):
    done = makegood(*words, "--home", tmp_path / "nowhere")
    assert (done.code, done.out) == (Exit.FAILED, "")
    assert done.err == f"Nothing runs in {tmp_path}/nowhere. Start it with `makegood up`; where it is elsewhere, name it: --home FOLDER.\n"


@pytest.mark.parametrize("words", [*NEEDS_A_SYSTEM[:-2], ["sample", "--yes"]], ids=" ".join)
def test_servers_that_do_not_answer_are_a_sentence(words, monkeypatch):
    monkeypatch.setenv("MAKEGOOD_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("MAKEGOOD_DATABASE", "postgresql://makegood@127.0.0.1:1/makegood")
    monkeypatch.setenv("MAKEGOOD_CONSOLE", "http://127.0.0.1:1")
    done = makegood(*words)
    assert (done.code, done.out) == (Exit.FAILED, "")
    assert "does not answer" in done.err
    assert "Traceback" not in done.err


def test_half_of_ones_own_servers_is_not_enough(monkeypatch):
    monkeypatch.setenv("MAKEGOOD_KAFKA", "127.0.0.1:1")
    done = makegood("complaint", "list")
    assert done.code == Exit.USAGE
    assert done.err == "MAKEGOOD_KAFKA is set, but MAKEGOOD_DATABASE is not: set both, to use servers of your own, or neither.\n"


def test_a_setting_that_cannot_be_is_a_sentence_that_names_it(monkeypatch):
    monkeypatch.setenv("MAKEGOOD_SHARDS", "many")
    for words in ([], ["--home", "/tmp"]):
        done = makegood("complaint", "list", *words)
        assert done.code == Exit.USAGE
        assert done.err.startswith("A setting in the environment can't be: MAKEGOOD_SHARDS:")


@pytest.mark.parametrize("command", ["up", "install"])
def test_another_tenant_than_the_one_there_is_is_refused_before_anything_is_made(monkeypatch, tmp_path, command):
    monkeypatch.setenv("MAKEGOOD_TENANT", "acme")
    if command == "install":
        monkeypatch.setenv("MAKEGOOD_KAFKA", "127.0.0.1:1")
        monkeypatch.setenv("MAKEGOOD_DATABASE", "postgresql://makegood@127.0.0.1:1/makegood")
    done = makegood(command, *(["--home", tmp_path / "home"] if command == "up" else []))
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert done.err.startswith("A setting in the environment can't be: MAKEGOOD_TENANT: there is only the tenant default yet")
    assert not (tmp_path / "home").exists()


def test_a_wrong_choice_is_said_in_plain_words():
    done = makegood("complaint", "list", "--stage", "nope")
    assert done.code == Exit.USAGE
    assert done.err.endswith("Error: Invalid value for '--stage': 'nope' is not one of 'own', 'fix', 'deliver', 'retrain', 'settled'.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--yes"], "say why, too, with --reason TEXT"),
        (["--yes", "--reason", " "], "it is empty"),
        (["--yes", "--reason", "no\x07"], "control character"),
        (["--yes", "--reason", "the disk died", "--actor", "system:cron"], "--actor person:NAME"),
    ],
)
def test_topics_are_made_again_only_where_a_person_says_why(words, said, tmp_path):
    done = makegood("topics", "rebuild", "--home", tmp_path, *words)
    assert done.code == Exit.USAGE
    assert said in " ".join(done.err.split())


def test_the_version_is_told():
    done = makegood("--version")
    assert (done.code, done.out) == (Exit.DONE, f"makegood {release()}\n")
