from uuid import uuid5

import pytest

from services.intake import submissions
from services.intake.complaint import STREAM
from services.intake.mind import MIND
from shared.contract.envelope import complaint_id
from shared.contract.intake import (
    ANSWERS,
    ComplaintReceived,
    ReportFinding,
    SubmissionConflicted,
    SubmissionRepeated,
    SubmitComplaint,
)
from shared.contract.said import decode
from shared.obligations.sameness import fingerprint
from tests.services.intake.said import (
    A_NEED,
    CONFIRMED,
    DIGEST,
    LEARNED,
    NEWER,
    NEWER_DIGEST,
    NOW,
    OWNED,
    READY,
    RECEIVED,
    REOPENED,
    TOLD,
    context,
    fold,
    given,
)

UPDATED = SubmissionRepeated(content_digest=NEWER_DIGEST, update=True, upstream_version="3", input_id="test")
OTHER = TOLD.model_copy(update={"summary": "All loaves missing"})
OTHER_DIGEST = fingerprint(OTHER)
CONFLICTED = SubmissionConflicted(known=DIGEST, digest=OTHER_DIGEST, input_id="test")
VERSIONLESS = SubmitComplaint(source="cfpb", ref="42", issue="Fees")


def repeated(told, *, update=False):
    return SubmissionRepeated(content_digest=fingerprint(told), update=update, upstream_version=told.upstream_version, input_id="test")


def received(told):
    (event,) = given().when(told).decided
    return event


def folded(*told):
    """Submits one after another; the kinds of answers, and the state they leave."""
    state, kinds = STREAM.initial, []
    for one in told:
        (event,) = STREAM.decide(state, one, context())
        state = STREAM.evolve(state, event)
        kinds.append({True: "update", False: "repeat"}[event.update] if isinstance(event, SubmissionRepeated) else type(event).__name__)
    return kinds, state


def test_the_first_word_of_it_is_received_with_all_that_was_told():
    given().when(TOLD).then(RECEIVED)
    assert RECEIVED.received_at == NOW
    assert decode(ComplaintReceived, RECEIVED.to_bytes()) == RECEIVED


def test_each_answer_to_a_submission_has_a_word_of_its_own():
    events = [received(TOLD), *(given(RECEIVED).when(told).decided[0] for told in (TOLD, OTHER))]
    assert [ANSWERS[event.type] for event in events] == list(ANSWERS.values()) == ["accepted", "repeated", "conflicting"]


def test_whoever_submits_needs_no_owner_no_customer_and_no_product():
    bare = SubmitComplaint(source="cfpb", ref="42", issue="Fees")
    assert isinstance(received(bare), ComplaintReceived)


def test_a_complaint_is_the_same_for_the_same_source_and_reference_and_for_nothing_else():
    assert MIND.stream_of(TOLD) == MIND.stream_of(OTHER) == complaint_id("bakery", "2026/0817")
    assert MIND.stream_of(TOLD) != MIND.stream_of(TOLD.model_copy(update={"source": "bakery2"}))
    assert MIND.stream_of(TOLD) != MIND.stream_of(TOLD.model_copy(update={"ref": "2026/0818"}))
    assert MIND.stream_of(A_NEED) is None
    assert (MIND.source_of(TOLD), MIND.source_of(A_NEED)) == ("bakery", "")


def test_the_same_content_again_is_a_repeat():
    given(RECEIVED).when(TOLD).then(repeated(TOLD))
    given(*READY, OWNED, CONFIRMED, LEARNED).when(TOLD).then(repeated(TOLD))


def test_a_body_that_says_the_same_in_other_bytes_is_the_same_content():
    said_otherwise = decode(SubmitComplaint, b'{"ref": " 2026/0817", ' + TOLD.to_bytes()[1:].replace(b'"tags":[],', b""))
    given(RECEIVED).when(said_otherwise).then(repeated(TOLD))


def test_another_version_of_the_record_is_an_update_and_the_same_update_again_a_repeat():
    given(RECEIVED).when(NEWER).then(UPDATED)
    given(RECEIVED, UPDATED).when(NEWER).then(repeated(NEWER))


def test_an_older_version_told_again_is_a_repeat():
    given(RECEIVED, UPDATED).when(TOLD).then(repeated(TOLD))


def test_other_content_under_a_version_that_was_told_is_a_conflict_and_the_same_conflict_again_a_repeat():
    given(RECEIVED).when(OTHER).then(CONFLICTED)
    given(RECEIVED, CONFLICTED).when(OTHER).then(repeated(OTHER))
    given(RECEIVED, UPDATED).when(OTHER).then(CONFLICTED)


