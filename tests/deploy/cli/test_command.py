import json
from uuid import uuid4

import pytest

from deploy.cli.asked import NoSuchValue, askable, fields, named, with_values
from deploy.cli.exits import Exit
from shared.contract.catalogue import COMMANDS, service_of
from shared.contract.envelope import SERVICES, complaint_id
from shared.policy.loader import shipped

DELIVER = ["--set", "what=bread", "--set", "how=by hand", "--set", "evidence=signed"]


def test_what_is_accepted_says_which_event_came_of_it(cli, system):
    done = cli("command", "send", system.submit(), "AssignOwner", "--set", "owner=person:anna")
    assert (done.code, done.err) == (Exit.DONE, "")
    status, event, ident = done.out.split()
    assert (status, event) == ("accepted", "OwnerAssigned")
    assert ident.startswith("g1/intake/")


def test_a_refusal_is_a_conflict_that_names_the_rule_and_says_what_to_do(cli, system):
    done = cli("command", "send", system.submit(), "StartFix")
    assert (done.code, done.out) == (Exit.CONFLICT, "")
    assert done.err == (
        "Refused: nothing is fixed before somebody owns it: complete the ownership first; "
        "if there is no such complaint, submit it. [no_fix_before_ownership, invariant 1]\n"
    )


def test_a_refusal_with_json_is_the_problem_as_the_api_gives_it(cli, system):
    done = cli("command", "send", system.submit(), "Deliver", *DELIVER, "--json")
    assert done.code == Exit.CONFLICT
    assert (done.json["status"], done.json["rule"], done.json["invariant"]) == (409, "no_fix_before_ownership", 1)


def test_what_is_not_answered_in_time_is_done_and_says_where_to_ask(cli, system):
    done = cli("command", "send", system.submit(), "AssignOwner", "--set", "owner=person:anna", "--wait", "0", "--key", "mine")
    assert done.code == Exit.DONE
    status, address = done.out.split()
    assert (status, address.startswith(f"{system.console}/api/commands/")) == ("pending", True)
    assert "--key mine" in done.err


def test_the_same_key_does_nothing_twice_and_is_a_conflict_for_something_else(cli, system):
    ident, key = system.submit(), str(uuid4())
    asked = ["command", "send", ident, "AssignOwner", "--key", key, "--set"]
    first, again = cli(*asked, "owner=person:anna"), cli(*asked, "owner=person:anna")
    assert first.out == again.out
    other = cli(*asked, "owner=person:bob")
    assert (other.code, other.out) == (Exit.CONFLICT, "")
    assert other.err == "This --key was used for something else: give this request a key of its own.\n"


def test_who_asks_is_written_down(cli, system):
    ident = system.submit()
    cli("command", "send", ident, "StateNeed", "--set", "need=dry bread", "--actor", "person:bob")
    assert cli("complaint", "history", ident, "--json").json["events"][-1]["actor"] == "person:bob"
    wrong = cli("command", "send", ident, "StateNeed", "--set", "need=dry", "--actor", "bob")
    assert wrong.code == Exit.USAGE
    assert wrong.err == "--actor: write person:NAME, team:NAME or system:NAME, without spaces.\n"


def test_a_complaint_can_be_submitted_by_a_command(cli):
    ref = uuid4().hex
    words = ["--set", "source=hand", "--set", f"ref={ref}", "--set", "narrative=It was wet.", "--set", "customer.name=Bo"]
    assert cli("command", "send", f"hand:{ref}", "SubmitComplaint", *words, "--set", "tags=a", "--set", "tags=b").code == Exit.DONE
    assert cli("complaint", "show", f"hand:{ref}", "--json").json["customer_name"] == "Bo"


