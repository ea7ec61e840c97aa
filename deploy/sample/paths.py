"""How far each complaint goes, and its script. All stages fill, whatever the number of complaints, and every detour occurs."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from deploy.sample.dice import Dice, spread, weighted
from deploy.sample.fixing import deliver, fix, fix_again
from deploy.sample.learning import learn
from deploy.sample.matters import BULK, matter
from deploy.sample.owning import own, reopened, withdrawn
from deploy.sample.problems import problem_of
from deploy.sample.scripts import Fact, Line, Script, Submission, fact
from deploy.sample.slips import how_many
from deploy.sample.writing import Pen, Plan
from shared.contract import intake
from shared.contract.envelope import key_of
from shared.contract.rootcause import LearningOpened

STAGES = {"own": 0.25, "fix": 0.20, "deliver": 0.15, "retrain": 0.15, "settled": 0.25}
"""What share of the complaints is in each stage in the end."""


def _plan(
    stage: str, stops: str, weight: float, *does: str, upheld: bool | None = None, outcome: str = "corrected", withdraws: str = ""
) -> tuple[Plan, float]:
    return Plan(stage, stops, frozenset(does), upheld, outcome, withdraws), weight


PLANS: Sequence[tuple[Plan, float]] = (
    _plan("own", "received", 3),
    _plan("own", "classified", 2),
    _plan("own", "assigned", 2),
    _plan("own", "accepted", 2),
    _plan("own", "told", 2),
    _plan("own", "promised", 2),
    _plan("own", "held", 1.5),
    _plan("own", "handed_over", 1.2),
    _plan("own", "broken", 1.5),
    _plan("own", "reopened", 1.3),
    _plan("fix", "owned", 2),
    _plan("fix", "investigated", 2),
    _plan("fix", "decided", 2),
    _plan("fix", "started", 3, upheld=True),
    _plan("fix", "held_in_fix", 1.2),
    _plan("fix", "broken_in_fix", 1.2),
    _plan("fix", "offered", 1.2, upheld=False),
    _plan("fix", "answered", 1.2, upheld=False),
    _plan("fix", "objected", 1.6, upheld=True),
    _plan("fix", "owned again", 0.5),
    _plan("fix", "started again", 0.5),
    _plan("deliver", "fixed", 3),
    _plan("deliver", "delivered", 4),
    _plan("deliver", "explained", 2),
    _plan("deliver", "held_in_delivery", 1),
    _plan("deliver", "redelivered", 1.2, "objected", upheld=True),
    _plan("deliver", "overruled", 0.8),
    _plan("deliver", "delivered again", 0.4),
    _plan("retrain", "confirmed", 2),
    _plan("retrain", "contained", 1),
    _plan("retrain", "cause", 2, upheld=True),
    _plan("retrain", "verified", 2, upheld=True),
    _plan("retrain", "planned", 2, upheld=True),
    _plan("retrain", "completed", 1, upheld=True),
    _plan("retrain", "joined", 1.4, upheld=True, outcome="joined"),
    _plan("retrain", "withdrawn", 0.7, withdraws="promised"),
    _plan("retrain", "withdrawn", 0.7, withdraws="started", upheld=True),
    _plan("retrain", "escalated", 0.7, outcome="cause_not_found"),
    _plan("settled", "closed", 4, upheld=True),
    _plan("settled", "closed", 3.2, upheld=True, outcome="joined"),
    _plan("settled", "closed", 1.4, upheld=False, outcome="no_fault"),
    _plan("settled", "closed", 1.4, outcome="no_correction_needed"),
    _plan("settled", "closed", 1, "escalated", upheld=True, outcome="cause_not_found"),
    _plan("settled", "closed", 0.8, withdraws="accepted", outcome="no_correction_needed"),
    _plan("settled", "closed", 0.8, withdraws="investigated", outcome="cause_not_found"),
    _plan("settled", "settled again", 0.9, upheld=True, outcome="no_correction_needed"),
)


def plan_of(seed: int, number: int) -> Plan:
    """How far a complaint goes: spread evenly, so that also a small sample has all there is."""
    stage = weighted(spread(seed, number, 0), list(STAGES.items()))
    return weighted(spread(seed, number, 1), [(plan, weight) for plan, weight in PLANS if plan.stage == stage])


def script_of(seed: int, number: int, now: datetime) -> Script:
    """All that happens to the complaint of this number. Pure.

    Args:
        seed: The sample's.
        number: Which of its complaints.
        now: When the sample began.
    """
    plan = plan_of(seed, number)
    problem, house, trouble = problem_of(seed, number)
    joins = plan.outcome == "joined"
    pen = Pen(matter(seed, number, now, (house, trouble) if joins else None), now, plan, problem if joins else None)
    place = ""
    for place in life(pen):
        if place == plan.stops:
            break
    assert place == plan.stops, f"complaint {number} of seed {seed} was to stop at {plan.stops}, and ended at {place}"
    return Script(str(number), pen.matter.complaint, _with_slips(pen), _until(pen, plan), plan.stage)


def submission_of(seed: int, number: int, now: datetime) -> Script:
    """The complaint of this number as an upstream should tell it, and nobody works it. Its numbers are apart from the others'."""
    one = matter(seed, number, now, bulk=True)
    line = Submission(one.told.to_bytes(), key_of(one.complaint), intake.ComplaintReceived.type)
    return Script(f"{BULK}{number}", one.complaint, (line,), reaches="own")


def life(pen: Pen) -> Iterator[str]:
    """From the first word to the last, by way of the places at which a script can stop."""
    for stage in (own, fix):
        for place in stage(pen):
            yield place
            if place == pen.plan.withdraws:
                yield from withdrawn(pen)
                pen.wait(fact(LearningOpened, pen.generation))
                yield from learn(pen)
                return
    yield from deliver(pen)
    if pen.plan.stops not in AGAIN:
        yield from learn(pen)
        return
    if pen.plan.stops == "settled again" or pen.dice.chance(0.5):
        yield from learn(pen)
    yield from reopened(pen)
    yield "owned again"
    yield from fix_again(pen)
    yield from learn(pen)
    yield "settled again"


AGAIN = frozenset({"reopened", "owned again", "started again", "delivered again", "settled again"})
"""Places in a complaint's second life."""


def _until(pen: Pen, plan: Plan) -> tuple[Fact, ...]:
    """What must have been heard when the last line was answered: what would have been waited for next, and that it is settled."""
    return (*pen.pending, fact(intake.ComplaintSettled, pen.generation)) if plan.stage == "settled" else pen.pending


def _with_slips(pen: Pen) -> tuple[Line, ...]:
    """The lines with some of what could be tried in vain."""
    dice = Dice("slips", pen.matter.seed, pen.matter.number)
    many = how_many(spread(pen.matter.seed, pen.matter.number, 2))
    chosen = dice.some(pen.chances, [one.weight for one in pen.chances], many)
    tried = [pen.chances[place] for place in sorted(chosen)]
    lines: list[Line] = []
    for place in range(len(pen.lines) + 1):
        lines.extend(one.step for one in tried if one.place == place)
        lines.extend(pen.lines[place : place + 1])
    return tuple(lines)
