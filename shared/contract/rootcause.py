"""What rootcause (retrain) can be asked and what can have happened there.

Two kinds of stream: a *learning* has its complaint's id and opens at delivery or withdrawal; a *problem* is one cause behind many
complaints, has an id of its own and may be opened at any time. Field and type names are the storage format.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias, get_args
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from shared.contract.said import Command, Event, by_type
from shared.contract.values import (
    LIST_MAX,
    Actor,
    At,
    Generation,
    Label,
    LongText,
    OptionalPersonalText,
    OptionalText,
    PersonalText,
    ShortText,
    Stage,
    Value,
)

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hex: which wording of a cause is meant. Nothing keys it, and the wording is personal: sealing must key it."""

Trigger: TypeAlias = Literal["delivered", "withdrawn"]
Outcome: TypeAlias = Literal["corrected", "joined", "no_fault", "no_correction_needed", "cause_not_found"]
Verification: TypeAlias = Literal["measured", "observed", "reproduced"]


class CorrectionTerms(BaseModel):
    """What will be corrected, by whom, until when. A retraining has both procedures (invariant 6)."""

    kind: Literal["workflow", "retraining"]
    what: LongText
    owner: Label
    """Who answers for it: `person:…` or `team:…`."""
    due_at: At
    procedure: OptionalText = None
    """The correct way to work, as it is taught. A retraining needs it."""
    recurrence_procedure: OptionalText = None
    """What to do if it happens again. A retraining needs it."""


class JoinedCorrection(Value):
    """A problem's correction, as a learning that joins it must know it."""

    correction_id: UUID
    owner: Label
    due_at: At


# ---- learning: asked -------------------------------------------------------------------------------------------------------


class OpenLearning(Command):
    """The customer has it in hand, or took the complaint back: now we may look back."""

    type: ClassVar[str] = "rootcause.OpenLearning.v1"
    stream: ClassVar[str] = "learning"
    internal: ClassVar[bool] = True

    generation: Generation
    trigger: Trigger
    owner: Label | None = None
    product: Label | None = None


class SuspendLearning(Command):
    """The customer objected, or the complaint was reopened: causes wait until it is delivered again."""

    type: ClassVar[str] = "rootcause.SuspendLearning.v1"
    stream: ClassVar[str] = "learning"
    internal: ClassVar[bool] = True

    generation: Generation
    because: Literal["objected", "reopened"]


class NoteCaseClosed(Command):
    """Resolution says: nothing more is delivered, since the customer took it back in time. An objection that was open holds nothing up."""

    type: ClassVar[str] = "rootcause.NoteCaseClosed.v1"
    stream: ClassVar[str] = "learning"
    internal: ClassVar[bool] = True

    generation: Generation


class ChangeOwner(Command):
    """The complaint has another owner."""

    type: ClassVar[str] = "rootcause.ChangeOwner.v1"
    stream: ClassVar[str] = "learning"
    internal: ClassVar[bool] = True

    generation: Generation
    to: Label


class RecordCause(Command):
    """Where it came from: a role, a workflow step, a document, a part. Never a person (invariant 7)."""

    type: ClassVar[str] = "rootcause.RecordCause.v1"
    stream: ClassVar[str] = "learning"

    kind: Label
    """One of the policy's `cause_kinds`."""
    faltered: Stage
    """The stage in which the commitment faltered."""
    self_inflicted: bool
    what: PersonalText
    evidence: PersonalText


class VerifyCause(Command):
    """Whether the recorded cause was measured, observed or reproduced, and whether it held."""

    type: ClassVar[str] = "rootcause.VerifyCause.v1"
    stream: ClassVar[str] = "learning"

    how: Verification
    evidence: PersonalText
    holds: bool
    digest: Digest | None = None
    """Which wording was looked at (`CauseRecorded.digest`); the newest where absent."""


class RecordContainment(Command):
    """What keeps it from hurting others while the cause is sought."""

    type: ClassVar[str] = "rootcause.RecordContainment.v1"
    stream: ClassVar[str] = "learning"

    what: PersonalText


class LookSideways(Command):
    """Where else the same fault was looked for, and what was found."""

    type: ClassVar[str] = "rootcause.LookSideways.v1"
    stream: ClassVar[str] = "learning"

    looked_at: Annotated[tuple[ShortText, ...], Field(min_length=1, max_length=LIST_MAX)]
    """Products, pages, teams."""
    found: OptionalPersonalText = None
    """Absent where nothing was found."""


class RecordNoFault(Command):
    """Nothing was at fault: the evidence, and what made the customer expect otherwise."""

    type: ClassVar[str] = "rootcause.RecordNoFault.v1"
    stream: ClassVar[str] = "learning"

    evidence: PersonalText
    expected_because: PersonalText


class PlanCorrection(CorrectionTerms, Command):
    """A correction that follows from this complaint alone."""

    type: ClassVar[str] = "rootcause.PlanCorrection.v1"
    stream: ClassVar[str] = "learning"

    owner: Actor


