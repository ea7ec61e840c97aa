"""Problems: one cause behind many complaints. Each run of complaints has two, and scripts of its own for the people who see to them."""

from datetime import datetime
from uuid import UUID

from deploy.sample.dice import Dice
from deploy.sample.house import House, Trouble, houses
from deploy.sample.matters import matter
from deploy.sample.scripts import Script, fact
from deploy.sample.writing import Pen, Plan
from shared.contract import rootcause
from shared.contract.envelope import stream_id
from shared.contract.refusals import Rule

RUN = 250
"""So many complaints, one after another, share their problems."""
PROBLEMS = 2


def problem_of(seed: int, number: int) -> tuple[UUID, House, Trouble]:
    """The problem that a complaint belongs to, where it belongs to one."""
    return _problem(seed, number // RUN, Dice("problem of", seed, number).between(0, PROBLEMS - 1))


def _problem(seed: int, run: int, place: int) -> tuple[UUID, House, Trouble]:
    dice = Dice("problem", seed, run, place)
    house = houses()[(run + place) % len(houses())]
    return stream_id("problem", f"sample/{seed}/{run}/{place}"), house, dice.pick(house.troubles)


def problem_scripts(seed: int, number: int, now: datetime) -> tuple[Script, ...]:
    """What people do about the problems of the run that begins with this complaint; nothing in the middle of a run."""
    if number % RUN:
        return ()
    return tuple(_script(seed, number // RUN, place, now) for place in range(PROBLEMS))


def _script(seed: int, run: int, place: int, now: datetime) -> Script:
    stream, house, trouble = _problem(seed, run, place)
    pen = Pen(matter(seed, run * RUN + place + 1, now, (house, trouble)), now, Plan("", ""))
    pen.dice = Dice("problem script", seed, run, place)
    told = {"symptom": trouble.problem.symptom, "defect_kind": trouble.defect_kind, "product": pen.slots["product"]}
    correction = trouble.correction
    terms = {"what": pen.say(correction.what), "owner": pen.dice.pick(house.teams), "due_at": pen.ahead(20, 60)}
    taught = {"kind": "retraining", "procedure": pen.say(correction.procedure)}
    pen.ask(rootcause.PlanProblemCorrection, {**terms, "kind": "workflow"}, by=house.lead, refused=Rule.UNKNOWN_STREAM)
    pen.ask(rootcause.OpenProblem, {"title": trouble.problem.title, **told}, by=house.lead)
    pen.ask(
        rootcause.OpenProblem, {"title": f"{trouble.problem.title}, again", **told}, by=pen.owner.ref, refused=Rule.PROBLEM_ALREADY_OPEN
    )
    pen.ask(rootcause.RecordProblemContainment, {"what": pen.say(trouble.contained)})
    if pen.dice.chance(0.5):
        pen.ask(rootcause.PlanProblemCorrection, {**terms, **taught}, refused=Rule.RETRAINING_NEEDS_RECURRENCE)
        pen.ask(rootcause.PlanProblemCorrection, {**terms, **taught, "recurrence_procedure": pen.say(correction.recurrence)})
    else:
        pen.ask(rootcause.PlanProblemCorrection, {**terms, "kind": "workflow"})
    if place == 0:
        pen.ask(rootcause.CompleteProblemCorrection, {"evidence": pen.say(trouble.corrected)})
    return Script(f"problem/{run}/{place}", stream, tuple(pen.lines), until=(fact(rootcause.ProblemCorrectionPlanned),))
