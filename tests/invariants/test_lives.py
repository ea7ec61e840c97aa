"""The invariants bite: a past that keeps them goes through, and one that breaks one is told which."""

import pytest

from shared.contract.rootcause import LearningClosed
from tests.invariants.lives import Decided, Lives
from tests.services.intake import said as intake
from tests.services.resolution import said as resolution
from tests.services.rootcause import said as rootcause
from tests.spec import COMPLAINT, NOW, POLICY

OWNED = (*intake.READY, intake.OWNED)
CLOSED = LearningClosed(generation=1, outcome="corrected")


def lived(**pasts):
    """What was told, each kind's events one by one, of one complaint."""
    lives = Lives()
    for kind, events in pasts.items():
        for event in events:
            lives.go_on(Decided(kind, COMPLAINT, (event,), NOW, POLICY))


def test_a_complaint_that_is_made_good_keeps_them_all():
    correction = (rootcause.CAUSE_RECORDED, rootcause.VERIFIED, rootcause.PLANNED, rootcause.COMPLETED)
    lived(complaint=OWNED, case=resolution.IN_HAND, learning=(rootcause.OPENED, *correction, CLOSED))


@pytest.mark.parametrize(
    ("pasts", "words"),
    [
        ({"complaint": (intake.RECEIVED, intake.OWNED)}, "1: an accepting owner"),
        ({"complaint": (*intake.READY, intake.MISUNDERSTOOD, intake.OWNED)}, "3"),
        ({"case": resolution.OPEN}, "1: no fix before ownership"),
        ({"complaint": OWNED, "case": (*resolution.OPEN, resolution.DELIVERED)}, "1: delivered before it was fixed"),
        ({"complaint": OWNED, "case": (*resolution.FIXED, resolution.RAISED, resolution.DELIVERED)}, "3: a stage moves"),
        ({"learning": (rootcause.OPENED,)}, "1: no learning before delivery"),
        ({"learning": (rootcause.CAUSE_RECORDED,)}, "1: before delivery"),
        ({"complaint": OWNED, "case": resolution.IN_HAND, "learning": (rootcause.OPENED, rootcause.CAUSE_RECORDED, CLOSED)}, "11"),
        ({"wish": (intake.RECEIVED,)}, "nothing says what must hold on a wish"),
    ],
)  # fmt: skip
def test_what_breaks_one_is_told_which(pasts, words):
    with pytest.raises(AssertionError, match=words):
        lived(**pasts)
