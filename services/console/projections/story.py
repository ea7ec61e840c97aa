"""What happened to a complaint? Every event and refusal of every service, as it was written."""

from collections.abc import Sequence

from shared.machine.projecting import Heard
from shared.machine.store import Connection

COLUMNS = (
    "service", "shard", "position", "complaint", "stream", "kind", "version", "type", "at", "actor", "message_id", "target", "hash", "body",
)  # fmt: skip


class Story:
    """Keeps all that was written."""

    async def project(self, connection: Connection, heard: Sequence[Heard]) -> None:
        """See `Projection`."""
        records = [
            (
                one.service, row.shard, row.position, row.correlation, row.stream, row.kind, row.version, row.type, row.now, row.actor,
                row.message_id, row.target, row.hash, row.body,
            )
            for one, row in ((one, one.row) for one in heard)
        ]  # fmt: skip
        if records:
            await connection.copy_records_to_table("story", records=records, columns=COLUMNS)
