"""What is wrong is said in words, and nothing of what somebody else wrote can spoil the line that says it."""

import json

import pytest
from pydantic import ValidationError

from shared.contract.in_words import FAULTS_MAX, NAME_MAX, in_words
from shared.contract.intake import SubmitComplaint
from shared.contract.said import decode
from shared.contract.values import Money


def fault_of(fields: dict[str, object]) -> str:
    with pytest.raises(ValidationError) as found:
        decode(SubmitComplaint, json.dumps(fields).encode())
    return in_words(found.value)


def test_a_fault_names_the_field_and_what_is_wrong_with_it():
    assert "ref is missing" in fault_of({"source": "shop", "narrative": "It broke."})


@pytest.mark.parametrize("letter", ["\x00", "\n", "\x1b", "\u202e"])
def test_an_unknown_fields_name_is_said_without_what_would_not_print(letter):
    said = fault_of({"source": "shop", "ref": "1", "narrative": "It broke.", f"a{letter}b": 1})
    assert said.isprintable()
    assert "a\N{REPLACEMENT CHARACTER}b" in said


def test_an_unknown_fields_name_is_said_only_so_far():
    said = fault_of({"source": "shop", "ref": "1", "narrative": "It broke.", "x" * 5_000: 1})
    assert "x" * NAME_MAX in said
    assert "x" * (NAME_MAX + 1) not in said


def test_so_many_faults_are_said_and_the_others_counted():
    said = fault_of({"source": "shop", "ref": "1", "narrative": "It broke.", **{f"unknown{number}": 1 for number in range(FAULTS_MAX + 5)}})
    assert said.endswith("; and 5 more")
    assert said.count(";") == FAULTS_MAX


def test_a_value_is_never_quoted():
    with pytest.raises(ValidationError) as found:
        Money.model_validate({"amount": "secret words", "currency": "secret"})
    assert "secret" not in in_words(found.value)
