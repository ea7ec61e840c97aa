"""What can be a value: names of one form only, and what is wrong with another is said with what to write."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.contract.catalogue import COMMANDS
from shared.contract.in_words import in_words
from shared.contract.intake import AssignOwner
from shared.contract.values import REFERENCE_MAX, Actor

ONE_OF_US = TypeAdapter(Actor)
PATTERN = ONE_OF_US.json_schema()["pattern"]
LONGEST = "person:" + "x" * 190


@pytest.mark.parametrize(
    "name", ["person:anna", "team:ordering", "system:upstream", "person:anna.keller@example.org", "person:李", LONGEST]
)
def test_one_of_us_is_named_by_kind_and_name(name):
    assert ONE_OF_US.validate_python(f" {name} ") == name
    assert re.search(PATTERN, name)
    assert len(name) <= REFERENCE_MAX


@pytest.mark.parametrize(
    "name",
    [
        "anna", "", "person:", "person: ", "person:anna keller", "person:anna\nkeller", "person:anna\u00a0keller", "person:an\x00na",
        "Person:anna", "source:shop", "service:intake", "clock", "customer:4711", f"{LONGEST}x", "-", "xperson:anna",
    ],
)  # fmt: skip
def test_nobody_else_is_one_of_us(name):
    with pytest.raises(ValidationError):
        ONE_OF_US.validate_python(name)
    assert not re.search(PATTERN, name)


def test_what_is_wrong_with_a_name_is_said_with_what_to_write():
    with pytest.raises(ValidationError) as found:
        AssignOwner.model_validate({"owner": "anna"})
    assert in_words(found.value) == "owner names none of us: write person:NAME, team:NAME or system:NAME, without spaces"


def test_every_public_command_that_names_one_of_us_takes_no_other_form():
    """Else a complaint of `anna` is not found among those of `person:anna`."""
    named = {
        f"{command.type}/{name}": PATTERN in [one.get("pattern") for one in (field, *field.get("anyOf", ()))]
        for command in COMMANDS.values()
        if not command.internal
        for name, field in command.model_json_schema().get("properties", {}).items()
        if name in {"owner", "to"} or (name == "by" and "promise" not in command.type.casefold())
    }
    assert named.keys() >= {"intake.AssignOwner.v1/owner", "intake.AcceptOwnership.v1/by", "intake.TransferOwnership.v1/to"}
    assert named.keys() >= {"rootcause.PlanCorrection.v1/owner", "rootcause.PlanProblemCorrection.v1/owner"}
    assert all(named.values()), named
