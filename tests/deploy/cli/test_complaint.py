from uuid import uuid4

import pytest

from deploy.cli.exits import Exit
from deploy.cli.story import tell
from shared.contract.envelope import complaint_id


def test_a_complaint_is_found_by_its_id_by_its_beginning_and_by_its_reference(cli, system):
    ident = system.submit(ref="by any name")
    for name in (ident, str(ident).upper(), str(ident)[:8], str(ident)[:13], ident.hex[:20], "shop:by any name"):
        done = cli("complaint", "show", name, "--json")
        assert done.code == Exit.DONE, done.err
        assert done.json["id"] == str(ident)


def test_a_source_with_a_colon_in_its_name_is_found_by_its_reference(cli, system):
    ident = str(system.submit(source="we:b", ref="2:3"))
    assert cli("complaint", "show", "we:b:2:3", "--json").json["id"] == ident
    assert cli("complaint", "show", "we:b:2:4").code == Exit.NOT_FOUND


@pytest.mark.parametrize("name", ["7498c", "no-id-at-all", "7498c925-2dd8-58d5-bb38-0b60e51a3d2f0", ":", "shop:", ":4711", "zzzzzz"])
@pytest.mark.parametrize("command", ["show", "history", "trace"])
def test_what_is_no_id_is_a_usage_error(cli, command, name):
    done = cli("complaint", command, name)
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert "write the whole id" in done.err


@pytest.mark.parametrize("name", [uuid4(), "shop:never submitted", uuid4().hex[:12]], ids=["id", "reference", "beginning"])
@pytest.mark.parametrize("command", [("complaint", "show"), ("complaint", "history"), ("complaint", "trace"), ("follow",)])
def test_what_there_is_not_is_not_found(cli, command, name):
    done = cli(*command, name)
    assert (done.code, done.out) == (Exit.NOT_FOUND, "")
    beginning = f"No complaint's id begins with {name}." if len(str(name)) == 12 else f"There is no complaint {name}: submit it first."
    assert done.err == f"{beginning} `makegood complaint list` shows which there are.\n", "it is named as it was typed"


def test_a_beginning_that_two_complaints_share_is_a_usage_error_that_names_them(cli, system):
    refs: dict[str, str] = {}
    for number in range(100_000):
        beginning = str(complaint_id("twins", str(number)))[:6]
        if beginning in refs:
            break
        refs[beginning] = str(number)
    both = [system.submit(source="twins", ref=ref) for ref in (refs[beginning], str(number))]
    done = cli("complaint", "show", beginning)
    assert done.code == Exit.USAGE
    assert all(str(one) in done.err for one in both)
    assert cli("complaint", "show", str(both[0])[:20], "--json").json["id"] == str(both[0])


def test_the_list_is_filtered_as_it_is_asked_for(cli, system, walked):
    other = system.submit(source="mail", product="milk")
    for words, has, has_not in (
        (["--stage", "deliver", "--stage", "own"], {walked, other}, set()),
        (["--stage", "deliver"], {walked}, {other}),
        (["--owner", "person:anna"], {walked}, {other}),
        (["--owner", "-"], {other}, {walked}),
        (["--product", "milk"], {other}, {walked}),
        (["--source", "mail"], {other}, {walked}),
        (["--refused"], {walked}, {other}),
        (["--not-refused"], {other}, {walked}),
        (["--held"], set(), {walked, other}),
        (["--conflicting"], set(), {walked, other}),
        (["--parked"], set(), {walked, other}),
        (["--severity", "high"], set(), {walked, other}),
    ):
        ids = {one["id"] for one in cli("complaint", "list", "--json", "--all", *words).json["complaints"]}
        assert ids >= set(map(str, has)), words
        assert not ids & set(map(str, has_not)), words


def test_a_filter_that_there_is_not_is_a_usage_error(cli):
    assert cli("complaint", "list", "--stage", "lost").code == Exit.USAGE
    assert cli("complaint", "list", "--limit", "0").code == Exit.USAGE


def test_all_pages_are_one_list(cli, system, monkeypatch):
    for number in range(5):
        system.submit(source="paged", ref=str(number))
    monkeypatch.setattr("deploy.cli.complaint.PAGE", 2)
    whole = cli("complaint", "list", "--source", "paged", "--all", "--json").json
    assert [one["ref"] for one in whole["complaints"]] == ["4", "3", "2", "1", "0"]
    assert whole["next"] is None
    some = cli("complaint", "list", "--source", "paged", "--limit", "2", "--json")
    assert some.json["next"]
    assert "There are more" in cli("complaint", "list", "--source", "paged", "--limit", "2").err


