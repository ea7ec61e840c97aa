from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.contract.envelope import event_id
from shared.contract.machine import TimerDue
from shared.machine.bytes import JournalRow, LedgerRow, moment, pack_headers, span_id, traceparent
from shared.machine.head import Outcome
from shared.machine.traces import Led, Link, input_span_id, spans

NOW = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)
COMPLAINT = UUID("7498c925-2dd8-58d5-bb38-0b60e51a3d2f")
FOREIGN = f"00-{'ab' * 16}-{'cd' * 8}-01"


def told(
    *,
    entry=5,
    topic="intake.commands",
    named="intake.AssignOwner.v1",
    headers=(),
    message_id="m1",
    outcome=Outcome.ACCEPTED,
    reason="",
    sent=-50,
):
    sent_at = NOW + timedelta(milliseconds=sent)
    return JournalRow(
        2, entry, topic, 2 if topic else -1, 7 if topic else -1, 8, message_id, named, "complaint", COMPLAINT, None, pack_headers(headers),
        b'{"owner":"person:anna"}', int(sent_at.timestamp() * 1000) if topic else 0, NOW, moment(NOW), "policy", 1, outcome, reason, 0, 11,
        1, NOW - timedelta(milliseconds=20), b"j" * 32,
    )  # fmt: skip


def happened(position=11, named="intake.OwnerAssigned.v1", entry=5):
    return LedgerRow(
        2, position, COMPLAINT, "complaint", 3, named, b'{"owner":"person:anna"}', entry, NOW, moment(NOW), "person:anna", "m1", COMPLAINT,
        None, "", b"j" * 32,
    )  # fmt: skip


def made(row, *events, relayed=None):
    return spans("intake", "g1", [Led(row, events or [happened()], relayed or {})])


def test_an_input_has_a_span_and_each_of_its_events_one_beneath():
    input_, first, second = made(told(), happened(11), happened(12, "intake.OwnershipAccepted.v1"))
    assert {span.trace_id for span in (input_, first, second)} == {COMPLAINT.hex}
    assert (input_.name, input_.of_input, input_.parent_id) == ("intake AssignOwner", True, "")
    assert [(span.name, span.of_input, span.parent_id) for span in (first, second)] == [
        ("intake OwnerAssigned", False, input_.span_id), ("intake OwnershipAccepted", False, input_.span_id),
    ]  # fmt: skip


def test_ids_are_derived_so_that_the_same_spans_can_be_made_again():
    assert made(told()) == made(told())
    input_, event = made(told())
    assert input_.span_id == input_span_id("g1", "intake", 2, 5)
    assert event.span_id == span_id(event_id("g1", "intake", 2, 11))


def test_an_event_has_the_span_that_its_records_traceparent_names():
    _, event = made(told())
    assert traceparent(COMPLAINT, event_id("g1", "intake", 2, 11)) == f"00-{event.trace_id}-{event.span_id}-01"


def test_what_an_event_of_ours_led_to_lies_beneath_it():
    cause = event_id("g1", "resolution", 2, 4)
    headers = [("traceparent", traceparent(COMPLAINT, cause).encode())]
    input_, _ = made(told(topic="resolution.events", named="resolution.DeliveryConfirmed.v1", headers=headers, message_id=cause))
    assert (input_.name, input_.parent_id, input_.links) == ("intake hears DeliveryConfirmed", span_id(cause), ())


def test_without_a_traceparent_the_message_id_tells_which_event_it_was():
    cause = event_id("g1", "resolution", 2, 4)
    input_, _ = made(told(topic="resolution.events", message_id=cause))
    assert input_.parent_id == span_id(cause)


def test_a_trace_that_is_not_ours_is_linked_not_joined():
    input_, _ = made(told(headers=[("traceparent", FOREIGN.encode())]))
    assert (input_.trace_id, input_.parent_id, input_.links) == (COMPLAINT.hex, "", (Link("ab" * 16, "cd" * 8),))


def test_a_traceparent_that_is_none_is_left_out():
    for wrong in (b"", b"\xff", b"00-xyz", FOREIGN.upper().encode()):
        input_, _ = made(told(headers=[("traceparent", wrong)]))
        assert (input_.parent_id, input_.links) == ("", ())


def test_it_lasts_from_when_it_was_sent_until_all_that_came_of_it_lies_in_kafka():
    relayed_at = NOW + timedelta(milliseconds=30)
    input_, first, second = made(told(), happened(11), happened(12), relayed={11: relayed_at, 12: relayed_at + timedelta(milliseconds=5)})
    assert (input_.started_at, input_.ended_at) == (NOW - timedelta(milliseconds=50), relayed_at + timedelta(milliseconds=5))
    assert list(input_.times) == ["sent", "received", "decided", "relayed"]
    assert (first.started_at, first.ended_at, second.ended_at) == (NOW, relayed_at, relayed_at + timedelta(milliseconds=5))


def test_what_is_not_relayed_yet_ends_when_it_was_decided():
    input_, event = made(told())
    assert (input_.ended_at, event.ended_at, "relayed" in input_.times) == (NOW, NOW, False)


def test_clocks_that_differ_make_no_time_run_backwards():
    input_, event = made(told(sent=5_000), relayed={11: NOW - timedelta(seconds=1)})
    assert list(input_.times.values()) == sorted(input_.times.values())
    assert input_.started_at <= input_.ended_at
    assert event.started_at <= event.ended_at


def test_a_timer_is_nobodys_message():
    input_, _ = made(told(topic="", named=TimerDue.type, message_id=""))
    assert (input_.name, input_.parent_id) == ("intake timer", "")
    assert not [name for name in input_.attributes if name.startswith("messaging.")]


def test_what_could_not_be_decided_failed_whatever_it_called_itself():
    input_, _ = made(told(named="\N{SKULL}.x", outcome=Outcome.PARKED, reason="undecodable: no JSON"))
    assert (input_.name, input_.failed, input_.attributes["makegood.reason"]) == ("intake input", True, "undecodable: no JSON")
    assert not made(told(outcome=Outcome.REFUSED, reason="closed"))[0].failed, "a refusal is an answer"


def test_a_span_says_nothing_that_somebody_wrote():
    for span in made(told(headers=[("note", b"person:bo")])):
        assert "owner" not in str(span)
        assert "person:bo" not in str(span)
