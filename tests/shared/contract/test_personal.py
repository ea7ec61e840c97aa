"""Free text about one customer's matter is marked as personal, or stands here as what it is instead: a new one has to be decided on."""

import pytest

from shared.contract.catalogue import COMMANDS, EVENTS
from shared.contract.said import personal_fields
from shared.contract.values import REFERENCE_MAX

ALL = {**COMMANDS, **EVENTS}

CORRECTION = {"what", "procedure", "recurrence_procedure"}
"""A procedure: how it is done rightly from now on, by whoever does it."""
NOT_PERSONAL = {
    # the machine's own words, which quote nobody
    "machine.CommandRefused.v1": {"why"},
    "machine.InputParked.v1": {"reason"},
    "machine.JournalSealed.v1": {"hash"},
    # an operator's, on a fault of a message: it names nobody
    "machine.RetryParked.v1": {"reason"},
    "machine.DiscardParked.v1": {"reason"},
    "machine.ParkedRetried.v1": {"reason"},
    "machine.ParkedDiscarded.v1": {"reason"},
    # the upstream's words for how far it is there, and the ids of messages
    "intake.SubmitComplaint.v1": {"upstream_status"},
    "intake.ReportFinding.v1": {"upstream_status"},
    "intake.ComplaintReceived.v1": {"upstream_status", "input_id"},
    "intake.SubmissionRepeated.v1": {"input_id"},
    "intake.SubmissionConflicted.v1": {"input_id"},
    # who of us
    "resolution.DecisionMade.v1": {"decided_by"},
    # products, pages, teams
    "rootcause.LookSideways.v1": {"looked_at"},
    "rootcause.LookedSideways.v1": {"looked_at"},
    # procedures
    "rootcause.PlanCorrection.v1": CORRECTION,
    "rootcause.CorrectionPlanned.v1": CORRECTION,
    "rootcause.PlanProblemCorrection.v1": CORRECTION,
    "rootcause.ProblemCorrectionPlanned.v1": CORRECTION,
    # a problem: of many customers, and of none; and its answer, which is one of a few sentences of ours
    "rootcause.OpenProblem.v1": {"title", "symptom"},
    "rootcause.ProblemOpened.v1": {"title", "symptom"},
    "rootcause.RecordProblemContainment.v1": {"what"},
    "rootcause.ProblemContainmentRecorded.v1": {"what"},
    "rootcause.CompleteProblemCorrection.v1": {"evidence"},
    "rootcause.ProblemCorrectionCompleted.v1": {"evidence"},
    "rootcause.JoinAnswered.v1": {"why_not"},
    "rootcause.NoteProblemCorrection.v1": {"why_not"},
    "rootcause.JoinRefused.v1": {"why"},
}
NAMES = {
    # catalogue words
    "product", "defect_kind", "kind", "channel", "tags", "rule", "command", "timer", "name", "digest", "topic",
    # how the upstream calls its record
    "source", "ref", "upstream_version",
    # who of us, and which event of ours
    "owner", "taken_from", "giver", "to", "correction.owner", "by",
}  # fmt: skip
"""Short words of one line that are not personal, wherever they stand."""


def texts(schema, defs, path=""):
    """The texts of a schema that anybody can fill as they like and that are not marked, with their schemas."""
    if schema.get("x-personal"):
        return
    if "$ref" in schema:
        yield from texts(defs[schema["$ref"].rsplit("/", 1)[1]], defs, path)
    branches = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    if any(branch.get("type") == "number" for branch in branches):
        return
    for branch in (*branches, schema.get("items"), schema.get("additionalProperties")):
        if isinstance(branch, dict):
            yield from texts(branch, defs, path)
    for name, inner in schema.get("properties", {}).items():
        yield from texts(inner, defs, f"{path}.{name}" if path else name)
    closed = {"format", "enum", "const"} & schema.keys() or (schema.get("pattern") and "maxLength" not in schema)
    if schema.get("type") == "string" and not closed:
        yield path, schema


def not_personal(said, *, names):
    """The names, or the free texts, that are not marked."""
    schema = said.model_json_schema()
    return {
        path
        for path, text in texts(schema, schema.get("$defs", {}))
        if names == ("pattern" in text and text.get("maxLength", 0) <= REFERENCE_MAX)
    }


@pytest.mark.parametrize("type_name", sorted(ALL))
def test_free_text_is_personal_or_was_decided_to_be_none(type_name):
    assert not_personal(ALL[type_name], names=False) == NOT_PERSONAL.get(type_name, set())


@pytest.mark.parametrize("type_name", sorted(ALL))
def test_a_name_is_personal_or_was_decided_to_be_none(type_name):
    assert not_personal(ALL[type_name], names=True) <= NAMES


def test_nothing_stands_here_that_is_not_said():
    assert NOT_PERSONAL.keys() <= ALL.keys()
    assert set().union(*(not_personal(said, names=True) for said in ALL.values())) == NAMES


@pytest.mark.parametrize(
    ("type_name", "fields"),
    [
        ("intake.SubmitComplaint.v1", "narrative summary issue customer.ref customer.name customer.contact details"),
        ("intake.ComplaintReceived.v1", "narrative summary issue customer.ref customer.name customer.contact details exposed"),
        ("intake.TransferOwnership.v1", "reason story"),
        ("intake.StateNeed.v1", "need expected_how"),
        ("intake.ComplaintOwned.v1", "need next_step.what promises.what"),
        ("intake.PromiseRenegotiated.v1", "becomes.what reason proof.ref"),
        ("resolution.MakeDecision.v1", "reasons remedies.what counter_offer.asked counter_offer.can_do no_alternative"),
        ("resolution.DecisionMade.v1", "reasons remedies.what no_alternative"),
        ("resolution.Delivered.v1", "what how evidence"),
        ("resolution.ReplyReceived.v1", "text ref"),
        ("rootcause.CauseRecorded.v1", "what evidence"),
        ("rootcause.LearningClosed.v1", "reason"),
    ],
)
def test_what_is_marked_is_found_wherever_it_stands(type_name, fields):
    assert personal_fields(ALL[type_name]) == set(fields.split())