@pytest.mark.parametrize("command", ["SubmitComplaint", "ReportFinding"])
def test_the_reference_says_which_complaint_is_submitted(cli, system, command):
    ref = uuid4().hex
    send = ["command", "send", f"hand:{ref}", command, "--set", "narrative=It was wet."]
    done = cli(*send)
    assert (done.code, done.out.split()[:2]) == (Exit.DONE, ["accepted", "ComplaintReceived"])
    told = system.until(complaint_id("hand", ref), stage="own")
    assert (told["source"], told["ref"]) == ("hand", ref)
    for other in (["ref=99"], ["source=other"], ["source=other", "ref=99"]):
        wrong = cli(*send, *(word for field in other for word in ("--set", field)))
        assert (wrong.code, wrong.out) == (Exit.USAGE, "")
        assert wrong.err.startswith(f"hand:{ref} is one complaint and source=")
    with system.http() as client:
        assert client.get(f"/api/complaints/{complaint_id('other', '99')}/history").status_code == 404, "nothing was sent"


@pytest.mark.parametrize("words", [["StartFix"], ["StateNeed", "--set", "need=dry"], ["CompleteOwnership", "--json"]])
def test_about_a_complaint_that_there_is_not_nothing_is_sent(cli, system, words):
    ref = uuid4().hex
    done = cli("command", "send", f"shop:{ref}", *words)
    assert (done.code, done.out) == (Exit.NOT_FOUND, "")
    assert done.err == f"There is no complaint shop:{ref}: submit it first. `makegood complaint list` shows which there are.\n"
    with system.http() as client:
        assert client.get(f"/api/complaints/{complaint_id('shop', ref)}/history").status_code == 404


def test_a_problem_is_asked_under_its_own_id(cli):
    ident = uuid4()
    fields_ = ["--set", "title=wet bread", "--set", "symptom=the bread is wet", "--set", "defect_kind=product"]
    assert cli("command", "send", ident, "OpenProblem", "--problem", *fields_).code == Exit.DONE
    assert cli("command", "send", "shop:1", "OpenProblem", "--problem", *fields_).code == Exit.USAGE
    wrong = cli("command", "send", ident, "OpenProblem", *fields_)
    assert (wrong.code, wrong.err) == (Exit.USAGE, "OpenProblem is asked of a problem: add --problem, and name the problem's id.\n")
    wrong = cli("command", "send", ident, "StartFix", "--problem")
    assert (wrong.code, wrong.err) == (Exit.USAGE, "StartFix is asked of a complaint: leave out --problem.\n")


def test_the_fields_can_come_from_a_file_and_single_ones_beside_it(cli, system, tmp_path):
    file = tmp_path / "fields.json"
    file.write_text(json.dumps({"what": "call back", "due_at": "2020-01-01T00:00:00Z"}))
    ident = system.submit()
    assert cli("command", "send", ident, "MakePromise", "--data", f"@{file}").code == Exit.CONFLICT, "its date has passed"
    assert cli("command", "send", ident, "MakePromise", "--data", f"@{file}", "--set", "due_at=2099-01-01T00:00:00Z").code == Exit.DONE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Delver"], "Did you mean Deliver?"),
        (["Deliver", "--service", "intake"], "There is no command Deliver of intake."),
        (["Deliver", "--service", "kitchen"], "There is no service kitchen"),
        (["Deliver", "--set", "colour=red"], "Deliver has no field colour; its fields are: what, how, evidence"),
        (["Deliver", "--set", "what"], "--set takes FIELD=VALUE, not what."),
        (["Deliver"], "What is missing; how is missing; evidence is missing."),
        (["Deliver", "--data", "[1]"], "--data takes a JSON object"),
        (["Deliver", "--data", "{"], "--data takes a JSON object"),
        (["Deliver", "--data", "@/nowhere"], "--data takes a JSON object, or @FILE that holds one"),
        (["NoteLearning"], "There is no command NoteLearning."),
        (["PublishPolicy"], "There is no command PublishPolicy."),
        (["Classify", "--set", "central=perhaps"], "central is true or false, not perhaps."),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_in_words(cli, walked, words, said):
    done = cli("command", "send", walked, *words)
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert said in done.err


