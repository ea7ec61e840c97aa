"""Every script through the three minds, in memory: just the refusals that are expected, just the stages that are meant."""

from collections import Counter
from datetime import timedelta

import pytest

from deploy.sample.paths import script_of, submission_of
from deploy.sample.problems import problem_scripts
from deploy.sample.prompter import Heard, Prompter
from deploy.sample.scripts import Step, Submission
from shared.contract import intake, resolution, rootcause
from shared.contract.machine import CommandRefused, InputParked, MessageRepeated
from shared.contract.refusals import Rule
from tests.deploy.sample.minds import BEGAN, MINDS, PROMPTER, Together

MANY = 500
SEEDS = (2, 11, 404, 31_337)


def written(seed, many=MANY):
    return [one for number in range(many) for one in (*problem_scripts(seed, number, BEGAN), script_of(seed, number, BEGAN))]


def fed(prompter, minds, scripts):
    minds.run(prompter, [message for script in scripts for message in prompter.begin(script)])
    return prompter.summary


@pytest.fixture(scope="module", params=SEEDS)
def played(request):
    scripts, prompter, minds = written(request.param), Prompter(request.param), Together(request.param)
    fed(prompter, minds, scripts)
    return scripts, prompter, minds


def test_nothing_is_answered_otherwise_than_expected(played):
    _, prompter, _ = played
    assert prompter.summary.unexpected == 0, prompter.summary.shown


def test_every_script_comes_to_its_end(played):
    scripts, prompter, _ = played
    assert not prompter.running
    assert prompter.summary.complaints == MANY
    assert prompter.summary.commands == sum(isinstance(line, Step) for script in scripts for line in script.lines)


def test_just_the_expected_is_refused(played):
    scripts, prompter, minds = played
    expected = Counter(line.refused.code for script in scripts for line in script.lines if isinstance(line, Step) and line.refused)
    assert prompter.summary.rules == expected
    assert sum(heard.type == CommandRefused.type for heard in minds.said) == prompter.summary.refused == expected.total()


def test_every_complaint_is_in_the_stage_that_its_script_is_meant_to_reach(played):
    scripts, prompter, _ = played
    assert prompter.summary.stages == Counter(script.reaches for script in scripts if script.reaches)


def test_nothing_is_asked_that_is_so_already(played):
    _, _, minds = played
    assert not minds.unchanged


def test_promises_are_kept_broken_and_renegotiated(played):
    _, _, minds = played
    found = Counter(heard.type for heard in minds.said)
    for said in (intake, resolution):
        assert found[said.PromiseBroken.type] > 0
        assert found[said.PromiseKept.type] > 0
    assert found[intake.PromiseRenegotiated.type] > 0


def test_all_that_can_have_happened_did_but_for_what_takes_days(played):
    _, _, minds = played
    found = {heard.type for heard in minds.said}
    takes_days = {resolution.DeliveryAssumed}
    stale = {intake.StaleFactIgnored, resolution.StaleFactIgnored, rootcause.StaleFactIgnored}
    everything = {*intake.INTAKE_EVENTS.values(), *resolution.RESOLUTION_EVENTS.values(), *rootcause.ROOTCAUSE_EVENTS.values()}
    missing = {said for said in everything - takes_days - stale if said.type not in found}
    assert not missing


# ---- again, and after an interruption --------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing():
    scripts, first, minds = written(3, 120), Prompter(3), Together(3)
    fed(first, minds, scripts)
    before, second = len(minds.said), Prompter(3)
    for heard in list(minds.said):
        second.recalled(heard)
    summary = fed(second, minds, scripts)
    assert {heard.type for heard in minds.said[before:]} == {MessageRepeated.type}
    assert summary.as_dict() == first.summary.as_dict()
    told = sum(isinstance(line, Submission) for script in scripts for line in script.lines)
    assert summary.repeated == summary.commands + told == summary.answered


