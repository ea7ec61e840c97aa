"""What became of an input: its events, all of them and no other's, however the batches fell in which they came."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from services.console.projections.outcomes import Outcomes
from shared.contract.machine import InputParked, InputTakenUp, InputWaiting, MessageRepeated
from shared.machine.bytes import LedgerRow, moment
from shared.machine.projecting import Heard

NOW = datetime(2026, 3, 3, 9, tzinfo=UTC)
STREAM = UUID(int=7)
PARKED = InputParked(entry=17, topic="intake.commands", partition=0, offset=3, cause="mind_failed", reason="KeyError")
STILL = PARKED.model_copy(update={"before": "parked"})
WAITS = InputWaiting(entry=17, behind=16)
UP, UP_AT_LAST = InputTakenUp(entry=17, before="parked"), InputTakenUp(entry=17, before="waiting")
BODIES = {one.type: one.to_bytes() for one in (PARKED, WAITS, UP)}


class Ledger:
    """Rows of one ledger, one after another."""

    def __init__(self, service="intake"):
        self.service, self.position = service, 1_000_000

    def row(self, message_id, cause, event="intake.OwnerAssigned.v1", **changed):
        self.position += 1
        row = LedgerRow(
            0, self.position, STREAM, "complaint", 1, event, BODIES.get(event, b"{}"), 0, NOW, moment(NOW), "person:anna", str(message_id),
            STREAM, None, "", cause,
        )  # fmt: skip
        for name, value in changed.items():
            setattr(row, name, value)
        return Heard(self.service, row)


@pytest.fixture
def message_id():
    return uuid4()


async def kept(connection, message_id, *batches):
    for batch in batches:
        await Outcomes().project(connection, batch)
    rows = await connection.fetch("SELECT * FROM outcomes WHERE message_id = $1 ORDER BY service, first", message_id)
    return [(row["service"], row["outcome"], row["first"] - 1_000_000, row["last"] - 1_000_000) for row in rows]


@pytest.mark.parametrize("cut", range(1, 4))
async def test_the_events_of_an_input_are_one_outcome_wherever_a_batch_cuts_them(console_tables, message_id, cut):
    ledger = Ledger()
    rows = [
        ledger.row(message_id, b"a"),
        ledger.row(message_id, b"a", "intake.SubmitComplaintRequested.v1", target=uuid4()),
        ledger.row(message_id, b"a"),
    ]
    assert await kept(console_tables, message_id, rows[:cut], rows[cut:]) == [("intake", "accepted", 1, 3)]


async def test_what_two_senders_send_under_one_id_stays_apart(console_tables, message_id):
    ledger = Ledger()
    mine, theirs = ledger.row(message_id, b"a"), ledger.row(message_id, b"b", "machine.CommandRefused.v1")
    assert await kept(console_tables, message_id, [mine, theirs]) == [("intake", "accepted", 1, 1), ("intake", "refused", 2, 2)]


async def test_what_two_senders_send_under_one_id_stays_apart_between_batches(console_tables, message_id):
    ledger = Ledger()
    mine, theirs = ledger.row(message_id, b"a"), ledger.row(message_id, b"b")
    assert await kept(console_tables, message_id, [mine], [theirs]) == [("intake", "accepted", 1, 1), ("intake", "accepted", 2, 2)]


async def test_two_services_have_an_outcome_each(console_tables, message_id):
    intake, resolution = Ledger(), Ledger("resolution")
    rows = [intake.row(message_id, b"a"), resolution.row(message_id, b"b"), intake.row(message_id, b"a")]
    assert await kept(console_tables, message_id, rows) == [("intake", "accepted", 1, 2), ("resolution", "accepted", 1, 1)]


@pytest.mark.parametrize("event", ["intake.SubmitComplaintRequested.v1", "machine.MessageRepeated.v1"])
async def test_what_is_passed_on_or_was_answered_before_is_no_outcome(console_tables, message_id, event):
    assert await kept(console_tables, message_id, [Ledger().row(message_id, b"a", event)]) == []


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ("intake.ComplaintReceived.v1", "accepted"),
        ("intake.SubmissionRepeated.v1", "repeated"),
        ("intake.SubmissionConflicted.v1", "conflicting"),
        ("machine.NothingChanged.v1", "accepted"),
        ("machine.CommandRefused.v1", "refused"),
        ("machine.InputParked.v1", "parked"),
        ("machine.InputWaiting.v1", "waiting"),
    ],
)
async def test_an_outcome_is_called_what_it_is(console_tables, message_id, event, outcome):
    assert await kept(console_tables, message_id, [Ledger().row(message_id, b"a", event)]) == [("intake", outcome, 1, 1)]


async def test_an_id_in_another_spelling_is_another_id(console_tables):
    message_id = UUID("ABCDEFAB-0000-4000-8000-000000000000")
    spelled = [str(message_id).upper(), message_id.hex, f"{{{message_id}}}", f"urn:uuid:{message_id}", "g1/intake/0/17", ""]
    ledger = Ledger()
    assert await kept(console_tables, message_id, [ledger.row(one, bytes([n])) for n, one in enumerate(spelled)]) == []


async def test_what_could_not_be_read_concerns_no_stream(console_tables, message_id):
    row = Ledger().row(message_id, b"a", "machine.InputParked.v1", kind="shard", stream=uuid4())
    await Outcomes().project(console_tables, [row])
    assert await console_tables.fetchval("SELECT stream FROM outcomes WHERE message_id = $1", message_id) is None


@pytest.mark.parametrize("cut", range(5))
@pytest.mark.parametrize(("held", "up"), [(PARKED, UP), (WAITS, UP_AT_LAST)])
async def test_what_became_of_it_at_last_takes_the_place_of_what_was_known_of_it(console_tables, message_id, cut, held, up):
    """Also where somebody else used its id meanwhile: its place among them stays."""
    ledger = Ledger()
    rows = [
        ledger.row(message_id, b"a", held.type),
        ledger.row(message_id, b"b", "machine.CommandRefused.v1"),
        ledger.row(message_id, b"c"),
        ledger.row(message_id, b"c"),
        ledger.row(message_id, b"c", up.type, body=up.to_bytes()),
    ]
    assert await kept(console_tables, message_id, rows[:cut], rows[cut:]) == [("intake", "refused", 2, 2), ("intake", "accepted", 3, 5)]
    order = "SELECT array_agg(outcome ORDER BY came) FROM outcomes WHERE message_id = $1"
    assert await console_tables.fetchval(order, message_id) == ["accepted", "refused"]


async def test_what_is_parked_once_more_is_one_outcome(console_tables, message_id):
    ledger = Ledger()
    rows = [ledger.row(message_id, b"a", PARKED.type), ledger.row(message_id, b"b", PARKED.type, body=STILL.to_bytes())]
    assert await kept(console_tables, message_id, rows) == [("intake", "parked", 2, 2)]
    assert await console_tables.fetchval("SELECT came FROM outcomes WHERE message_id = $1", message_id) == 1_000_001


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("first", ["intake.SubmitComplaintRequested.v1", MessageRepeated.type])
async def test_what_was_passed_on_or_answered_before_is_no_outcome_at_last_wherever_a_batch_cuts_it(console_tables, message_id, cut, first):
    """Not even that it was accepted: that would stand before the answer, which may be a refusal."""
    ledger = Ledger()
    rows = [
        ledger.row(message_id, b"a", PARKED.type),
        ledger.row(message_id, b"b", first, target=uuid4()),
        ledger.row(message_id, b"b", UP.type),
    ]
    assert await kept(console_tables, message_id, rows[:cut], rows[cut:]) == []


@pytest.mark.parametrize("cut", range(4))
async def test_what_is_parked_on_another_stream_at_last_is_one_outcome_wherever_a_batch_cuts_it(console_tables, message_id, cut):
    """Its new stream says that it is parked, and then its old one that it is no more."""
    ledger = Ledger()
    rows = [
        ledger.row(message_id, b"a", PARKED.type),
        ledger.row(message_id, b"b", PARKED.type),
        ledger.row(message_id, b"b", UP.type),
    ]
    assert await kept(console_tables, message_id, rows[:cut], rows[cut:]) == [("intake", "parked", 2, 3)]


async def test_what_came_to_nothing_at_last_is_no_outcome_as_if_it_had_never_been_parked(console_tables, message_id):
    ledger = Ledger()
    rows = [ledger.row(message_id, b"a", PARKED.type), ledger.row(message_id, b"b", UP.type)]
    assert await kept(console_tables, message_id, rows) == []