class CompleteCorrection(Command):
    """A planned correction is in place."""

    type: ClassVar[str] = "rootcause.CompleteCorrection.v1"
    stream: ClassVar[str] = "learning"

    correction_id: UUID | None = None
    """May be left out where only one is open."""
    evidence: PersonalText


class JoinProblem(Command):
    """The correction will come from a problem that has many complaints."""

    type: ClassVar[str] = "rootcause.JoinProblem.v1"
    stream: ClassVar[str] = "learning"

    problem_id: UUID


class NoteProblemCorrection(Command):
    """The problem's answer to a learning that asked to join it."""

    type: ClassVar[str] = "rootcause.NoteProblemCorrection.v1"
    stream: ClassVar[str] = "learning"
    internal: ClassVar[bool] = True

    problem_id: UUID
    generation: Generation
    """In which the learning asked."""
    correction: JoinedCorrection | None = None
    why_not: ShortText | None = None
    """Why there is none to join."""


class CloseLearning(Command):
    """We have learned what there was to learn (invariant 11)."""

    type: ClassVar[str] = "rootcause.CloseLearning.v1"
    stream: ClassVar[str] = "learning"

    outcome: Outcome
    reason: OptionalPersonalText = None
    """Needed where no correction is needed or no cause was found."""


# ---- learning: happened ----------------------------------------------------------------------------------------------------


class LearningOpened(Event):
    """Looking back may begin, or begins anew for a later generation."""

    type: ClassVar[str] = "rootcause.LearningOpened.v1"

    generation: Generation
    trigger: Trigger
    owner: Label | None = None
    product: Label | None = None


class LearningSuspended(Event):
    """No cause is recorded until it is delivered again."""

    type: ClassVar[str] = "rootcause.LearningSuspended.v1"

    generation: Generation
    because: Literal["objected", "reopened"]


class LearningResumed(Event):
    """It was delivered again, or the complaint was withdrawn: looking back goes on."""

    type: ClassVar[str] = "rootcause.LearningResumed.v1"

    generation: Generation
    trigger: Trigger


class OwnerChanged(Event):
    """The complaint has another owner."""

    type: ClassVar[str] = "rootcause.OwnerChanged.v1"

    generation: Generation
    to: Label


class StaleFactIgnored(Event):
    """Another service's fact came for an older generation and had no effect."""

    type: ClassVar[str] = "rootcause.StaleFactIgnored.v1"

    fact: Literal["delivered", "withdrawn", "objected", "reopened", "transferred"]
    generation: Generation
    current: Generation


class CauseRecorded(Event):
    """A cause, not yet verified. A new one takes the place of the one before."""

    type: ClassVar[str] = "rootcause.CauseRecorded.v1"

    kind: Label
    faltered: Stage
    self_inflicted: bool
    what: PersonalText
    evidence: PersonalText
    digest: Digest
    """Of the kind, the stage and the wording: what a verification is bound to."""


class CauseVerified(Event):
    """The cause held. Bound to its wording."""

    type: ClassVar[str] = "rootcause.CauseVerified.v1"

    how: Verification
    evidence: PersonalText
    digest: Digest


class CauseRefuted(Event):
    """The cause did not hold. Bound to its wording."""

    type: ClassVar[str] = "rootcause.CauseRefuted.v1"

    how: Verification
    evidence: PersonalText
    digest: Digest


class CauseSearchEscalated(Event):
    """So many causes were refuted that somebody else should look."""

    type: ClassVar[str] = "rootcause.CauseSearchEscalated.v1"

    refuted: Annotated[int, Field(ge=1)]


class ContainmentRecorded(Event):
    """What keeps it from hurting others for now."""

    type: ClassVar[str] = "rootcause.ContainmentRecorded.v1"

    what: PersonalText


class LookedSideways(Event):
    """Where else the same fault was looked for, and what was found."""

    type: ClassVar[str] = "rootcause.LookedSideways.v1"

    looked_at: tuple[ShortText, ...]
    found: PersonalText | None = None


class NoFaultRecorded(Event):
    """Nothing was at fault. It takes the place of a cause recorded before."""

    type: ClassVar[str] = "rootcause.NoFaultRecorded.v1"

    evidence: PersonalText
    expected_because: PersonalText


class CorrectionPlanned(CorrectionTerms, Event):
    """A correction with an owner and a due date."""

    type: ClassVar[str] = "rootcause.CorrectionPlanned.v1"

    correction_id: UUID


class CorrectionCompleted(Event):
    """A correction is in place."""

    type: ClassVar[str] = "rootcause.CorrectionCompleted.v1"

    correction_id: UUID
    evidence: PersonalText


class ProblemJoinSought(Event):
    """The learning asks a problem whether it has a correction to join."""

    type: ClassVar[str] = "rootcause.ProblemJoinSought.v1"

    problem_id: UUID
    generation: Generation


class CorrectionJoined(Event):
    """The learning rests on a problem's correction."""

    type: ClassVar[str] = "rootcause.CorrectionJoined.v1"

    problem_id: UUID
    correction: JoinedCorrection


class JoinRefused(Event):
    """The problem has no correction to join. Ask again when it has, or correct it here."""

    type: ClassVar[str] = "rootcause.JoinRefused.v1"

    problem_id: UUID
    why: ShortText


