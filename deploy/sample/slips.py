"""What people try that can't be: each is refused by its rule. Where it may be tried is a point of the script, reached in a known state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from deploy.sample.scripts import Fact, IdOf, Step, fact
from deploy.sample.writing import Pen
from shared.contract import intake, resolution, rootcause
from shared.contract.envelope import complaint_id
from shared.contract.refusals import Rule
from shared.contract.said import Command

AN_EVENT = "g1/intake/0/1"
"""Of a form that will do, where the promise is what is wrong."""

Made = Callable[[Pen], Step]


@dataclass(frozen=True, slots=True)
class Slip:
    """Something that is tried in vain."""

    weight: int
    """How likely, among all that could be tried in a script: the rarer a point, the likelier, so that each rule is met about as often."""
    rule: Rule
    made: Made


def _ask(
    asks: type[Command], data: Callable[[Pen], Mapping[str, Any]] = lambda _: {}, by: Callable[[Pen], str] = lambda pen: pen.owner.ref,
    *, stream: Callable[[Pen], UUID | None] = lambda _: None, after: Callable[[Pen], tuple[Fact, ...]] = lambda _: (), only_with: str = "",
) -> Made:  # fmt: skip
    return lambda pen: Step(asks, data(pen), by(pen), stream=stream(pen), after=after(pen), only_with=only_with)


def _colleague(pen: Pen) -> str:
    return pen.another().ref


def _lead(pen: Pen) -> str:
    return pen.matter.house.lead


def _mistyped(pen: Pen) -> UUID:
    """A complaint that nobody ever submitted."""
    return complaint_id(pen.matter.told.source, f"{pen.matter.told.ref}?")


def _unknown(pen: Pen) -> UUID:
    return uuid5(pen.matter.complaint, "nobody made this")


def _cause(pen: Pen) -> dict[str, Any]:
    cause = pen.trouble.cause
    told = {"kind": cause.kind, "faltered": cause.faltered, "self_inflicted": cause.self_inflicted}
    return {**told, "what": pen.say(cause.what), "evidence": pen.say(cause.evidence)}


def _named(pen: Pen) -> dict[str, Any]:
    """Blame, as it slips out: of whoever answers for the complaint."""
    name = pen.owner.name
    blame = (f"{name} did not look at the order.", f"It was {name}, as so often.", f"{name.split()[0]} forgot to pass it on.")
    return {**_cause(pen), "what": pen.dice.pick(blame)}


def _plan(pen: Pen, **other: Any) -> dict[str, Any]:
    correction = pen.trouble.correction
    terms = {
        "kind": "workflow",
        "what": pen.say(correction.what),
        "owner": pen.dice.pick(pen.matter.house.teams),
        "due_at": pen.ahead(20, 60),
    }
    return {**terms, **other}


def _decision(verdict: str) -> Callable[[Pen], dict[str, Any]]:
    return lambda pen: {"verdict": verdict, "reasons": (pen.say(pen.trouble.decline.reason),)}


def _past(pen: Pen) -> dict[str, Any]:
    return {"what": pen.words("own", "small"), "due_at": pen.now - timedelta(days=1)}


def _early_word(pen: Pen) -> dict[str, Any]:
    return {"text": pen.say(pen.trouble.explained)}


_COMPLETE = _ask(intake.CompleteOwnership)
_START = _ask(resolution.StartFix, lambda pen: {"what": pen.say(*pen.trouble.fix)})
_DELIVER = _ask(resolution.Deliver, lambda pen: {"what": pen.say(*pen.trouble.given), "how": pen.trouble.by, "evidence": pen.trouble.shown})
_CONFIRM = _ask(resolution.ConfirmDelivery, lambda pen: {"proof": pen.call()})
_CAUSE = _ask(rootcause.RecordCause, _cause)
_EXPLAIN = _ask(resolution.GiveExplanation, _early_word)
_REOPEN = _ask(intake.ReopenComplaint, lambda pen: {"why": pen.words("reopen", "why")})
_RETRAIN = _ask(rootcause.PlanCorrection, lambda pen: _plan(pen, kind="retraining", procedure=pen.say(pen.trouble.correction.procedure)))
_ENDED = lambda pen: (fact(intake.CustomersEndingNoted, pen.generation),)  # noqa: E731
_HELD_UP = lambda pen: (fact(rootcause.LearningSuspended, pen.generation),)  # noqa: E731

SLIPS: Mapping[str, Sequence[Slip]] = {
    "received": (
        Slip(4, Rule.UNKNOWN_STREAM, _ask(intake.Acknowledge, lambda _: {"text": "Thank you for telling us."}, stream=_mistyped)),
        Slip(4, Rule.NO_OWNER, _ask(intake.AcceptOwnership)),
        Slip(4, Rule.UNKNOWN_DEFECT_KIND, _ask(intake.Classify, lambda pen: {
            "product": pen.slots["product"], "defect_kind": "mystery", "severity": "low", "central": False}, _lead)),
        Slip(4, Rule.NOT_FOR_YOU, _ask(intake.NoteLearning, lambda _: {"generation": 1, "outcome": "no_fault"}, _lead)),
        Slip(3, Rule.NO_FIX_BEFORE_OWNERSHIP, _START),
    ),
    "assigned": (Slip(4, Rule.NOT_THE_OWNER, _ask(intake.AcceptOwnership, by=_colleague)),),
    "accepted": (
        Slip(4, Rule.TRANSFER_INSTEAD, _ask(intake.AssignOwner, lambda pen: {"owner": pen.another().ref}, _lead)),
        Slip(4, Rule.OWNERSHIP_INCOMPLETE, _COMPLETE),
        Slip(6, Rule.PROMISE_ALREADY_DUE, _ask(intake.MakePromise, _past)),
        Slip(8, Rule.NOT_ENDED, _REOPEN),
        Slip(3, Rule.NO_FIX_BEFORE_OWNERSHIP, _START),
        Slip(4, Rule.NO_LEARNING_BEFORE_DELIVERY, _CAUSE),
    ),
    "handed over": (Slip(16, Rule.OWNERSHIP_INCOMPLETE, _COMPLETE),),
    "misunderstood": (
        Slip(52, Rule.MISUNDERSTANDING_FIRST, _COMPLETE),
        Slip(24, Rule.CUSTOMERS_WORD_NEEDS_PROOF, _ask(intake.ClearMisunderstanding)),
    ),
    "renegotiated": (
        Slip(68, Rule.PROMISE_ENDED, _ask(intake.KeepPromise, lambda _: {"promise_id": IdOf("next step"), "by": AN_EVENT})),
    ),
    "broken": (
        Slip(52, Rule.PROMISE_ENDED, _ask(
            intake.KeepPromise, lambda _: {"promise_id": IdOf("soon"), "by": AN_EVENT}, only_with="soon")),
    ),
    "promised": (
        Slip(12, Rule.UNKNOWN_PROMISE, _ask(intake.KeepPromise, lambda pen: {"promise_id": _unknown(pen), "by": AN_EVENT})),
        Slip(12, Rule.KEEPING_NEEDS_ITS_EVENT, _ask(intake.KeepPromise, lambda pen: {"promise_id": IdOf(pen.promised[0])})),
        Slip(4, Rule.CUSTOMERS_WORD_NEEDS_PROOF, _ask(intake.Withdraw)),
    ),
    "owned": (
        Slip(8, Rule.WRONG_STAGE, _ask(intake.MakePromise, lambda pen: {"what": pen.words("own", "later"), "due_at": pen.ahead(3, 9)})),
        Slip(8, Rule.NO_DELIVERY_BEFORE_FIX, _DELIVER),
        Slip(4, Rule.NO_LEARNING_BEFORE_DELIVERY, _CAUSE),
        Slip(8, Rule.DECIDE_FIRST, _START),
    ),
    "investigated": (
        Slip(8, Rule.NO_EXCUSE_BEFORE_DELIVERY, _EXPLAIN),
        Slip(16, Rule.DECLINE_NEEDS_ALTERNATIVE, _ask(resolution.MakeDecision, _decision("decline"))),
        Slip(20, Rule.DECISION_NEEDS_REASONS, _ask(resolution.MakeDecision, lambda _: {"verdict": "uphold"})),
        Slip(16, Rule.CLARIFIED_HAS_NO_REMEDY, _ask(
            resolution.MakeDecision, lambda pen: _decision("clarified")(pen) | {"remedies": pen.remedies()})),
        Slip(12, Rule.DECIDE_FIRST, _START),
        Slip(16, Rule.UNKNOWN_OFFER, _ask(resolution.AnswerOffer, lambda pen: {"answer": "accepted", "proof": pen.call()})),
    ),
    "misunderstood in fix": (
        Slip(40, Rule.MISUNDERSTANDING_FIRST, _ask(resolution.MakeDecision, lambda pen: {
            "verdict": "uphold", "reasons": (pen.say(*pen.trouble.reasons),)})),
        Slip(20, Rule.CUSTOMERS_WORD_NEEDS_PROOF, _ask(resolution.ClearMisunderstanding)),
    ),
    "decided": (
        Slip(24, Rule.DECISION_STANDS, _ask(resolution.MakeDecision, lambda _: {
            "verdict": "uphold", "reasons": ("Something else after all.",)}, _lead)),
        Slip(8, Rule.NO_EXCUSE_BEFORE_DELIVERY, _EXPLAIN),
    ),
    "decided to fix": (
        Slip(28, Rule.FIX_NOT_STARTED, _ask(resolution.CompleteFix, lambda pen: {"what": pen.say(*pen.trouble.fixed)})),
        Slip(16, Rule.NO_DELIVERY_BEFORE_FIX, _DELIVER),
    ),
    "answered": (
        Slip(1016, Rule.OFFER_ANSWERED, _ask(resolution.AnswerOffer, lambda pen: {
            "answer": "refused" if pen.accepted else "accepted", "proof": pen.call()})),
    ),
    "fixed": (
        Slip(44, Rule.NOTHING_DELIVERED, _CONFIRM),
        Slip(8, Rule.NO_EXCUSE_BEFORE_DELIVERY, _EXPLAIN),
        Slip(8, Rule.NO_LEARNING_BEFORE_DELIVERY, _CAUSE),
    ),
    "delivered": (
        Slip(20, Rule.WRONG_STAGE, _ask(resolution.Deliver, lambda pen: {
            "what": "The rest of it.", "how": pen.trouble.by, "evidence": pen.trouble.shown})),
        Slip(8, Rule.CUSTOMERS_WORD_NEEDS_PROOF, _ask(resolution.ConfirmDelivery, lambda _: {"words": "They surely like it."})),
    ),
    "objected": (
        Slip(720, Rule.NO_CAUSE_BEFORE_DELIVERY, _ask(rootcause.RecordCause, _cause, after=_HELD_UP)),
        Slip(776, Rule.LEARNING_SUSPENDED, _ask(rootcause.CloseLearning, lambda pen: {
            "outcome": "cause_not_found", "reason": pen.words("retrain", "not_found")}, after=_HELD_UP)),
        Slip(64, Rule.NO_EXCUSE_BEFORE_DELIVERY, _EXPLAIN),
    ),
    "confirmed": (
        Slip(20, Rule.CLOSED, _START),
        Slip(20, Rule.CLOSED, _ask(intake.TransferOwnership, lambda pen: {
            "to": pen.another().ref, "reason": "I am away.", "story": "It is confirmed."}, after=_ENDED)),
        Slip(80, Rule.WITHDRAWAL_TOO_LATE, _ask(intake.Withdraw, lambda pen: {"proof": pen.call()}, after=_ENDED)),
    ),
    "looking": (
        Slip(36, Rule.CAUSE_NAMES_A_PERSON, _ask(rootcause.RecordCause, _named, _lead)),
        Slip(60, Rule.UNKNOWN_CAUSE_KIND, _ask(rootcause.RecordCause, lambda pen: _cause(pen) | {"kind": "bad luck"})),
        Slip(68, Rule.NO_CAUSE_TO_VERIFY, _ask(rootcause.VerifyCause, lambda pen: {
            "how": "observed", "evidence": pen.say(pen.trouble.verified), "holds": True})),
        Slip(40, Rule.LEARNED_NEEDS_CORRECTION, _ask(rootcause.CloseLearning, lambda _: {"outcome": "corrected"})),
    ),
    "cause": (
        Slip(140, Rule.CAUSE_HAS_CHANGED, _ask(rootcause.VerifyCause, lambda pen: {
            "how": "measured", "evidence": pen.say(pen.trouble.verified), "holds": True, "digest": "0" * 64})),
        Slip(164, Rule.RETRAINING_NEEDS_RECURRENCE, _RETRAIN),
        Slip(156, Rule.CORRECTION_ALREADY_DUE, _ask(rootcause.PlanCorrection, lambda pen: _plan(pen, due_at=pen.now - timedelta(days=3)))),
        Slip(168, Rule.UNKNOWN_CORRECTION, _ask(rootcause.CompleteCorrection, lambda pen: {"evidence": pen.say(pen.trouble.corrected)})),
        Slip(52, Rule.LEARNED_NEEDS_CORRECTION, _ask(rootcause.CloseLearning, lambda _: {"outcome": "corrected"})),
        Slip(48, Rule.CAUSE_NAMES_A_PERSON, _ask(rootcause.RecordCause, _named, _lead)),
    ),
    "closed": (
        Slip(16, Rule.CLOSED, _CAUSE),
        Slip(16, Rule.CLOSED, _ask(rootcause.RecordContainment, lambda pen: {"what": pen.say(pen.trouble.contained)})),
    ),
    "reopened": (
        Slip(15, Rule.NO_FIX_BEFORE_OWNERSHIP, _ask(
            resolution.StartFix, after=lambda pen: (fact(resolution.CaseSuspended, pen.generation),))),
        Slip(56, Rule.OWNERSHIP_INCOMPLETE, _COMPLETE),
    ),
}  # fmt: skip
"""By the point at which they are tried."""

HOW_MANY = ((0.42, 0), (0.76, 1), (0.93, 2), (1.0, 3))
"""How many slips a script has: up to which share of scripts, so many."""


def tempt(pen: Pen, point: str) -> None:
    """Here people may try what can't be."""
    for slip in SLIPS[point]:
        pen.chance(slip.weight, slip.rule, slip.made(pen))


def how_many(at: float) -> int:
    """How many slips a script has, by its place among all."""
    return next(many for share, many in HOW_MANY if at < share)
