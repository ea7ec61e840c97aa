"""Whole lives of a learning and a problem, driven by random commands; requests cross between them late and in order."""

from collections import deque
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.rootcause import learning, problem
from services.rootcause.react import react
from shared.contract import rootcause as said
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import decode
from shared.machine.mind import Context, Fact
from tests.invariants import learning as learning_rules
from tests.services.rootcause.said import A_CAUSE, A_PLAN, A_RETRAINING, COMPLAINT, NOW, POLICY, PROBLEM, fold

GENERATIONS = st.integers(1, 3)
WORDS = st.sampled_from(["The form hides the plan.", "The plan has no reserve.", "It is Anna's fault", "The label is torn."])
MAYBE = st.none() | st.just("Call within the hour.")
PLANS = st.builds(
    lambda kind, procedure, recurrence: {**dict(kind), "procedure": procedure, "recurrence_procedure": recurrence},
    st.sampled_from([A_PLAN, A_RETRAINING]),
    MAYBE,
    MAYBE,
)
FACTS = st.one_of(
    st.builds(said.OpenLearning, generation=GENERATIONS, trigger=st.sampled_from(["delivered", "delivered", "delivered", "withdrawn"])),
    st.builds(said.SuspendLearning, generation=GENERATIONS, because=st.sampled_from(["objected", "objected", "reopened"])),
    st.builds(said.NoteCaseClosed, generation=GENERATIONS),
    st.builds(said.ChangeOwner, generation=GENERATIONS, to=st.sampled_from(["person:ines", "person:ravi"])),
)
CAUSES = st.one_of(
    WORDS.map(lambda what: A_CAUSE.model_copy(update={"what": what})),
    st.builds(
        said.VerifyCause, how=st.just("measured"), evidence=st.just("Three test orders."), holds=st.sampled_from([True, True, False])
    ),
    st.builds(said.RecordNoFault, evidence=WORDS, expected_because=WORDS),
)
OTHERS = st.one_of(
    st.builds(said.RecordContainment, what=WORDS),
    st.builds(said.LookSideways, looked_at=st.just(("cakes",)), found=MAYBE),
    st.just(said.JoinProblem(problem_id=PROBLEM)),
)
CORRECTIONS = st.one_of(
    PLANS.map(lambda terms: said.PlanCorrection(**terms)), st.builds(said.CompleteCorrection, evidence=st.just("It is live."))
)
CLOSINGS = st.builds(
    said.CloseLearning,
    outcome=st.sampled_from(["corrected", "corrected", "joined", "no_fault", "no_correction_needed", "cause_not_found"]),
    reason=MAYBE,
)
TO_PROBLEM = st.one_of(
    st.just(said.OpenProblem(title="Beyond the plan", symptom="Promised for a full day.", defect_kind="delivery")),
    st.just(said.AttributeToProblem(complaint_id=COMPLAINT)),
    st.builds(said.RecordProblemContainment, what=WORDS),
    PLANS.map(lambda terms: said.PlanProblemCorrection(**terms)),
    st.builds(said.CompleteProblemCorrection, evidence=st.just("It is live.")),
)


class Lives(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.streams = {COMPLAINT: learning.STREAM, PROBLEM: problem.STREAM}
        self.states = {stream: kind.initial for stream, kind in self.streams.items()}
        self.past = {COMPLAINT: [], PROBLEM: []}
        self.requests = deque()
        self.now = NOW

    def ask(self, stream, command):
        self.now += timedelta(hours=1)
        kind, state = self.streams[stream], self.states[stream]
        context = Context(self.now, POLICY, "person:ines", kind.kind, stream, len(self.past[stream]) + 1, "test")
        decided = kind.decide(state, command, context)
        assert decided == kind.decide(state, command, context)
        if isinstance(decided, Refusal):
            assert not command.internal, f"our own fact was refused: {decided}"
            assert decided.sentence
            self.refused(command, decided)
            return
        for event in decided:
            self.before(stream, event)
            state = kind.evolve(state, event)
            self.past[stream].append(event)
            self.requests.extend(react(Fact(event, stream, "rootcause", "person:ines")))
        self.states[stream] = state
        if not command.internal:
            again = kind.decide(state, command, context)
            nothing = again == [] or isinstance(again, Refusal)
            assert nothing or isinstance(command, said.JoinProblem), f"{command!r} twice gives {again!r}"

    def refused(self, command, refusal):
        if refusal.rule is Rule.NO_LEARNING_BEFORE_DELIVERY:
            assert not any(isinstance(event, said.LearningOpened) for event in self.past[COMPLAINT])

    def before(self, stream, event):
        assert b"Anna" not in event.to_bytes(), "7: a person"
        learning_rules.may_go_on(self.past[stream], event)
        if isinstance(event, said.LearningClosed) and event.outcome == "joined":
            assert any(isinstance(e, said.ProblemCorrectionPlanned) for e in self.past[PROBLEM]), "11"

    @rule(command=FACTS)
    def another_service_tells(self, command):
        self.ask(COMPLAINT, command)

    @rule(command=CAUSES)
    def look_for_the_cause(self, command):
        self.ask(COMPLAINT, command)

    @rule(command=CORRECTIONS)
    def correct(self, command):
        self.ask(COMPLAINT, command)

    @rule(command=OTHERS)
    def do_what_else_there_is(self, command):
        self.ask(COMPLAINT, command)

    @rule(command=CLOSINGS)
    def close(self, command):
        self.ask(COMPLAINT, command)

    @rule(command=TO_PROBLEM)
    def to_the_problem(self, command):
        self.ask(PROBLEM, command)

    @rule()
    def deliver_a_request(self):
        if self.requests:
            request = self.requests.popleft()
            self.ask(request.stream, decode(type(request.command), request.command.to_bytes()))

    @initialize(delivered=st.sampled_from([True, True, False]))
    def begin(self, delivered):
        if delivered:
            self.a_delivery_reaches_it()

    @rule()
    def a_delivery_reaches_it(self):
        heard = [e.generation for e in self.past[COMPLAINT] if isinstance(e, said.LearningSuspended | said.LearningOpened)]
        self.ask(COMPLAINT, said.OpenLearning(generation=max([*heard, 1]), trigger="delivered", owner="person:ines"))

    @invariant()
    def the_state_is_the_fold_of_the_past(self):
        for stream, kind in self.streams.items():
            assert fold(kind, self.past[stream]) == self.states[stream]
            assert fold(kind, [decode(type(event), event.to_bytes()) for event in self.past[stream]]) == self.states[stream]

    @invariant()
    def the_state_is_written_and_read_without_a_difference(self):
        for stream, kind in self.streams.items():
            written = kind.state_type.dump_json(self.states[stream])
            read = kind.state_type.validate_json(written)
            assert read == self.states[stream]
            assert kind.state_type.dump_json(read) == written

    @invariant()
    def no_learning_waits_for_an_answer_that_does_not_come(self):
        assert self.states[COMPLAINT].joining is None or self.requests


Lives.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)


class TestLives(Lives.TestCase):
    pass


def test_a_stream_wants_no_timers_in_this_cut():
    assert learning.STREAM.timers(learning.Learning()) == {}
    assert problem.STREAM.timers(problem.Problem()) == {}


@pytest.mark.parametrize("stream", [learning.STREAM, problem.STREAM], ids=lambda stream: stream.kind)
def test_a_first_state_is_not_closed(stream):
    assert not stream.is_closed(stream.initial)
