import copy
import json

import pytest

from deploy import schemas as writer
from shared.contract import catalogue
from shared.contract.envelope import SERVICES, is_requested
from shared.contract.said import Command, Event, short_name

ALL = sorted({**catalogue.COMMANDS, **catalogue.EVENTS})
OWN = "rootcause.CorrectionPlanned.v1"


@pytest.mark.parametrize("type_name", ALL)
def test_a_stored_name_says_whose_it_is_what_and_which_version(type_name):
    service, name, version = type_name.split(".")
    assert service == catalogue.service_of(type_name)
    assert service in {*SERVICES, "machine"}
    assert name.isidentifier()
    assert version == f"v{catalogue.version_of(type_name)}"


def test_a_name_is_a_command_or_an_event_never_both():
    assert not catalogue.COMMANDS.keys() & catalogue.EVENTS.keys()
    assert all(issubclass(said, Command) for said in catalogue.COMMANDS.values())
    assert all(issubclass(said, Event) for said in catalogue.EVENTS.values())


def test_no_name_looks_like_a_request_to_another_stream():
    """`…Requested` is how the relay knows what to pass on as a command."""
    assert not [type_name for type_name in ALL if is_requested(type_name)]


@pytest.mark.parametrize("type_name", ALL)
def test_each_says_why_it_is_there(type_name):
    said = {**catalogue.COMMANDS, **catalogue.EVENTS}[type_name]
    assert said.__doc__


def test_a_command_is_found_by_the_name_that_people_use():
    assert catalogue.by_short_name("RecordCause").type == "rootcause.RecordCause.v1"
    assert catalogue.by_short_name("rootcause.RecordCause.v1").type == "rootcause.RecordCause.v1"
    assert catalogue.by_short_name("RecordCause", "rootcause").type == "rootcause.RecordCause.v1"
    for name, service in (("Whatever", None), ("RecordCause", "intake"), ("CauseRecorded", None)):
        with pytest.raises(LookupError, match=name):
            catalogue.by_short_name(name, service)


def test_a_name_that_two_services_use_needs_the_service():
    names = [short_name(type_name) for type_name in catalogue.COMMANDS]
    for type_name in catalogue.COMMANDS:
        name, service = short_name(type_name), catalogue.service_of(type_name)
        assert short_name(catalogue.by_short_name(name, service).type) == name
        if names.count(name) > 1:
            with pytest.raises(LookupError, match="more than one"):
                catalogue.by_short_name(name)


def test_the_written_schemas_are_those_of_the_code():
    assert writer.stale() == [], "run: python -m deploy.schemas"


def test_nothing_that_is_said_breaks_its_written_schema():
    assert writer.broken() == {}


def without(field):
    return lambda schema: schema["properties"].pop(field)


def needing(field):
    return lambda schema: schema["properties"].update({field: {"type": "string"}}) or schema["required"].append(field)


def by_default(field, value):
    return lambda schema: schema["properties"][field].update(default=value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (None, "it is gone, and old journals and ledgers hold it"),
        (without("what"), "the field what is gone"),
        (needing("colour"), "the new field colour is not optional"),
        (by_default("keeps", ["all"]), "the field keeps has changed"),
    ],
)
def test_a_command_is_guarded_as_an_event_is_since_journals_keep_it_for_ever(tmp_path, monkeypatch, capsys, change, why):
    writer.write(tmp_path)
    today = catalogue.schemas()
    if change is None:
        del today["resolution.Deliver.v1"]
    else:
        change(today["resolution.Deliver.v1"])
    monkeypatch.setattr(writer, "schemas", lambda: today)
    assert writer.broken(tmp_path) == {"resolution.Deliver.v1": [why]}
    monkeypatch.setattr(writer.broken, "__defaults__", (tmp_path,))  # where `main` looks
    assert writer.main([]) == 1
    assert capsys.readouterr().err == f"resolution.Deliver.v1: {why}. Give it a new version.\n"


def test_a_schema_of_today_may_gain_an_optional_field():
    old = catalogue.schemas()[OWN]
    new = copy.deepcopy(old)
    new["properties"]["cost"] = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    new["properties"]["what"]["description"] = "Better words."
    assert writer.breaks(old, new) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda new: new["properties"].pop("what"), "what is gone"),
        (lambda new: new["properties"]["what"].update(maxLength=5), "what has changed"),
        (lambda new: new["properties"]["kind"]["enum"].append("tooling"), "kind has changed"),
        (lambda new: new["properties"].update(cost={"type": "string"}) or new["required"].append("cost"), "new field cost"),
        (lambda new: new["required"].append("procedure"), "procedure was optional"),
        (lambda new: new["required"].remove("what"), "what was needed"),
        (by_default("procedure", "how it was done before"), "procedure has changed"),
    ],
)
def test_anything_else_needs_a_new_version(change, why):
    old = catalogue.schemas()[OWN]
    new = copy.deepcopy(old)
    change(new)
    assert any(why in one for one in writer.breaks(old, new))


def test_a_change_inside_a_value_is_noticed_through_its_reference():
    old = catalogue.schemas()["rootcause.CorrectionJoined.v1"]
    new = copy.deepcopy(old)
    new["$defs"]["JoinedCorrection"]["properties"]["owner"]["maxLength"] = 5
    assert writer.breaks(old, new) == ["the field correction has changed"]


def test_the_writer_writes_what_is_stale_and_removes_what_is_gone(tmp_path):
    assert len(writer.write(tmp_path)) == len(ALL)
    assert writer.stale(tmp_path) == []
    (tmp_path / f"{OWN}.json").write_text("{}")
    (tmp_path / "rootcause.Forgotten.v1.json").write_text("{}")
    assert writer.stale(tmp_path) == [f"{OWN}.json", "rootcause.Forgotten.v1.json"]
    assert "rootcause.Forgotten.v1" in writer.broken(tmp_path)
    writer.write(tmp_path)
    assert writer.stale(tmp_path) == []


@pytest.mark.parametrize("type_name", ALL)
def test_a_schema_says_where_it_is_published_and_who_may_say_it(type_name):
    schema = catalogue.schemas()[type_name]
    assert schema["$id"].endswith(f"/{type_name}.json")
    assert ("x-stream" in schema) == (type_name in catalogue.COMMANDS)
    assert json.loads(writer.text_of(schema)) == schema
