"""Under an id of which nothing is known: each kind of stream says that there is nothing, and how to begin."""

import pytest

from services.intake.mind import MIND as INTAKE
from services.resolution.mind import MIND as RESOLUTION
from services.rootcause.mind import MIND as ROOTCAUSE
from shared.contract.intake import ReportFinding, SubmitComplaint
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.rootcause import (
    AttributeToProblem,
    CompleteProblemCorrection,
    OpenProblem,
    PlanProblemCorrection,
    RecordProblemContainment,
)
from tests.services.intake.said import ASKED as OF_A_COMPLAINT
from tests.services.resolution.said import ASKED as OF_A_CASE
from tests.services.rootcause.said import ASKED as OF_A_LEARNING
from tests.spec import COMPLAINT, NOW, context

MINDS = (INTAKE, RESOLUTION, ROOTCAUSE)
OF_A_PROBLEM = (
    AttributeToProblem(complaint_id=COMPLAINT),
    RecordProblemContainment(what="Checked by hand."),
    PlanProblemCorrection(kind="workflow", what="The form shows the free slots.", owner="team:ordering", due_at=NOW),
    CompleteProblemCorrection(evidence="It is live."),
)
BEGINS = {SubmitComplaint, ReportFinding, OpenProblem}
REFUSED = {
    "complaint": (OF_A_COMPLAINT, Rule.UNKNOWN_STREAM, "submit it first"),
    "case": (OF_A_CASE, Rule.NO_FIX_BEFORE_OWNERSHIP, "if there is no such complaint, submit it"),
    "learning": (OF_A_LEARNING, Rule.NO_LEARNING_BEFORE_DELIVERY, "if there is no such complaint, submit it"),
    "problem": (OF_A_PROBLEM, Rule.UNKNOWN_STREAM, "open it first"),
}
"""What is asked of each kind of stream, the rule that refuses it, and the way to begin. A case and a learning can't know of a complaint."""
STREAMS = {kind: stream for mind in MINDS for kind, stream in mind.streams.items()}


def test_the_table_has_every_kind_of_stream_and_all_that_people_can_ask_of_it():
    assert REFUSED.keys() == STREAMS.keys()
    for mind in MINDS:
        public = {said for said in mind.commands.values() if not said.internal} - BEGINS
        assert {type(command) for kind in mind.streams for command in REFUSED[kind][0]} == public


@pytest.mark.parametrize(
    ("kind", "command"),
    [(kind, command) for kind, (commands, _, _) in REFUSED.items() for command in commands],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_what_is_asked_of_nothing_is_refused_and_the_refusal_says_how_to_begin(kind, command):
    _, rule, how = REFUSED[kind]
    refusal = STREAMS[kind].decide(STREAMS[kind].initial, command, context(kind))
    assert isinstance(refusal, Refusal)
    assert refusal.rule is rule
    assert how in refusal.sentence


@pytest.mark.parametrize("kind", STREAMS)
def test_no_timer_brings_anything_about_where_there_is_nothing(kind):
    stream = STREAMS[kind]
    for timer in ("objection", f"promise/{COMPLAINT}"):
        assert list(stream.decide(stream.initial, TimerDue(timer=timer, due_at=NOW), context(kind))) == []
    assert stream.timers(stream.initial) == {}
    assert not stream.is_closed(stream.initial)
