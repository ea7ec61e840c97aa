"""No policy that can be published makes a mind overflow: each field has its limit, and at the limit every mind still decides."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from services.intake import complaint
from services.resolution import case
from services.rootcause import learning, problem
from shared.contract import intake, resolution, rootcause
from shared.contract.machine import CommandRefused, PolicyAdopted
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import decode
from shared.contract.values import LIST_MAX, REFERENCE_MAX, Proof, Stage
from shared.machine.mind import Context
from shared.policy.kinds import LISTED_MAX, unknown_defect_kind
from shared.policy.loader import shipped
from shared.policy.model import OBJECTION_MAX_SECONDS, REOPEN_MAX_SECONDS, VERSION_MAX, Policy
from tests.services.intake.said import CONFIRMED as ENDED_FOR_THEM
from tests.services.intake.said import OWNED, READY, RECEIVED
from tests.services.resolution.said import A_DELIVERY, FIXED, IN_HAND, RAISED
from tests.services.rootcause.said import OPENED
from tests.spec import COMPLAINT, context, fold

SHIPPED = shipped().model_dump(mode="json")
KINDS = [f"{n}".rjust(REFERENCE_MAX, "k") for n in range(LIST_MAX)]
WIDEST = Policy(
    name="n" * REFERENCE_MAX,
    version=VERSION_MAX,
    objection_seconds=OBJECTION_MAX_SECONDS,
    reopen_seconds=REOPEN_MAX_SECONDS,
    defect_kinds=tuple(KINDS),
    cause_kinds=tuple(KINDS),
)
LATE = datetime(2180, 1, 1, tzinfo=UTC)


def widest(stream, now):
    return Context(now=now, policy=WIDEST, actor="person:ines", kind=stream.kind, stream=COMPLAINT, version=9)


@pytest.mark.parametrize(
    ("field", "most", "too_much"),
    [
        ("name", "n" * REFERENCE_MAX, "n" * (REFERENCE_MAX + 1)),
        ("name", "n", " "),
        ("name", "n", "n\nm"),
        ("version", 1, 0),
        ("version", VERSION_MAX, VERSION_MAX + 1),
        ("version", 2, True),
        ("objection_seconds", 1, 0),
        ("objection_seconds", OBJECTION_MAX_SECONDS, OBJECTION_MAX_SECONDS + 1),
        ("objection_seconds", 1, float("nan")),
        ("reopen_seconds", 1, 0),
        ("reopen_seconds", REOPEN_MAX_SECONDS, REOPEN_MAX_SECONDS + 1),
        ("reopen_seconds", 60, 60.5),
        *(
            (field, most, too_much)
            for field in ("defect_kinds", "cause_kinds")
            for most, too_much in [
                (KINDS, [*KINDS, "one more"]),
                (["k" * REFERENCE_MAX], ["k" * (REFERENCE_MAX + 1)]),
                (["k"], []),
                (["k"], [""]),
                (["k"], ["k\x00"]),
            ]
        ),
    ],
)
def test_every_field_has_its_limit(field, most, too_much):
    Policy.model_validate({**SHIPPED, field: most})
    with pytest.raises(ValidationError, match=field):
        Policy.model_validate({**SHIPPED, field: too_much})


def test_every_field_is_among_them():
    assert Policy.model_fields.keys() == {"name", "version", "objection_seconds", "reopen_seconds", "defect_kinds", "cause_kinds"}


def test_what_can_be_published_can_be_said_to_be_in_force():
    PolicyAdopted(name=WIDEST.name, version=WIDEST.version, digest="0" * 64)


def test_the_widest_windows_end_at_a_moment_that_can_be_stored():
    delivered, *_ = case.decide(fold(case.STREAM, FIXED), A_DELIVERY, widest(case.STREAM, datetime(2026, 3, 3, 9, 0, tzinfo=UTC)))
    assert delivered.objection_until - delivered.delivered_at == timedelta(seconds=OBJECTION_MAX_SECONDS)
    cleared = resolution.ClearMisunderstanding(proof=Proof(kind="call", ref="call/1"))
    (event,) = case.decide(fold(case.STREAM, (*IN_HAND, RAISED)), cleared, widest(case.STREAM, LATE))
    assert decode(type(event), event.to_bytes()) == event


def test_the_widest_window_to_reopen_is_counted_from_any_ending_that_can_be_stored():
    last = ENDED_FOR_THEM.model_copy(update={"ended_at": datetime(2199, 12, 31, tzinfo=UTC)})
    state = fold(complaint.STREAM, (*READY, OWNED, last))
    reopen = intake.ReopenComplaint(why="It is wet again.")
    (event,) = complaint.decide(state, reopen, widest(complaint.STREAM, LATE))
    assert isinstance(event, intake.ComplaintReopened)


@pytest.mark.parametrize(
    ("stream", "past", "command", "rule"),
    [
        (
            complaint.STREAM,
            (RECEIVED,),
            intake.Classify(product="bread", defect_kind="karma", severity="low", central=False),
            Rule.UNKNOWN_DEFECT_KIND,
        ),
        (problem.STREAM, (), rootcause.OpenProblem(title="t", symptom="s", defect_kind="karma"), Rule.UNKNOWN_DEFECT_KIND),
        (
            learning.STREAM,
            (OPENED,),
            rootcause.RecordCause(kind="karma", faltered=Stage.OWN, self_inflicted=True, what="w", evidence="e"),
            Rule.UNKNOWN_CAUSE_KIND,
        ),
    ],
    ids=["complaint", "problem", "learning"],
)
def test_a_refusal_that_lists_the_kinds_can_be_said_however_many_there_are(stream, past, command, rule):
    refusal = stream.decide(fold(stream, past), command, widest(stream, LATE))
    assert isinstance(refusal, Refusal)
    assert refusal.rule is rule
    CommandRefused(command=command.type, rule=rule.code, why=refusal.sentence)
    assert " more" in refusal.sentence


def test_a_refusal_lists_all_kinds_where_they_fit():
    refusal = unknown_defect_kind("karma", context().policy)
    assert all(kind in refusal.sentence for kind in shipped().defect_kinds)
    assert " more" not in refusal.sentence
    assert len(unknown_defect_kind("karma", WIDEST).sentence) < LISTED_MAX + 100
