"""What the tests of rootcause say again and again."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.rootcause import learning, problem
from services.rootcause.correction import digest_of
from shared.contract.refusals import Refusal, Rule
from shared.contract.rootcause import (
    CauseRecorded,
    CauseVerified,
    CloseLearning,
    CompleteCorrection,
    CorrectionCompleted,
    CorrectionPlanned,
    JoinedCorrection,
    JoinProblem,
    LearningOpened,
    LookSideways,
    PlanCorrection,
    RecordCause,
    RecordContainment,
    RecordNoFault,
    VerifyCause,
)
from shared.contract.said import Command, Event
from shared.contract.values import Stage
from shared.machine.mind import Context, Stream
from shared.policy.loader import shipped

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
DUE = NOW + timedelta(days=20)
COMPLAINT = UUID("9b1f2c1e-6f0a-5d43-8d3c-6f0a1c2d3e4f")
PROBLEM = UUID("5f0c7a52-3a55-5c02-9d4e-0d6a5d6f1b11")
POLICY = shipped()
STREAMS = {"learning": learning.STREAM, "problem": problem.STREAM}


def context(stream: UUID = COMPLAINT, version: int = 1, actor: str = "person:ines") -> Context:
    return Context(now=NOW, policy=POLICY, actor=actor, stream=stream, version=version)


def fold(stream: Stream, past: Iterable[Event]):
    state = stream.initial
    for event in past:
        state = stream.evolve(state, event)
    return state


class Given:
    """A past; `when` says what is asked then."""

    def __init__(self, past: tuple[Event, ...], command: Command | None = None) -> None:
        self.past, self.command = past, command

    def when(self, command: Command) -> "Given":
        return Given(self.past, command)

    def _decided(self):
        stream = STREAMS[self.command.stream]
        where = {"learning": COMPLAINT, "problem": PROBLEM}[stream.kind]
        return stream.decide(fold(stream, self.past), self.command, context(where))

    def then(self, *events: Event) -> None:
        decided = self._decided()
        assert not isinstance(decided, Refusal), decided
        assert list(decided) == list(events)

    def then_refused(self, rule: Rule) -> Refusal:
        decided = self._decided()
        assert isinstance(decided, Refusal), decided
        assert decided.rule is rule
        return decided


def given(*past: Event) -> Given:
    return Given(past)


OPENED = LearningOpened(generation=1, trigger="delivered", owner="person:ines", product="bread")
A_CAUSE = RecordCause(
    kind="information",
    faltered=Stage.OWN,
    self_inflicted=True,
    what="The order form does not show the oven plan.",
    evidence="Form F-12 and the oven plan of the same day.",
)
DIGEST = digest_of(A_CAUSE.kind, A_CAUSE.faltered, str(A_CAUSE.self_inflicted), A_CAUSE.what)
CAUSE_RECORDED = CauseRecorded(digest=DIGEST, **dict(A_CAUSE))
VERIFIED = CauseVerified(how="reproduced", evidence="Three test orders went beyond the plan.", digest=DIGEST)
A_CONTAINMENT = RecordContainment(what="Orders over 20 loaves are checked against the plan by hand.")
A_PLAN = PlanCorrection(kind="workflow", what="The order form shows the free oven slots.", owner="team:ordering", due_at=DUE)
A_RETRAINING = PlanCorrection(
    kind="retraining",
    what="Teach the counter to read the oven plan before a time is promised.",
    owner="person:ines",
    due_at=DUE,
    procedure="Look at the plan of the day; promise the first free slot.",
    recurrence_procedure="Call within the hour, offer the part that is ready, tell the shift lead.",
)
CORRECTION_ID = context().new_id("correction")
PLANNED = CorrectionPlanned(correction_id=CORRECTION_ID, **dict(A_PLAN))
COMPLETED = CorrectionCompleted(correction_id=CORRECTION_ID, evidence="It is live in all shops.")
CORRECTION = JoinedCorrection(correction_id=UUID(int=5), owner="person:ines", due_at=DUE)

ASKED = (
    A_CAUSE,
    VerifyCause(how="observed", evidence="Seen at the counter.", holds=True),
    A_CONTAINMENT,
    LookSideways(looked_at=("cakes",)),
    RecordNoFault(evidence="It came on Friday.", expected_because="The confirmation shows another day."),
    A_PLAN,
    CompleteCorrection(evidence="It is live."),
    JoinProblem(problem_id=PROBLEM),
    CloseLearning(outcome="cause_not_found", reason="All traces were gone."),
)
"""Each public command to a learning once."""