def test_a_table_that_no_terminal_shows_is_plain_and_whole(cli, system):
    ident = system.submit(source="plain", summary="[red]wet[/red]\N{RIGHT-TO-LEFT OVERRIDE} bread " + "x" * 80)
    done = cli("complaint", "list", "--source", "plain")
    heading, row = done.out.splitlines()
    assert heading.split() == ["id", "stage", "owner", "note", "source:ref", "received", "about"]
    assert row.startswith(str(ident))
    assert row.endswith(r"[red]wet[/red]\u202e bread " + "x" * 80)
    assert done.err == ""


def test_an_empty_list_is_empty_and_says_so_beside_it(cli):
    done = cli("complaint", "list", "--source", "nobody")
    assert (done.code, done.out, done.err) == (Exit.DONE, "", "There is none.\n")


def test_a_history_is_every_event_and_refusal_as_the_api_gives_it(cli, system, walked):
    told = cli("complaint", "history", walked, "--json").json
    with system.http() as client:
        assert told == client.get(f"/api/complaints/{walked}/history").json()
    assert [one["rule"] for one in told["events"] if one["refused"]] == ["no_fix_before_ownership", "no_excuse_before_delivery"]


def test_a_history_of_more_than_one_page_is_one_document(cli, walked, monkeypatch):
    whole = cli("complaint", "history", walked, "--json").json
    from deploy.cli.client import Client  # noqa: PLC0415

    get = Client.get
    pages = []

    def some(self, path, params=None, **more):
        pages.append(path)
        return get(self, path, {**params, "limit": 4}, **more)

    monkeypatch.setattr(Client, "get", some)
    assert cli("complaint", "history", walked, "--json").json == whole
    assert len(pages) > 3


def test_a_history_tells_when_what_who_and_why(cli, walked):
    lines = cli("complaint", "history", walked).out.splitlines()
    assert lines[0].split() == ["when", "what", "who", "id", "why"]
    [refused] = [line for line in lines if "GiveExplanation" in line]
    assert "refused: GiveExplanation" in refused
    assert "person:anna" in refused
    assert "[no_excuse_before_delivery, invariant 2]" in refused


def test_a_promise_is_shown_with_what_was_promised_and_by_when(cli, system):
    ident = system.submit()
    made = system.ask(ident, "MakePromise", what="A call with what we can do.", due_at="2099-01-02T03:04:05Z").json()["events"][0]
    promise = made["data"]["promise"]["promise_id"]
    system.until_event(ident, "intake.PromiseMade.v1")
    [line] = [line for line in cli("complaint", "show", ident).out.splitlines() if line.startswith("promises")]
    assert line.split(maxsplit=1)[1] == f"open, due 2099-01-02 03:04:05Z: A call with what we can do. ({promise})"
    [told] = cli("complaint", "show", ident, "--json").json["promises"]
    assert (told["promise_id"], told["state"]) == (promise, "open")


def test_a_history_says_of_each_row_whatever_the_console_says_of_it(capsys):
    row = {
        "type": "intake.NeedStated.v1", "at": "2026-11-24T12:00:00Z", "actor": "person:anna", "id": "g1/intake/0/3", "refused": False,
        "rule": None, "invariant": None, "why": "dry bread,\nbefore the weekend", "data": {"need": "dry bread", "tags": ["a", "b"]},
    }  # fmt: skip
    tell([row])
    assert capsys.readouterr().out.splitlines()[1].endswith("  g1/intake/0/3  dry bread, before the weekend")
    tell([row], full=True)
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-24 (UTC)",
        "  12:00:00.000  NeedStated  person:anna  g1/intake/0/3",
        "                dry bread, before the weekend",
        "                need: dry bread",
        '                tags: ["a", "b"]',
    ]


def test_a_whole_history_has_the_fields_of_every_event(cli, walked):
    out = cli("complaint", "history", walked, "--full").out
    assert "what: bread" in out
    assert "need: dry bread" in out
    assert "command: resolution.StartFix.v1" in out
