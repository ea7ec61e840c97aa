"""Retrain: what we learn, once the customer has it in hand. Each `yield` is a place at which a script can stop."""

from collections.abc import Iterator
from typing import Any

from deploy.sample.fixing import FOR_THEM
from deploy.sample.scripts import IdOf, fact
from deploy.sample.slips import tempt
from deploy.sample.writing import Pen
from shared.contract import rootcause

VERIFIED = ("measured", "observed", "reproduced")


def learn(pen: Pen) -> Iterator[str]:
    """From the first look until the learning is closed."""
    tempt(pen, "looking")
    if pen.does("contained", 0.45):
        pen.ask(rootcause.RecordContainment, {"what": pen.say(pen.trouble.contained)})
        yield "contained"
    match pen.plan.outcome:
        case "no_fault":
            found = pen.trouble.no_fault
            told = {"evidence": pen.say(found.evidence), "expected_because": pen.say(found.expected_because)}
            pen.ask(rootcause.RecordNoFault, told)
            yield "no_fault"
            _closed(pen, {"outcome": "no_fault"})
        case "no_correction_needed":
            if pen.dice.chance(0.5) and pen.verdict in FOR_THEM:
                yield from _cause(pen)
            _closed(pen, {"outcome": "no_correction_needed", "reason": pen.words("retrain", "no_correction")})
        case "cause_not_found":
            yield from _in_vain(pen, 3 if pen.does("escalated", 0.4) else pen.dice.between(1, 2))
            _closed(pen, {"outcome": "cause_not_found", "reason": pen.words("retrain", "not_found")})
        case "joined":
            yield from _cause(pen)
            yield from _joined(pen)
        case _:
            yield from _cause(pen)
            yield from _corrected(pen)
    pen.learned = True
    yield "closed"


def _closed(pen: Pen, told: dict[str, Any]) -> None:
    pen.ask(rootcause.CloseLearning, told)
    tempt(pen, "closed")


def _cause(pen: Pen) -> Iterator[str]:
    if pen.does("refuted", 0.12):
        yield from _in_vain(pen, 1)
    cause, name = pen.trouble.cause, pen.new("cause")
    told = {"kind": cause.kind, "faltered": cause.faltered, "self_inflicted": cause.self_inflicted}
    pen.ask(rootcause.RecordCause, {**told, "what": pen.say(cause.what), "evidence": pen.say(cause.evidence)}, name=name)
    tempt(pen, "cause")
    yield "cause"
    proof: dict[str, Any] = {"how": pen.dice.pick(VERIFIED), "evidence": pen.say(pen.trouble.verified), "holds": True}
    pen.ask(rootcause.VerifyCause, proof | ({"digest": IdOf(name)} if pen.dice.chance(0.5) else {}))
    yield "verified"
    if pen.dice.chance(0.4):
        sideways = pen.trouble.sideways
        found = {"found": pen.say(sideways.found)} if sideways.found else {}
        pen.ask(rootcause.LookSideways, {"looked_at": sideways.looked_at, **found})


def _in_vain(pen: Pen, times: int) -> Iterator[str]:
    """Causes that did not hold."""
    suspects = [pen.trouble.not_it, *_suspects(pen)]
    for what in suspects[:times]:
        told = {"kind": pen.dice.pick(("workflow", "tooling", "information")), "faltered": pen.dice.pick(("own", "fix", "deliver"))}
        evidence = pen.words("retrain", "suspected")
        pen.ask(rootcause.RecordCause, {**told, "self_inflicted": True, "what": what, "evidence": evidence})
        refuted = {"how": pen.dice.pick(VERIFIED), "evidence": pen.words("retrain", "refuted"), "holds": False}
        pen.ask(rootcause.VerifyCause, refuted)
    if times > 1:
        yield "escalated"


def _suspects(pen: Pen) -> list[str]:
    return [one.format_map(pen.slots) for one in pen.all_of("retrain", "suspects")]


def _joined(pen: Pen) -> Iterator[str]:
    """The correction of a problem that has many complaints."""
    assert pen.problem is not None, "a complaint that joins knows which problem it belongs to"
    if pen.does("join refused", 0.2):
        pen.ask(rootcause.JoinProblem, {"problem_id": pen.unopened()})
        pen.wait(fact(rootcause.JoinRefused))
    pen.wait(fact(rootcause.ProblemCorrectionPlanned, stream=pen.problem))
    if pen.dice.chance(0.4):
        attributed = {"complaint_id": pen.matter.complaint}
        pen.ask(rootcause.AttributeToProblem, attributed, by=pen.matter.house.lead, stream=pen.problem)
    pen.ask(rootcause.JoinProblem, {"problem_id": pen.problem})
    pen.wait(fact(rootcause.CorrectionJoined))
    yield "joined"
    _closed(pen, {"outcome": "joined"})


def _corrected(pen: Pen) -> Iterator[str]:
    """A correction of its own: of the workflow, or a retraining with both procedures."""
    correction = pen.trouble.correction
    kind = pen.dice.pick(("workflow", "workflow", "retraining"))
    told: dict[str, Any] = {"kind": kind, "what": pen.say(correction.what), "owner": pen.dice.pick(pen.matter.house.teams)}
    if kind == "retraining" or pen.dice.chance(0.3):
        told |= {"procedure": pen.say(correction.procedure), "recurrence_procedure": pen.say(correction.recurrence)}
    pen.ask(rootcause.PlanCorrection, {**told, "due_at": pen.ahead(14, 60)})
    yield "planned"
    pen.ask(rootcause.CompleteCorrection, {"evidence": pen.say(pen.trouble.corrected)})
    yield "completed"
    _closed(pen, {"outcome": "corrected"})
