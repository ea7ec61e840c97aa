"""What people do about it: scripts that stop at every stage, whose every line is what the contract takes."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from deploy.sample.dice import Dice
from deploy.sample.house import houses
from deploy.sample.paths import STAGES, script_of
from deploy.sample.problems import problem_scripts
from deploy.sample.scripts import IdOf, Named, NotYet, Soon, Step, Submission, filled
from deploy.sample.upstream import oddity
from services.rootcause.people import person_named
from shared.contract.envelope import key_of
from shared.contract.intake import SubmissionConflicted, SubmissionRepeated
from shared.contract.machine import InputParked
from shared.contract.refusals import Rule
from shared.contract.resolution import MakeDecision
from shared.contract.rootcause import (
    CloseLearning,
    OpenProblem,
    PlanCorrection,
    PlanProblemCorrection,
    RecordCause,
    RecordNoFault,
    VerifyCause,
)
from tests.deploy.sample.minds import BEGAN

MANY = 500
SEEDS = (1, 7, 20_260_303)
UNREACHABLE = {
    Rule.STREAM_WAITING,  # only behind an input that is parked
    Rule.MESSAGE_ID_CONFLICT,  # would be refused anew by a second run, which is to change nothing
    Rule.PROMISE_PAST_DUE,  # the clock breaks a promise before anybody comes too late with it
    Rule.REOPEN_WINDOW_PASSED,  # needs thirty days
    Rule.TOO_MANY,
    *(Rule.NOT_PARKED, Rule.PERSON_NEEDED, Rule.STANDS_AS_IT_IS, Rule.GIVEN_UP),  # operators meet them, who settle what is parked
}
"""The rules that nobody tries."""


class Anything(dict):
    """Whatever a step led to."""

    def get(self, name, default=None):
        return Named(UUID(int=1).hex * 2 if name.startswith("cause") else str(UUID(int=1)), "g1/intake/0/1", BEGAN)


def scripts(seed, many=MANY):
    return [one for number in range(many) for one in (*problem_scripts(seed, number, BEGAN), script_of(seed, number, BEGAN))]


@pytest.fixture(scope="module", params=SEEDS)
def sample(request):
    return scripts(request.param)


def steps(sample):
    return [line for script in sample for line in script.lines if isinstance(line, Step)]


def test_the_same_seed_gives_the_same_scripts():
    assert scripts(7, 40) == scripts(7, 40)
    assert scripts(7, 40) != scripts(8, 40)


def test_a_script_is_the_same_however_many_there_are():
    assert script_of(7, 33, BEGAN) in scripts(7, 60)


def test_every_step_is_what_the_contract_takes(sample):
    for step in steps(sample):
        command = step.asks.model_validate(filled(step.data, Anything()))
        assert not command.internal or step.refused is Rule.NOT_FOR_YOU


def test_all_stages_fill_as_they_should(sample):
    found = Counter(script.reaches for script in sample if script.reaches)
    for stage, share in STAGES.items():
        assert abs(found[stage] - share * MANY) < 0.03 * MANY


def test_all_stages_fill_in_a_small_sample_too():
    assert {script.reaches for script in scripts(5, 20) if script.reaches} == set(STAGES)


def test_every_rule_that_can_be_met_is_tried_in_500(sample):
    assert {step.refused for step in steps(sample) if step.refused} == set(Rule) - UNREACHABLE


def test_most_of_what_is_asked_is_accepted(sample):
    tried = [step for step in steps(sample) if step.refused]
    assert 0.03 < len(tried) / len(steps(sample)) < 0.10


def test_no_cause_names_a_person_but_where_that_is_refused(sample):
    everyone = [owner.ref for house in houses() for owner in house.owners] + [house.lead for house in houses()]
    told = (RecordCause, VerifyCause, RecordNoFault, CloseLearning, OpenProblem)
    named = [
        step.refused
        for step in steps(sample)
        if step.asks in told and any(person_named(str(text), everyone) for text in step.data.values())
    ]
    assert named
    assert set(named) == {Rule.CAUSE_NAMES_A_PERSON}


def test_every_verdict_and_every_outcome_occurs(sample):
    decided = [step.data for step in steps(sample) if step.asks is MakeDecision and not step.refused]
    assert {one["verdict"] for one in decided} == {"uphold", "uphold_in_part", "decline", "clarified"}
    assert all(one["reasons"] for one in decided)
    assert any("no_alternative" in one for one in decided)
    closed = {step.data["outcome"] for step in steps(sample) if step.asks is CloseLearning and not step.refused}
    assert closed == {"corrected", "joined", "no_fault", "no_correction_needed", "cause_not_found"}


def test_corrections_of_both_kinds_are_planned(sample):
    for asks in (PlanCorrection, PlanProblemCorrection):
        planned = {step.data["kind"] for seed in SEEDS for step in steps(scripts(seed, 300)) if step.asks is asks and not step.refused}
        assert planned == {"workflow", "retraining"}


def test_dates_lie_ahead_of_the_sample_but_where_that_is_refused(sample):
    for step in steps(sample):
        due_at = step.data.get("due_at")
        if due_at is not None and not isinstance(due_at, Soon):
            late = due_at < BEGAN + timedelta(hours=20)
            assert late == (step.refused in {Rule.PROMISE_ALREADY_DUE, Rule.CORRECTION_ALREADY_DUE})


def test_some_promises_are_made_that_the_clock_will_break(sample):
    assert sum(isinstance(step.data.get("due_at"), Soon) for step in steps(sample)) > 10


def test_no_line_speaks_of_what_no_line_before_it_leads_to(sample):
    for script in sample:
        known = set()
        for line in script.lines:
            if isinstance(line, Step):
                assert line.needs <= known, script.name
                known.add(line.name)


def test_no_two_steps_of_a_script_have_one_name(sample):
    for script in sample:
        names = [line.name for line in script.lines if isinstance(line, Step) and line.name]
        assert len(names) == len(set(names))


def test_upstreams_repeat_update_contradict_and_break_off(sample):
    told = [line for script in sample for line in script.lines if isinstance(line, Submission)]
    found = Counter(line.expects for line in told)
    assert 1 <= found[InputParked.type] <= 2
    assert 2 <= found[SubmissionConflicted.type] <= 10
    assert 5 <= found[SubmissionRepeated.type] <= 40


def test_the_first_60_have_a_conflict_and_an_input_that_cannot_be_read():
    assert {oddity(number) for number in range(60)} == {"", "broken", "headless", "repeat", "update", "conflict"}


def test_some_upstreams_key_in_their_own_way_or_not_at_all(sample):
    first = [script for script in sample if isinstance(script.lines[0], Submission)]
    keys = Counter(
        "none" if script.lines[0].key is None else "ours" if script.lines[0].key == key_of(script.stream) else "theirs" for script in first
    )
    assert keys["none"] > MANY / 20
    assert keys["theirs"] > MANY / 20
    assert keys["ours"] > MANY / 2


def test_many_complaints_join_a_problem(sample):
    problems = {script.stream for script in sample if script.name.startswith("problem/")}
    joined = Counter(step.data["problem_id"] for step in steps(sample) if "problem_id" in step.data)
    assert max(joined.values()) >= 5
    assert set(joined) & problems


# ---- marks -----------------------------------------------------------------------------------------------------------------


def test_a_mark_is_filled_in_wherever_it_stands():
    known = {"a": Named("1", "g1/intake/0/9", BEGAN)}
    told = {"x": IdOf("a"), "y": {"z": IdOf("a")}, "when": Soon("a", 3), "all": (IdOf("a"),), "text": "as it is"}
    assert filled(told, known) == {"x": "1", "y": {"z": "1"}, "when": BEGAN + timedelta(seconds=3), "all": ("1",), "text": "as it is"}


def test_a_mark_that_is_not_known_yet_stops():
    with pytest.raises(NotYet):
        filled({"x": IdOf("a")}, {})


def test_what_was_not_to_be_is_left_out_of_a_list():
    assert filled({"all": (IdOf("a"),)}, {"a": None}) == {"all": ()}


def test_dice_choose_by_weight_and_each_once():
    dice = Dice("weights")
    chosen = [dice.some("abc", (1, 0, 8), 2) for _ in range(200)]
    assert all(len(set(one)) == 2 for one in chosen)
    assert Counter(one[0] for one in chosen)[2] > 150
