"""submit: which Kafka it goes to, which files it takes, and how it ends."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.cli.exits import Exit
from shared.contract.envelope import complaint_id
from tests.deploy.cli.conftest import makegood

CSV = ["submit", "--format", "csv", "--source", "files", "--map", "ref=Ticket", "--map", "narrative=Text"]
HEADER = "Ticket,Text\n"


@pytest.fixture
def file(tmp_path):
    def written(content, name="tickets.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def tickets(many):
    return HEADER + "".join(f"{uuid4().hex},The bread was wet.\n" for _ in range(many))


def test_every_row_is_answered_and_the_same_file_again_changes_nothing(cli, file):
    path = file(tickets(3))
    done = cli(*CSV, path, "--json")
    assert (done.code, done.json) == (Exit.DONE, {"rows": 3, "accepted": 3, "repeated": 0, "conflicting": 0, "bad": 0})
    assert done.err.splitlines()[-1].endswith(" s: 3 accepted, 0 repeated, 0 conflicting, 0 bad")
    assert cli(*CSV, path, "--json").json["repeated"] == 3


def test_every_row_of_a_quirky_file_is_accepted_repeated_conflicting_or_bad(cli, file):
    rows = []
    for number in range(60):
        ref = uuid4().hex
        rows += [("accepted", f'{ref},"The bread, {number} loaves,\r\nwas ""wet""."')]
        rows += [("repeated", f' {ref} ,"The bread, {number} loaves,\r\nwas ""wet""."')] * (number % 3)
        rows += [("conflicting", f"{ref},The bread was {said}.") for said in ("dry", "late")[: number % 4 // 2 + number % 2]]
        rows += [("bad", f"{uuid4().hex},The bread,was wet."), ("bad", ",nobody's"), ("bad", f'{uuid4().hex},"The "bread"')][: number % 4]
    rows += [("bad", f'{uuid4().hex},"The bread\nwas, well,\nwet.')]
    done = cli(*CSV, file(HEADER + "\r\n".join(row for _, row in rows)), "--json")
    assert done.json == {"rows": len(rows), **Counter(kind for kind, _ in rows)}


def test_what_is_only_sent_is_counted_in_one_line(cli, file):
    done = cli(*CSV, file(tickets(1)), "--no-wait")
    assert (done.code, done.out) == (Exit.DONE, "")
    assert done.err.startswith("1 row in ")
    assert done.err.endswith(" s: 1 sent, 0 bad\n")


def test_where_no_row_could_be_used_it_failed(cli, file):
    bad = file(HEADER + ",no number\n,no number either\n")
    for words in ([], ["--dry-run"]):
        done = cli(*CSV, bad, "--json", *words)
        assert (done.code, done.json["bad"]) == (Exit.FAILED, 2)
        assert f"{bad}:2: Ticket is empty" in done.err
    some = file(tickets(1) + ",no number\n")
    assert cli(*CSV, some).code == Exit.DONE
    assert cli(*CSV, some, "--strict").code == Exit.FAILED
    assert cli(*CSV, file(HEADER)).code == Exit.DONE, "there was nothing to use"


def test_it_goes_to_the_stack_of_a_home_and_to_another_kafka_only_where_that_is_named(file, tmp_path, monkeypatch):
    path = file(tickets(1))
    done = makegood(*CSV, path, "--home", tmp_path)
    assert (done.code, done.out) == (Exit.FAILED, "")
    assert done.err.startswith(f"Nothing runs in {tmp_path}. Start it with `makegood up`")
    assert makegood(*CSV, path, "--home", tmp_path, "--dry-run").code == Exit.DONE, "what sends nothing needs no Kafka"
    nowhere = "Kafka does not answer at 127.0.0.1:1. `makegood status` tells what runs.\n"
    assert makegood(*CSV, path, "--kafka", "127.0.0.1:1").err == nowhere
    monkeypatch.setenv("MAKEGOOD_KAFKA", "127.0.0.1:1")
    assert makegood(*CSV, path, "--home", tmp_path).err == nowhere


@pytest.mark.parametrize(("separator", "words"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_a_file_that_is_separated_otherwise_says_so(file, separator, words):
    path = file(tickets(1).replace(",", separator))
    for asked in (CSV, ["submit", "--format", "cfpb"]):
        done = makegood(*asked, path)
        assert done.code == Exit.USAGE
        assert f"Its columns seem to be separated by {words}: this reads commas" in done.err


BINARIES = {
    "a picture": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4,
    "a zipped program": gzip.compress(b"\x7fELF\x02\x01\x01" + bytes(2000)),
    "Cyrillic of Windows": "Номер,Текст\n1,Хлеб был мокрый\n".encode("cp1251"),
}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("name", BINARIES)
def test_what_is_no_text_is_said_to_be_none_and_not_shown(file, kind, name):
    path = file(BINARIES[name], "file.bin")
    done = makegood("submit", "--format", kind, "--source", "files", path)
    assert done.code == Exit.USAGE
    assert done.err == f"{path}: this is no text in UTF-8: it is another kind of file, or was saved in another encoding.\n"


def test_a_file_of_another_encoding_says_which(file):
    done = makegood(*CSV, file(tickets(1).encode("utf-16")))
    assert (done.code, "this is UTF-16: save it as UTF-8." in done.err) == (Exit.USAGE, True)


def test_a_text_with_a_few_odd_characters_is_still_a_text(cli, file):
    line = json.dumps({"ref": uuid4().hex, "narrative": "Grün, weiß, naïve " * 20}, ensure_ascii=False)
    done = cli("submit", "--format", "jsonl", "--source", "files", file(line.encode() + b'\n{"ref": "\xff\x00"}\n'), "--json")
    assert (done.code, done.json["accepted"], done.json["bad"]) == (Exit.DONE, 1, 1)


def piped(system, *words, shell):
    """Runs `makegood submit` as a program: `shell` says where `$@`, its words, go."""
    program = [str(Path(sys.executable).with_name("makegood")), *words, "--json"]
    env = {**os.environ, "MAKEGOOD_HOME": str(system.home)}
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *map(str, program)], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.returncode == Exit.DONE, done.stderr
    return json.loads(done.stdout)


ZIPPED = f"{sys.executable} -c 'import gzip, sys; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))'"


@pytest.mark.parametrize(
    "shell",
    ['"$@" <(cat {0})', 'cat {0} | "$@" -', 'cat {0} | "$@" /dev/stdin', '"$@" - <{0}', f'"$@" <({ZIPPED} <{{0}}) {{0}}'],
    ids=["substituted", "piped", "piped by name", "redirected", "zipped"],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_pipe_is_as_good_as_a_file(system, file, kind, shell):
    lines = "".join(json.dumps({"ref": uuid4().hex, "narrative": "The bread was wet."}) + "\n" for _ in range(3))
    path = file(tickets(3)) if kind == "csv" else file(lines, "tickets.jsonl")
    words = CSV if kind == "csv" else ["submit", "--format", "jsonl", "--source", "files"]
    counts = piped(system, *words, shell=shell.format(path))
    assert (counts["accepted"], counts["bad"]) == (3, 0)


def test_what_comes_from_a_pipe_is_submitted_while_the_pipe_is_open(system):
    words = [str(Path(sys.executable).with_name("makegood")), "submit", "--format", "jsonl", "--source", "pipe", "--json", "-"]
    env = {**os.environ, "MAKEGOOD_HOME": str(system.home)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as submitting:
        for _ in range(2):
            ref = uuid4().hex
            submitting.stdin.write(json.dumps({"ref": ref, "narrative": "The bread was wet."}) + "\n")
            submitting.stdin.flush()
            system.until(complaint_id("pipe", ref), ref=ref)
        submitting.stdin.close()
        assert json.loads(submitting.stdout.read())["accepted"] == 2
