"""What became of a message? For whoever waits for an answer, and for whoever asks again after a time-out."""

from collections.abc import Sequence
from uuid import UUID

from shared.contract.envelope import is_requested
from shared.contract.machine import CommandRefused, InputParked, InputWaiting, MessageRepeated
from shared.machine.projecting import Heard
from shared.machine.store import Connection

CHANNEL = "console_outcomes"
"""Where it is told that there are new ones."""
NAMES = {CommandRefused.type: "refused", InputParked.type: "parked", InputWaiting.type: "waiting"}
"""What an event says of the message it answers; any other says that it was accepted."""
UUID_LENGTH = 36


class Outcomes:
    """Keeps what became of messages whose id is a UUID: the console's own are."""

    async def project(self, connection: Connection, heard: Sequence[Heard]) -> None:
        """See `Projection`."""
        found: dict[UUID, list[object]] = {}
        for one in heard:
            row = one.row
            if len(row.message_id) != UUID_LENGTH or is_requested(row.type) or row.type == MessageRepeated.type:
                continue
            try:
                message_id = UUID(row.message_id)
            except ValueError:
                continue
            outcome = NAMES.get(row.type, "accepted")
            kept = found.setdefault(message_id, [message_id, outcome, one.service, row.shard, row.position, row.position])
            kept[-1] = row.position
        if not found:
            return
        await connection.executemany(
            "INSERT INTO outcomes (message_id, outcome, service, shard, first, last) VALUES ($1, $2, $3, $4, $5, $6)"
            " ON CONFLICT (message_id) DO UPDATE SET last = excluded.last"
            " WHERE (outcomes.service, outcomes.shard, outcomes.last + 1) = (excluded.service, excluded.shard, excluded.first)",
            list(found.values()),
        )  # fmt: skip
        await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
