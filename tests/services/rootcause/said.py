"""What the tests of rootcause say again and again."""

from datetime import timedelta
from uuid import UUID

from services.rootcause import learning, problem
from services.rootcause.correction import digest_of
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
from shared.contract.said import Event
from shared.contract.values import Stage
from tests.spec import COMPLAINT, NOW, POLICY, Given, context, fold

__all__ = ["COMPLAINT", "NOW", "POLICY", "context", "fold", "given"]

DUE = NOW + timedelta(days=20)
PROBLEM = UUID("5f0c7a52-3a55-5c02-9d4e-0d6a5d6f1b11")


def given(*past: Event) -> Given:
    return Given({"learning": learning.STREAM, "problem": problem.STREAM}.__getitem__, past, ids={"problem": PROBLEM})


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
CORRECTION_ID = context("learning").new_id("correction")
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
