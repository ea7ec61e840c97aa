"""Stored bytes: no two different rows have the same ones, and a moment is written one way."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.machine.bytes import GENESIS, JournalRow, LedgerRow, moment, pack, quick, read_moment, read_uuid, span_id, traceparent
from tests.shared.machine.tally import NOW

ROW = LedgerRow(
    1, 2, UUID(int=3), "tally", 4, "intake.Added.v1", b'{"number":1}', 5, NOW, moment(NOW), "person:ines", "m", UUID(int=3), None, "",
    b"\x01" * 32,
)  # fmt: skip
ENTRY = JournalRow(
    1,
    2,
    "t",
    3,
    4,
    5,
    "m",
    "intake.Add.v1",
    "tally",
    UUID(int=3),
    b"k",
    b"h",
    b"{}",
    6,
    NOW,
    moment(NOW),
    "p",
    1,
    "accepted",
    "r",
    7,
    8,
    9,
    NOW,
)
NOT_COVERED = {LedgerRow: {"entry", "now", "hash", "previous"}, JournalRow: {"now", "received_at", "hash"}}
"""`entry` is covered by the cause's hash, `now` by its text; `received_at` is this process's own."""


@pytest.mark.parametrize("row", [ROW, ENTRY], ids=["ledger", "journal"])
def test_every_part_of_a_row_is_in_its_hash(row):
    for field in fields(row):
        if field.name in NOT_COVERED[type(row)]:
            continue
        value = getattr(row, field.name)
        other = {
            int: lambda v: v + 1,
            str: lambda v: v + "x",
            bytes: lambda v: v + b"x",
            UUID: lambda v: UUID(int=v.int + 1),
            type(None): lambda _: UUID(int=9),
        }[type(value)](value)
        assert replace(row, **{field.name: other}).chain(GENESIS) != row.chain(GENESIS), field.name
    assert row.chain(b"\x01" * 32) != row.chain(GENESIS)


@given(st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=4)), max_size=4))
def test_no_two_rows_of_as_many_parts_have_the_same_bytes(pairs):
    one, other = [one for one, _ in pairs], [other for _, other in pairs]
    assert (pack(one) == pack(other)) == (one == other)


def test_a_missing_key_is_not_an_empty_one():
    assert replace(ENTRY, key=None).canonical() != replace(ENTRY, key=b"").canonical()
    assert replace(ENTRY, body=None).canonical() != replace(ENTRY, body=b"").canonical()


def test_a_moment_is_written_in_utc_with_microseconds():
    east = datetime(2026, 3, 3, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=3)))
    assert moment(east) == "2026-03-03T09:00:00.000005Z"
    assert read_moment(moment(east)) == east.astimezone(UTC)


def test_trace_and_span_ids_follow_from_the_complaint_and_the_event():
    assert traceparent(UUID(int=255), "g1/intake/0/1") == f"00-{UUID(int=255).hex}-{span_id('g1/intake/0/1')}-01"
    assert len(span_id("g1/intake/0/1")) == 16


@pytest.mark.parametrize("sent_ms", [-(2**63), -1, 0, 2**62, 2**63 - 1])
def test_a_time_that_is_none_is_none(sent_ms):
    assert replace(ENTRY, sent_ms=sent_ms).sent_at is None
    assert replace(ENTRY, sent_ms=1_772_528_400_000).sent_at == NOW


SPELLINGS = [str, lambda one: str(one).upper(), lambda one: one.hex, lambda one: f"{{{one}}}", lambda one: f"urn:uuid:{one}"]


@given(st.uuids(), st.sampled_from(SPELLINGS))
def test_an_id_is_read_in_every_spelling_as_the_same_id(one, spelt):
    found = read_uuid(spelt(one))
    assert (found, hash(found), str(found), found.bytes) == (one, hash(one), str(one), one.bytes)
    assert type(found) is type(quick(one))


@given(st.text(max_size=40))
def test_what_is_no_id_is_none_however_it_is_read(text):
    try:
        expected = UUID(text)
    except ValueError:
        with pytest.raises(ValueError):
            read_uuid(text)
    else:
        assert read_uuid(text) == expected