def test_the_list_has_every_command_that_people_may_give_and_no_other(cli):
    listed = {one["type"]: one for one in cli("command", "list", "--json").json}
    assert listed.keys() == {name for name, command in COMMANDS.items() if service_of(name) in SERVICES and not command.internal}
    assert all(one["about"] for one in listed.values())
    deliver = listed["resolution.Deliver.v1"]
    assert (deliver["service"], deliver["stream"]) == ("resolution", "case")
    assert {field["name"]: field["needed"] for field in deliver["fields"]} == {"what": True, "how": True, "evidence": True, "keeps": False}


def test_the_list_can_be_one_services(cli):
    assert {one["service"] for one in cli("command", "list", "--service", "rootcause", "--json").json} == {"rootcause"}
    assert cli("command", "list", "--service", "kitchen").code == Exit.USAGE


def test_a_command_is_shown_with_its_fields_and_their_limits(cli):
    done = cli("command", "show", "confirmdelivery")
    assert done.code == Exit.DONE
    assert "reply | call | token" in done.out
    assert "may be left out" in done.out
    assert len(cli("command", "show", "MakePromise", "--json").json) == 2, "intake and resolution have one"


@pytest.mark.parametrize(
    ("command", "field", "of_policy"),
    [("Classify", "defect_kind", "defect_kinds"), ("OpenProblem", "defect_kind", "defect_kinds"), ("RecordCause", "kind", "cause_kinds")],
)
def test_what_the_policy_lists_is_shown(cli, command, field, of_policy):
    [kind] = [one["kind"] for one in cli("command", "show", command, "--json").json["fields"] if one["name"] == field]
    assert kind == f"{' | '.join(getattr(shipped(), of_policy))} (as the shipped policy has it)"


# ---- fields as they are typed ----------------------------------------------------------------------------------------------


def put(name, *typed, **data):
    return with_values(data, typed, named(name))


def test_a_text_stays_a_text_whatever_it_looks_like():
    assert put("StateNeed", "need=17") == {"need": "17"}
    assert put("StateNeed", "need=true=false") == {"need": "true=false"}


def test_other_values_are_what_the_field_takes():
    assert put("RecordCause", "self_inflicted=yes") == {"self_inflicted": True}
    assert put("Classify", "severity=high", "central=false") == {"severity": "high", "central": False}


def test_a_list_grows_and_can_be_given_whole():
    assert put("MakeDecision", "reasons=a", "reasons=b") == {"reasons": ["a", "b"]}
    assert put("MakeDecision", 'remedies=[{"what": "bread"}]', "reasons=c", reasons=["a"]) == {
        "reasons": ["a", "c"], "remedies": [{"what": "bread"}],
    }  # fmt: skip
    with pytest.raises(NoSuchValue, match="remedies must be JSON here"):
        put("MakeDecision", "remedies=bread")


def test_a_part_is_named_with_dots():
    assert put("ConfirmDelivery", "proof.kind=reply", "proof.ref=r1") == {"proof": {"kind": "reply", "ref": "r1"}}
    assert put("SubmitComplaint", "details.size=large") == {"details": {"size": "large"}}
    with pytest.raises(NoSuchValue, match=r"has no field proof\.colour"):
        put("ConfirmDelivery", "proof.colour=red")
    with pytest.raises(NoSuchValue, match="proof is given whole already"):
        put("ConfirmDelivery", "proof.kind=reply", proof="?")


def test_what_was_given_is_not_changed():
    data = {"reasons": ["a"]}
    with_values(data, ["reasons=b"], named("MakeDecision"))
    assert data == {"reasons": ["a"]}


@pytest.mark.parametrize("command", askable(), ids=lambda command: command.type)
def test_every_field_of_every_command_can_be_described(command):
    for field in fields(command):
        assert field.kind not in {"", "anything"}, field
