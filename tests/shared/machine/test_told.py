"""Reading never raises: whatever lies on a topic becomes an input, readable or not, and keeps its bytes."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.mind import MIND as INTAKE
from shared.contract.envelope import complaint_id
from shared.machine.bytes import HEADER_BYTES_MAX, HEADERS_MAX, JournalRow, pack_headers, unpack_headers
from shared.machine.told import BODY_BYTES_MAX, REASON_MAX, Reader
from tests.shared.machine.bench import SHARDS, SUBMISSIONS, Bench, Record, stream_in
from tests.shared.machine.tally import NOW, Add, Heard, headers

READER = Reader(INTAKE, SHARDS, SUBMISSIONS, "g1")
GOOD = b'{"source":"shop","ref":"17","narrative":"The bread was wet."}'
NAMES = st.sampled_from(
    ["ce_type", "ce_id", "ce_source", "ce_subject", "ce_actor", "ledger-shard", "ledger-position", "origin-id", "traceparent", ""]
)
TOPICS = st.sampled_from([*READER.topics])


def submission(value=GOOD, found=()):
    return READER.record(Record("complaints.submissions", 0, 7, value, None, list(found)))


def test_a_submission_without_any_header_is_read():
    told = submission()
    assert not told.fault
    assert (told.stream, told.kind, told.actor) == (complaint_id("shop", "17"), "complaint", "source:shop")
    assert (told.message_id, told.once) == ("complaints.submissions/0/7", "")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "no body"),
        (b"", "no body"),
        (b"\xff\xfe", "JSON"),
        (b"[1]", "object"),
        (b'{"source":"shop"}', "ref"),
        (b"[" * 100_000, "recursion"),
        (b'{"source":"shop","ref":"1","summary":' + b"9" * 5_000 + b"}", "out of range"),
        (b'{"source":"shop","ref":"1","summary":NaN}', "summary"),
        (b'{"source":"shop","ref":"1","summary":"\\ud800"}', "escape"),
        (b'{"source":"shop","ref":"1","summary":"a\\u0000b"}', "U+0000"),
        (b'{"source":"shop","ref":"1","narrative":"x","reported_at":"0001-01-01T00:00:00Z"}', "year 1"),
        (b'{"source":"shop","ref":"1","narrative":"x","reported_at":"9999-01-01T00:00:00Z"}', "year 9999"),
        (b'{"source":"shop","ref":"1","narrative":"x","details":{"k":"a\\u0000"}}', "U+0000"),
        (b'{"source":"shop","ref":"1"}', "says nothing"),
        (b'{"source":"shop","ref":"1","narative":"x"}', "narative"),
    ],
)
def test_what_cant_be_read_says_why_and_keeps_its_bytes(value, why):
    told = submission(value)
    assert why in told.fault, told.fault
    assert told.body == value


def test_what_holds_more_than_is_read_is_kept_and_says_so():
    told = submission(b'{"source":"shop","ref":"1","summary":"' + b"x" * BODY_BYTES_MAX + b'"}')
    assert f"at most {BODY_BYTES_MAX} are read" in told.fault


@pytest.mark.parametrize("value", [rb'{"a\u0000b":1}', rb'{"\u202eb":1}', b'{"' + b"x" * 100_000 + b'":1}', rb'{"a\nb":1}'])
def test_a_fault_is_a_line_that_postgresql_and_people_can_take(value):
    told = submission(value)
    assert told.fault.isprintable()
    assert len(told.fault) <= REASON_MAX + 1


def test_a_fault_never_quotes_what_somebody_wrote():
    told = submission(b'{"source":"shop","ref":"1","summary":"my secret","occurred_at":"my other secret"}')
    assert told.fault
    assert "secret" not in told.fault


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([("x", b"y")] * (HEADERS_MAX + 1), "headers"),
        ([("x", b"y" * HEADER_BYTES_MAX)], "bytes"),
        ([("ce_type", b"intake.Nonsense.v9")], "knows no command"),
        ([("ce_type", b"a\x00b")], "ce_type"),
        ([("ce_id", b"x" * 501)], "ce_id"),
        ([("ce_id", "\U0001f35e".encode() * 126)], "ce_id"),
        ([("ce_source", b"two words"), ("ce_id", b"1")], "space"),
        ([("ce_type", b"intake.AcceptOwnership.v1")], "there is no such field"),
    ],
)
def test_headers_have_limits(found, why):
    assert why in submission(GOOD, found).fault
    assert submission(GOOD, found).fault


@pytest.mark.parametrize("found", [[("ce_type", None)], [("ce_type", b"\xff")], [("reply_to", b"elsewhere")], [("ce_id", b"")]])
def test_headers_that_say_nothing_are_as_if_they_were_not_there(found):
    assert not submission(GOOD, found).fault


def test_a_command_says_who_asks_and_of_whom():
    bench, stream = Bench(), stream_in(0)
    good = bench.ask(Add(number=1), stream)
    assert not bench.reader.record(good).fault
    for name in ("ce_actor", "ce_subject", "ce_type"):
        without = replace(good, headers=[(header, value) for header, value in good.headers if header != name])
        assert name in bench.reader.record(without).fault or "knows no command" in bench.reader.record(without).fault


@pytest.mark.parametrize(
    ("source", "found", "once"),
    [
        ("shop", [("ce_id", b"1")], "shop 1"),
        ("the old shop", [("ce_id", b"1 2")], "the+old+shop 1 2"),
        ("shop", [("ce_id", b"1"), ("ce_source", b"/other")], "/other 1"),
        ("shop", [("ce_source", b"/other")], ""),
    ],
)
def test_what_a_submission_says_of_its_source_stands_in_for_a_sender_that_does_not_say_who_it_is(source, found, once):
    assert submission(GOOD.replace(b'"shop"', f'"{source}"'.encode()), found).once == once
    as_command = READER.record(Record("intake.commands", 0, 7, GOOD.replace(b'"shop"', f'"{source}"'.encode()), None, [
        ("ce_type", b"intake.SubmitComplaint.v1"), ("ce_actor", b"person:ines"), *found,
    ]))  # fmt: skip
    assert as_command.once == once


def test_a_record_on_an_events_topic_that_no_relay_wrote_is_none():
    told = READER.record(Record("resolution.events", 0, 1, GOOD, None, headers(Add(number=1), stream_in(0))))
    assert "no event of resolution" in told.fault


@settings(max_examples=1500, deadline=None)
@given(
    topic=TOPICS,
    value=st.one_of(st.none(), st.binary(max_size=60), st.just(GOOD), st.text(max_size=40).map(str.encode)),
    found=st.lists(
        st.tuples(NAMES, st.one_of(st.none(), st.binary(max_size=30), st.text(max_size=30).map(lambda t: t.encode()))), max_size=12
    ),
    offset=st.integers(0, 2**60),
)
def test_reading_never_raises_and_the_journal_reads_the_same(topic, value, found, offset):
    record = Record(topic, 1, offset, value, b"key", found)
    told = READER.record(record)
    assert told.fault or told.command is not None or told.source is not None
    packed = pack_headers(found)
    row = JournalRow(
        1, 1, topic, 1, offset, offset + 1, told.message_id, told.type, told.kind, told.stream, b"key", packed, value, 1_000, NOW, "", "",
        1, "parked", "", 0, 0, 0, NOW,
    )  # fmt: skip
    assert READER.journalled(row) == told


@given(st.lists(st.tuples(st.text(max_size=20), st.one_of(st.none(), st.binary(max_size=40))), max_size=20))
def test_headers_are_packed_without_loss(found):
    assert unpack_headers(pack_headers(found)) == found


def test_a_fact_carries_the_ledger_row_that_it_is():
    bench = Bench()
    told = bench.reader.record(bench.fact(Heard(number=4), stream_in(0)))
    assert told.source is not None
    assert told.source.chain(told.source.previous) == told.source.hash
    assert isinstance(told.stream, UUID)
