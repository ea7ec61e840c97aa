"""What became of a message? For whoever waits for an answer, and for whoever asks again after a time-out.

A message's id names it for its sender alone: an upstream may use any id, one that another uses too, or one of ours. So what is kept is
what became of each *input*: its events lie one after another in one ledger, and each carries the hash of that input's journal row.
What was parked, or waited, is decided once more under a journal row of its own; what becomes of it then takes the other's place.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.contract.envelope import is_requested
from shared.contract.intake import ANSWERS
from shared.contract.machine import MACHINE_EVENTS, NOT_TAKEN, InputParked, InputTakenUp, InputWaiting, MessageRepeated
from shared.contract.upcasts import read_event
from shared.machine.bytes import LedgerRow
from shared.machine.projecting import Heard
from shared.machine.store import Connection
from shared.machine.told import SHARD

CHANNEL = "console_outcomes"
"""Where it is told that there are new ones."""
NAMES: Mapping[str, str] = {**NOT_TAKEN, **ANSWERS}
"""What the first event of an input says became of it; any other says that it was accepted."""
ANSWERED_ELSEWHERE = frozenset({MessageRepeated.type, InputTakenUp.type})
"""What stands first where an input is answered elsewhere, or not yet, as a request that is passed on does. `InputTakenUp` is the last event
of an input that was decided once more: it is met first where a batch was cut behind such an event, or where nothing else came of it."""


class Outcomes:
    """Keeps what became of inputs whose id is a UUID: the console's own are."""

    async def project(self, connection: Connection, heard: Sequence[Heard]) -> None:
        """See `Projection`."""
        new: list[Sequence[object]] = []
        continued, begun = False, set[str]()
        for events in _inputs(heard):
            (service, row), last = (events[0].service, events[0].row), events[-1].row.position
            may_continue = service not in begun
            begun.add(service)
            message_id = _uuid(row.message_id)
            if message_id is None:
                continue
            place = (message_id, service, row.shard, row.cause_hash)
            if may_continue and await connection.fetchval(
                "UPDATE outcomes SET last = $6 WHERE (message_id, service, shard, cause) = ($1, $2, $3, $4) AND last = $5 RETURNING true",
                *place, row.position - 1, last,
            ):  # fmt: skip
                continued = True
            elif not is_requested(row.type) and row.type not in ANSWERED_ELSEWHERE:
                stream = None if row.kind == SHARD else row.stream
                new.append((*place, row.position, last, stream, NAMES.get(row.type, "accepted"), _entry(row)))
        if new:
            await connection.executemany(
                "INSERT INTO outcomes (message_id, service, shard, cause, first, last, stream, outcome, entry, came)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $5)",
                new,
            )
        for one in heard:
            await _settle(connection, one)
        if new or continued:
            await connection.execute("SELECT pg_notify($1, '')", CHANNEL)


async def _settle(connection: Connection, heard: Heard) -> None:
    """What was known of an input that was held is known no more where it was decided once more: its other events stand under this cause."""
    row, message_id = heard.row, _uuid(heard.row.message_id)
    if message_id is None or row.type not in {InputTakenUp.type, InputParked.type}:
        return
    event = read_event(row.type, row.body, MACHINE_EVENTS)
    if isinstance(event, InputTakenUp | InputParked) and event.before is not None:
        await connection.execute(
            "WITH until_now AS (DELETE FROM outcomes WHERE (message_id, service, shard, entry) = ($1, $2, $3, $4) AND cause <> $5"
            " RETURNING came) UPDATE outcomes SET came = until_now.came FROM until_now"
            " WHERE (message_id, service, shard, cause) = ($1, $2, $3, $5)",
            message_id, heard.service, row.shard, event.entry, row.cause_hash,
        )  # fmt: skip


def _entry(row: LedgerRow) -> int | None:
    """Where an input lies that is parked, or waits."""
    if row.type not in {InputParked.type, InputWaiting.type}:
        return None
    event = read_event(row.type, row.body, MACHINE_EVENTS)
    assert isinstance(event, InputParked | InputWaiting), "it is of its type"
    return event.entry


def _inputs(heard: Sequence[Heard]) -> Sequence[Sequence[Heard]]:
    """The events of each input together. The first of each service may belong to an input whose other events came in the batch before."""
    found: list[list[Heard]] = []
    newest: dict[str, list[Heard]] = {}
    for one in heard:
        events = newest.get(one.service)
        if events is None or events[-1].row.cause_hash != one.row.cause_hash:
            events = newest[one.service] = []
            found.append(events)
        events.append(one)
    return found


def _uuid(message_id: str) -> UUID | None:
    """The id, where it is a UUID in its one spelling: another spelling is another message's."""
    try:
        found = UUID(message_id)
    except ValueError:
        return None
    return found if str(found) == message_id else None
