"""Which complaints are there? One card a complaint, with the columns that people search by, and those that a list shows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.console.projections.card import CARD, Card, with_event
from shared.contract.catalogue import EVENTS
from shared.contract.envelope import is_requested
from shared.contract.upcasts import read_event
from shared.machine.projecting import Heard
from shared.machine.store import Connection

COLUMNS = {
    "id": "uuid", "received_at": "timestamptz", "updated_at": "timestamptz", "stage": "text", "source": "text", "ref": "text",
    "product": "text", "defect_kind": "text", "severity": "text", "owner": "text", "ending": "text", "held": "boolean", "refusals": "int",
    "conflicts": "int", "parked": "int", "broken": "int", "next_promise_at": "timestamptz", "summary": "text", "card": "bytea",
}  # fmt: skip
"""The table's columns and their types."""
KINDS = frozenset({"complaint", "case", "learning"})
"""The streams that have a complaint's id."""
_ARRAYS = ", ".join(f"${number}::{of}[]" for number, of in enumerate(COLUMNS.values(), 1))
_NEW = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS if column != "id")
_UPSERT = f"INSERT INTO complaints ({', '.join(COLUMNS)}) SELECT * FROM unnest({_ARRAYS}) ON CONFLICT (id) DO UPDATE SET {_NEW}"  # noqa: S608


class Queue:
    """Keeps the cards."""

    async def project(self, connection: Connection, heard: Sequence[Heard]) -> None:
        """See `Projection`."""
        about = [one for one in heard if one.row.kind in KINDS and not is_requested(one.row.type)]
        if not about:
            return
        ids = list({one.row.stream for one in about})
        rows = await connection.fetch("SELECT id, card FROM complaints WHERE id = ANY($1)", ids)
        cards: dict[UUID, Card] = {row["id"]: CARD.validate_json(row["card"]) for row in rows}
        for one in about:
            row = one.row
            event = read_event(row.type, row.body, EVENTS)
            cards[row.stream] = with_event(cards.get(row.stream, Card()), one.service, event, row.now)
        await connection.execute(_UPSERT, *zip(*(_columns(ident, card) for ident, card in cards.items()), strict=True))


def _columns(ident: UUID, card: Card) -> Sequence[Any]:
    """One value for each of `COLUMNS`, in their order."""
    own, received = card.own, card.own.received
    return [
        ident, card.received_at, card.updated_at, card.stage, received and received.source, received and received.ref, own.product,
        own.defect_kind, own.severity, own.owner, card.ending, card.held, card.sum_of("refusals"), own.conflicts, card.sum_of("parked"),
        card.sum_of("broken"), card.next_promise_at, card.summary, CARD.dump_json(card),
    ]  # fmt: skip
