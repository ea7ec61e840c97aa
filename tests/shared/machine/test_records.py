"""What goes to Kafka is a CloudEvent to anybody, and the ledger row to us."""

from dataclasses import replace
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat

from shared.contract.envelope import text_headers
from shared.machine.bytes import GENESIS
from shared.machine.records import NotAnEvent, event_headers, event_key, read_event, request_headers
from tests.shared.machine.test_bytes import ROW


def row():
    found = replace(ROW)
    found.previous, found.hash = GENESIS, found.chain(GENESIS)
    return found


def test_anybody_reads_an_event_as_a_cloud_event():
    message = KafkaMessage(headers=dict(event_headers(row(), GENESIS, "g1", "intake")), key=event_key(row()), value=row().body)
    event = from_binary_event(message, JSONFormat())
    assert (event.get_id(), event.get_source(), event.get_type(), event.get_subject()) == (
        "g1/intake/1/2", "/intake", "intake.Added.v1", str(ROW.stream),
    )  # fmt: skip
    assert event.get_time() == ROW.now
    assert event.get_data() == {"number": 1}
    assert event.get_dataschema() == "/schemas/intake.Added.v1.json"


def test_we_read_it_as_the_row_it_is():
    read, previous = read_event(text_headers(event_headers(row(), GENESIS, "g1", "intake")), ROW.body, ROW.shard)
    assert previous == GENESIS
    assert read.canonical() == row().canonical()
    assert read.chain(previous) == row().hash


@pytest.mark.parametrize(
    "changes", [{"target": UUID(int=9), "type": "intake.AddRequested.v1"}, {"origin_id": "/shop T-1"}, {"correlation": UUID(int=8)}]
)
def test_all_that_is_in_the_hash_travels_with_it(changes):
    sent = replace(row(), **changes)
    sent.hash = sent.chain(GENESIS)
    read, _ = read_event(text_headers(event_headers(sent, GENESIS, "g1", "intake")), sent.body, sent.shard)
    assert read.chain(GENESIS) == sent.hash


def test_a_request_is_the_command_it_carries_from_a_row_of_the_ledger():
    asked = replace(row(), target=UUID(int=9), type="intake.AddRequested.v1", origin_id="/shop T-1")
    headers = text_headers(request_headers(asked, "g1", "intake"))
    assert (headers["ce_type"], headers["ce_subject"], headers["ledger-position"], headers["origin-id"]) == (
        "intake.Add.v1", str(UUID(int=9)), "2", "/shop T-1",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["ledger-position", "ce_subject", "ledger-hash", "cause-hash", "ce_streamversion"])
def test_what_lacks_a_header_is_no_event(name):
    headers = text_headers(event_headers(row(), GENESIS, "g1", "intake"))
    without = {key: value for key, value in headers.items() if key != name}
    with pytest.raises(NotAnEvent, match=name):
        read_event(without, ROW.body, 1)
    with pytest.raises(NotAnEvent):
        read_event({**headers, name: "?"}, ROW.body, 1)
