"""What every consumer of a ledger checks: that an event is the next one, and the one that was written."""

from shared.machine.bytes import LedgerRow
from shared.machine.head import Seen, Stopped


def taken_in(row: LedgerRow, seen: Seen, service: str, where: str) -> Seen | None:
    """How far the ledger is seen with this row; None where it was seen before.

    Args:
        row: The event. Its `previous` is the hash that it came with.
        seen: The last row of that service and shard that was taken in.
        service: Whose ledger.
        where: The record's topic, partition and offset, for people.

    Raises:
        Stopped: where rows are missing before it (`gap`), or it is not what was written (`chain`).
    """
    if row.position < seen.position or (row.position, row.hash) == (seen.position, seen.hash):
        return None
    if row.position == seen.position:
        raise Stopped("chain", f"{where} is another {service}'s position {row.position} than was taken in. {_ANOTHER}")
    if row.position > seen.position + 1:
        raise Stopped(
            "gap", f"{where} is {service}'s position {row.position}, but the last one taken in was {seen.position}: events are missing. "
            "Rebuild the topic from the ledger.",
        )  # fmt: skip
    if row.previous != seen.hash or row.chain(row.previous) != row.hash:
        raise Stopped("chain", f"{service}'s position {row.position} at {where} does not follow from the one before. {_ANOTHER}")
    return Seen(row.position, row.hash)


_ANOTHER = (
    "It was changed, or comes from another ledger, such as an older one that was restored and decided on: `makegood verify` tells which "
    "events the ledger has, and a backup which is right."
)
