"""What each mind can read, held against what was noted for its rules: an input that could not be read was parked, and a replay by a later
release must not read it either, until the entry from which on the later rules are in force.
"""

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.cli.minds import MINDS
from deploy.schemas import plain
from services.intake.mind import MIND
from shared.contract.catalogue import MACHINE_COMMANDS, schema_of
from shared.contract.intake import SubmitComplaint
from shared.machine.mind import MACHINE_RULES
from shared.policy.model import Policy

NOTES = Path(__file__).parents[1] / "golden" / "readable.toml"
NOTED = tomllib.loads(NOTES.read_text())
WHAT_TO_DO = """What {whose} can read is not what {notes} notes for rules {rules}. Raise {where},
let what decided by those rules go on reading as it did (ADR 11), and note under the new number: "{digest}".
Where no installation ever decided by rules {rules}, note it under that."""
MINDS_OF_ALL_RULES = [one for mind in MINDS.values() for one in (mind, *mind.earlier)]


def digest(of):
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]


def readable(mind):
    """All that decides whether a record can be read, and as what."""
    said = {name: plain(schema_of(one)) for name, one in {**mind.commands, **mind.hears}.items()}
    return digest([said, sorted(mind.hears_from), mind.listener, mind.submission and mind.submission.type])


@pytest.mark.parametrize("mind", MINDS_OF_ALL_RULES, ids=lambda mind: f"{mind.service} by rules {mind.own_rules}")
def test_a_mind_reads_what_is_noted_for_its_rules(mind):
    found, rules = readable(mind), mind.own_rules
    where = f"own_rules in services/{mind.service}/mind.py"
    to_do = WHAT_TO_DO.format(whose=f"the mind of {mind.service}", notes=NOTES.name, rules=rules, where=where, digest=found)
    assert NOTED[mind.service].get(str(rules)) == found, to_do


def test_the_machine_reads_what_is_noted_for_its_rules():
    found = digest([{name: plain(schema_of(one)) for name, one in MACHINE_COMMANDS.items()}, plain(Policy.model_json_schema())])
    where = "MACHINE_RULES in shared/machine/mind.py"
    to_do = WHAT_TO_DO.format(whose="the machine", notes=NOTES.name, rules=MACHINE_RULES, where=where, digest=found)
    assert NOTED["machine"].get(str(MACHINE_RULES)) == found, to_do


class WithAField(SubmitComplaint):
    more: str = ""


class AnotherName(SubmitComplaint):
    type = "intake.SubmitComplaint.v2"


@pytest.mark.parametrize("changed", [WithAField, AnotherName])
def test_a_new_field_or_command_is_noticed(changed):
    assert readable(replace(MIND, commands={**MIND.commands, changed.type: changed})) != readable(MIND)


def test_words_are_not():
    class InOtherWords(SubmitComplaint):
        """Something happened."""

    assert readable(replace(MIND, commands={**MIND.commands, InOtherWords.type: InOtherWords})) == readable(MIND)