class LearningClosed(Event):
    """Our ending of this generation: the second half of settled."""

    type: ClassVar[str] = "rootcause.LearningClosed.v1"

    generation: Generation
    outcome: Outcome
    reason: PersonalText | None = None


# ---- problem: asked --------------------------------------------------------------------------------------------------------


class OpenProblem(Command):
    """One cause that many complaints may share. Its symptom is what customers meet."""

    type: ClassVar[str] = "rootcause.OpenProblem.v1"
    stream: ClassVar[str] = "problem"

    title: ShortText
    symptom: LongText
    defect_kind: Label
    """One of the policy's `defect_kinds`."""
    product: Label | None = None


class AttributeToProblem(Command):
    """This complaint shows the same symptom."""

    type: ClassVar[str] = "rootcause.AttributeToProblem.v1"
    stream: ClassVar[str] = "problem"

    complaint_id: UUID


class AskToJoin(Command):
    """A learning wants to rest on this problem's correction, and always gets an answer."""

    type: ClassVar[str] = "rootcause.AskToJoin.v1"
    stream: ClassVar[str] = "problem"
    internal: ClassVar[bool] = True

    complaint_id: UUID
    generation: Generation


class RecordProblemContainment(Command):
    """What keeps the problem from hurting others while its cause is sought."""

    type: ClassVar[str] = "rootcause.RecordProblemContainment.v1"
    stream: ClassVar[str] = "problem"

    what: LongText


class PlanProblemCorrection(CorrectionTerms, Command):
    """A correction for all complaints of the problem."""

    type: ClassVar[str] = "rootcause.PlanProblemCorrection.v1"
    stream: ClassVar[str] = "problem"

    owner: Actor


class CompleteProblemCorrection(Command):
    """A correction of the problem is in place."""

    type: ClassVar[str] = "rootcause.CompleteProblemCorrection.v1"
    stream: ClassVar[str] = "problem"

    correction_id: UUID | None = None
    """May be left out where only one is open."""
    evidence: LongText


# ---- problem: happened -----------------------------------------------------------------------------------------------------


class ProblemOpened(Event):
    """There is a problem to gather complaints under."""

    type: ClassVar[str] = "rootcause.ProblemOpened.v1"

    title: ShortText
    symptom: LongText
    defect_kind: Label
    product: Label | None = None


class ComplaintAttributed(Event):
    """A complaint belongs to this problem."""

    type: ClassVar[str] = "rootcause.ComplaintAttributed.v1"

    complaint_id: UUID


class JoinAnswered(Event):
    """What a learning that asked to join is told: the correction, or why there is none to join."""

    type: ClassVar[str] = "rootcause.JoinAnswered.v1"

    complaint_id: UUID
    generation: Generation
    correction: JoinedCorrection | None = None
    why_not: ShortText | None = None


class ProblemContainmentRecorded(Event):
    """What keeps the problem from hurting others for now."""

    type: ClassVar[str] = "rootcause.ProblemContainmentRecorded.v1"

    what: LongText


class ProblemCorrectionPlanned(CorrectionTerms, Event):
    """The problem has a correction with an owner and a due date: learnings may join it."""

    type: ClassVar[str] = "rootcause.ProblemCorrectionPlanned.v1"

    correction_id: UUID


class ProblemCorrectionCompleted(Event):
    """A correction of the problem is in place."""

    type: ClassVar[str] = "rootcause.ProblemCorrectionCompleted.v1"

    correction_id: UUID
    evidence: LongText


# ---- the catalogue, derived ------------------------------------------------------------------------------------------------

LearningCommand: TypeAlias = (
    OpenLearning
    | SuspendLearning
    | NoteCaseClosed
    | ChangeOwner
    | RecordCause
    | VerifyCause
    | RecordContainment
    | LookSideways
    | RecordNoFault
    | PlanCorrection
    | CompleteCorrection
    | JoinProblem
    | NoteProblemCorrection
    | CloseLearning
)
LearningEvent: TypeAlias = (
    LearningOpened
    | LearningSuspended
    | LearningResumed
    | OwnerChanged
    | StaleFactIgnored
    | CauseRecorded
    | CauseVerified
    | CauseRefuted
    | CauseSearchEscalated
    | ContainmentRecorded
    | LookedSideways
    | NoFaultRecorded
    | CorrectionPlanned
    | CorrectionCompleted
    | ProblemJoinSought
    | CorrectionJoined
    | JoinRefused
    | LearningClosed
)
ProblemCommand: TypeAlias = (
    OpenProblem | AttributeToProblem | AskToJoin | RecordProblemContainment | PlanProblemCorrection | CompleteProblemCorrection
)
ProblemEvent: TypeAlias = (
    ProblemOpened | ComplaintAttributed | JoinAnswered | ProblemContainmentRecorded | ProblemCorrectionPlanned | ProblemCorrectionCompleted
)

ROOTCAUSE_COMMANDS = by_type((*get_args(LearningCommand), *get_args(ProblemCommand)))
ROOTCAUSE_EVENTS = by_type((*get_args(LearningEvent), *get_args(ProblemEvent)))