def test_a_conflict_names_the_content_that_holds_the_version_whatever_was_told_since():
    third = TOLD.model_copy(update={"summary": "Some loaves missing"})
    given(RECEIVED, UPDATED, CONFLICTED).when(third).then(SubmissionConflicted(known=DIGEST, digest=fingerprint(third), input_id="test"))
    against_newer = NEWER.model_copy(update={"summary": "Some loaves missing"})
    given(RECEIVED, UPDATED).when(against_newer).then(
        SubmissionConflicted(known=NEWER_DIGEST, digest=fingerprint(against_newer), input_id="test")
    )


def test_other_content_without_a_version_conflicts_with_the_newest():
    other = VERSIONLESS.model_copy(update={"issue": "Interest"})
    given(received(VERSIONLESS)).when(other).then(
        SubmissionConflicted(known=fingerprint(VERSIONLESS), digest=fingerprint(other), input_id="test")
    )
    unversioned = TOLD.model_copy(update={"upstream_version": None})
    given(RECEIVED, UPDATED).when(unversioned).then(
        SubmissionConflicted(known=NEWER_DIGEST, digest=fingerprint(unversioned), input_id="test")
    )


def test_a_version_where_there_was_none_is_an_update():
    versioned = VERSIONLESS.model_copy(update={"issue": "Interest", "upstream_version": "1"})
    given(received(VERSIONLESS)).when(versioned).then(repeated(versioned, update=True))


def test_no_submission_moves_a_stage():
    for past in ((RECEIVED,), READY, (*READY, OWNED), (*READY, OWNED, CONFIRMED, LEARNED, REOPENED)):
        before = fold(STREAM, past)
        for event in (UPDATED, CONFLICTED, repeated(TOLD)):
            after = STREAM.evolve(before, event)
            for name in before.__slots__:
                assert name == "contents" or getattr(after, name) == getattr(before, name)


def test_a_finding_of_our_own_is_received_as_found_by_us():
    finding = ReportFinding(source="night shift", ref="F-3", summary="The form hides the plan.", exposed=("C-1", "C-2"))
    (event,) = given().when(finding).decided
    assert (event.found_by, event.exposed) == ("internal", ("C-1", "C-2"))
    given(event).when(finding).then(repeated(finding))
    other = finding.model_copy(update={"exposed": ("C-1",)})
    given(event).when(other).then(SubmissionConflicted(known=fingerprint(finding), digest=fingerprint(other), input_id="test"))


# ---- the log of a help desk: many rows a complaint, each with a version of its own ------------------------------------------


def row(number, text="text", version=None):
    return SubmitComplaint(source="servicenow", ref="INC1", issue=text, upstream_version=version or f"{number}@1/1/2026/Active")


def test_of_many_rows_about_one_complaint_the_first_is_accepted_and_every_other_is_repeated():
    kinds, state = folded(*(row(number) for number in range(58)))
    assert kinds == ["ComplaintReceived"] + ["update"] * 57
    again, _ = folded(*(row(number) for number in range(58)), *(row(number) for number in range(58)))
    assert again[58:] == ["repeat"] * 58
    assert state.contents.newest == fingerprint(row(57))


def test_a_row_whose_version_was_told_with_other_content_is_a_conflict_once():
    kinds, _ = folded(row(0), row(1), row(2), row(1, "other"), row(1, "other"), row(1, "third"), row(3))
    assert kinds == ["ComplaintReceived", "update", "update", "SubmissionConflicted", "repeat", "SubmissionConflicted", "update"]


def test_contents_are_remembered_up_to_a_limit_and_beyond_it_the_oldest_count_as_new_and_move_nothing():
    limit = submissions.CONTENTS_MAX
    kinds, state = folded(*(row(number) for number in range(limit + 1)), row(1), row(0), row(0, "other"))
    assert len(state.contents.versions) == limit
    assert kinds[limit + 1 :] == ["repeat", "update", "SubmissionConflicted"]
    assert state.owner is state.need is None


@pytest.mark.parametrize("conflicts", [submissions.CONTENTS_MAX - 1, submissions.CONTENTS_MAX + 5])
def test_the_newest_content_stays_known_however_many_conflict_with_it(conflicts):
    kinds, state = folded(VERSIONLESS, *(VERSIONLESS.model_copy(update={"issue": f"Fees {n}"}) for n in range(conflicts)), VERSIONLESS)
    assert kinds == ["ComplaintReceived"] + ["SubmissionConflicted"] * conflicts + ["repeat"]
    assert state.contents.newest == fingerprint(VERSIONLESS)


def test_what_is_told_is_told_as_it_was_checked():
    """The received fact is made without a second validation: it must be what a validated one would be."""
    for told in (TOLD, VERSIONLESS, ReportFinding(source="s", ref=str(uuid5(complaint_id("s", "r"), "f")), summary="x", exposed=("C-1",))):
        event = received(told)
        assert ComplaintReceived.model_validate(dict(event)) == event
        assert decode(ComplaintReceived, event.to_bytes()) == event
        assert list(ComplaintReceived.model_fields) == list(dict(event))