@pytest.mark.parametrize("heard_until", [5, 400, 1500, 2500])
def test_a_run_that_was_broken_off_is_gone_on_with(heard_until):
    """What the first run had asked is decided, whether or not it heard of it: some before the second one begins, some after."""

    class Killed(Exception):
        pass

    class Mortal(Prompter):
        heard = 0

        def hear(self, heard):
            self.heard += 1
            if self.heard > heard_until:
                raise Killed
            return super().hear(heard)

    scripts, minds = written(9, 120), Together(9)
    with pytest.raises(Killed):
        fed(Mortal(9), minds, scripts)
    for channel, waiting in minds.channels.items():
        if channel[1] == PROMPTER:
            waiting.clear()
    second = Prompter(9)
    for heard in list(minds.said):
        second.recalled(heard)
    summary = fed(second, minds, scripts)
    assert summary.unexpected == 0, summary.shown
    assert not second.running
    assert summary.stages == Counter(script.reaches for script in scripts if script.reaches)


def test_where_the_system_stood_still_a_promise_may_be_due_before_it_is_made():
    """That is no fault of the script's: it goes on without that promise."""

    class Slow(Together):
        def take(self, service, message):
            if message.type == intake.MakePromise.type and b'"due_at"' in message.body:
                self.now += timedelta(seconds=10)
            super().take(service, message)

    scripts = [one for one in written(2, 200) if not one.reaches or any(getattr(line, "or_refused", None) for line in one.lines)]
    prompter = Prompter(2)
    summary = fed(prompter, Slow(2), scripts)
    assert summary.unexpected == 0, summary.shown
    assert summary.rules[Rule.PROMISE_ALREADY_DUE.code] >= 1
    assert not prompter.running


def test_what_was_parked_is_not_sent_again():
    [script] = [one for one in written(3, 4) if one.name == "3"]
    first, minds = Prompter(3), Together(3)
    fed(first, minds, [script])
    assert sum(heard.type == InputParked.type for heard in minds.said) == 1
    second = Prompter(3)
    for heard in list(minds.said):
        second.recalled(heard)
    fed(second, minds, [script])
    assert sum(heard.type == InputParked.type for heard in minds.said) == 1


# ---- what the prompter makes of the unexpected -----------------------------------------------------------------------------


def test_an_unexpected_refusal_is_shown_with_its_rule_and_ends_that_script_alone():
    scripts = [script_of(2, number, BEGAN) for number in (1, 2)]
    prompter, minds = Prompter(2), Together(2)
    first = [message for script in scripts for message in prompter.begin(script)]
    refused = CommandRefused(command=first[0].type, rule="closed", why="it is closed")
    minds.send(
        prompter.hear(Heard(first[0].id, CommandRefused.type, str(first[0].stream), refused.to_bytes(), "g1/x/0/1", BEGAN.isoformat()))
    )
    minds.run(prompter, first[1:])
    assert prompter.summary.unexpected == 1
    assert prompter.summary.complaints == 2
    assert "closed" in str(prompter.summary.shown[0])


def test_something_accepted_that_was_to_be_refused_is_unexpected():
    script = next(one for one in written(2, 60) if any(isinstance(line, Step) and line.refused for line in one.lines))
    place = next(place for place, line in enumerate(script.lines) if isinstance(line, Step) and line.refused)

    class Lax(Together):
        def take(self, service, message):
            if message.id == f"sample/2/{script.name}/{place}":
                kind = MINDS[service].commands[message.type].stream
                self.tell(service, kind, message.stream, intake.SubmissionRepeated(content_digest="0" * 64, update=False), message.id)
            else:
                super().take(service, message)

    prompter = Prompter(2)
    summary = fed(prompter, Lax(2), [script])
    assert summary.unexpected == 1
    assert "was to be refused by" in summary.shown[0].why


def test_an_answer_that_comes_twice_counts_once():
    script = submission_of(2, 1, BEGAN)
    prompter = Prompter(2)
    [message] = prompter.begin(script)
    received = Together(2)
    received.take("intake", message)
    [heard] = received.said
    prompter.hear(heard)
    prompter.hear(heard)
    assert prompter.summary.submissions == {"accepted": 1}
