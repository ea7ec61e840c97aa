"""The work on a case: started, ready, in the customer's hand, and back to its start where they object."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from services.resolution.decisions import Decided
from shared.contract.refusals import Refusal, Rule
from shared.contract.resolution import (
    CompleteFix,
    Deliver,
    Delivered,
    DeliveryObjected,
    FixCompleted,
    FixStarted,
    ObjectToDelivery,
    StartFix,
)
from shared.obligations.proof import Moment
from shared.obligations.sameness import fingerprint

WorkEvent = FixStarted | FixCompleted | Delivered | DeliveryObjected


@dataclass(frozen=True, slots=True)
class Work:
    """How far it is. Of what was said word for word, the fingerprint."""

    started: str | None = None
    completed: str | None = None
    delivered: str | None = None
    """What the customer has and did not object to."""
    since: Moment = field(default_factory=Moment)
    """When they had it, or when it came up that they misunderstood it: what they said before confirms nothing."""
    objection_until: datetime | None = None
    objected: str | None = None
    """The objection that is open: until it is delivered anew."""


def worked(work: Work, event: WorkEvent, since: Moment) -> Work:
    """How far it is after one more fact, of this moment."""
    match event:
        case FixStarted():
            return replace(work, started=fingerprint(event, "what"))
        case FixCompleted():
            return replace(work, completed=fingerprint(event, "what", "evidence"))
        case Delivered(objection_until=until):
            return replace(work, delivered=delivery_of(event), since=since, objection_until=until, objected=None)
        case DeliveryObjected():
            return Work(objected=fingerprint(event, "reason", "because"))
        case _:
            assert_never(event)


def delivery_of(said: Deliver | Delivered) -> str:
    """What makes two deliveries the same one, but for the promises kept by it: those are said in events of their own."""
    return fingerprint(said, "what", "how", "evidence")


def start(work: Work, decided: Decided | None, command: StartFix, generation: int) -> Sequence[FixStarted] | Refusal:
    """What follows from starting."""
    if decided is None:
        return Refusal(Rule.DECIDE_FIRST)
    if work.started == fingerprint(command):
        return []
    return _further(work, "started") or [FixStarted(generation=generation, what=command.what)]


def complete(work: Work, decided: Decided | None, command: CompleteFix, generation: int) -> Sequence[FixCompleted] | Refusal:
    """What follows from completing. Nothing need be started where it is the answer that gets ready."""
    if decided is None:
        return Refusal(Rule.DECIDE_FIRST)
    if work.completed == fingerprint(command):
        return []
    if refusal := _further(work, "completed"):
        return refusal
    if work.started is None and decided.needs_a_fix:
        return Refusal(Rule.FIX_NOT_STARTED)
    return [FixCompleted(generation=generation, what=command.what, evidence=command.evidence)]


def _further(work: Work, wanted: str) -> Refusal | None:
    """Why it is too late for this, and what comes next."""
    if work.delivered is not None:
        return Refusal(Rule.WRONG_STAGE, "it is delivered: let the customer confirm it or object to it")
    if work.completed is not None:
        return Refusal(Rule.WRONG_STAGE, "it is ready: deliver it")
    if work.started is not None and wanted == "started":
        return Refusal(Rule.WRONG_STAGE, "it is started: complete it")
    return None


def objection(work: Work, decided: Decided | None, command: ObjectToDelivery, generation: int) -> Sequence[DeliveryObjected] | Refusal:
    """What follows from objecting. New evidence is heard while another objection is open, too: what was decided rests on the old."""
    if work.objected == fingerprint(command):
        return []
    if work.delivered is None and not (work.objected and decided and command.because == "new_evidence"):
        return nothing_delivered(work)
    return [DeliveryObjected(generation=generation, reason=command.reason, because=command.because)]


def nothing_delivered(work: Work) -> Refusal:
    """Why nothing can be confirmed or objected to."""
    why = "the customer objected to what was delivered: put it right and deliver it again" if work.objected else ""
    return Refusal(Rule.NOTHING_DELIVERED, why)


def no_excuse(work: Work) -> Refusal:
    """Why nothing can be explained: they have nothing, or something else than they think."""
    why = "what was delivered is misunderstood, which counts as an objection: clear that up first" if work.delivered else ""
    return Refusal(Rule.NO_EXCUSE_BEFORE_DELIVERY, why)
