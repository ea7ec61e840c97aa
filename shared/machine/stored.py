"""Rows as what they were written from, or the word that they are not it any more."""

import hashlib
import json
import re
from typing import Any, TypeVar

from shared.machine.bytes import JournalRow, LedgerRow, moment
from shared.machine.head import Head, Seen, Stopped
from shared.policy.model import Policy

V = TypeVar("V")
HEX = re.compile("([0-9a-f]{2})*")


class Damaged(Stopped):
    """What is stored is not what was written. A shard does not go on with it; a proof, or a doctor, says so."""

    def __init__(self, what: str, shard: int | None = None) -> None:
        """`shard`: whose it is; None for what all shards of the service share."""
        super().__init__("damaged", what)
        self.shard = shard


def ledger_row(row: Any) -> LedgerRow:
    """A row of the table as the fact it is."""
    return LedgerRow(
        row["shard"], row["position"], row["stream"], row["kind"], row["version"], row["type"], row["body"], row["entry"], row["now"],
        moment(row["now"]), row["actor"], row["message_id"], row["correlation"], row["target"], row["origin_id"], row["cause_hash"],
        row["hash"],
    )  # fmt: skip


def journal_row(row: Any) -> JournalRow:
    """A row of the table as the input it is."""
    return JournalRow(
        row["shard"], row["entry"], row["topic"], row["partition"], row["offset"], row["until"], row["message_id"], row["type"],
        row["kind"], row["stream"], row["key"], row["headers"], row["body"], row["sent_ms"], row["now"], moment(row["now"]), row["policy"],
        row["rules"], row["outcome"], row["reason"], row["refers"], row["first_position"], row["events"], row["received_at"], row["hash"],
    )  # fmt: skip


def head_of(row: Any, shard: int) -> Head:
    """A row of `head`; None where there is none. Raises Damaged."""
    if row is None:
        raise Damaged("it has no head: the row is gone", shard)
    return Head(
        row["shard"], row["epoch"], row["entry"], row["journal_hash"], row["position"], row["hash"], row["now"], row["policy"],
        row["rules"], _mapping(row, "offsets", int), _mapping(row, "incarnations", str), seen_of(row), row["attempts"], row["trying"],
        row["sealed_at"],
    )  # fmt: skip


def seen_of(row: Any) -> dict[str, Seen]:
    """What a head has seen of other ledgers. Raises Damaged."""
    seen = {}
    for name, told in _mapping(row, "seen", list).items():
        match told:
            case [int(position), str(digest)] if name.rpartition("/")[2].isdecimal() and HEX.fullmatch(digest):
                seen[name] = Seen(position, bytes.fromhex(digest))
            case _:
                raise _unreadable(row, "seen")
    return seen


def _mapping(row: Any, column: str, kind: type[V]) -> dict[str, V]:
    """A column of a head that is a JSON object with values of this kind."""
    try:
        found = json.loads(row[column])
    except ValueError as error:
        raise _unreadable(row, column) from error
    if not isinstance(found, dict) or not all(isinstance(value, kind) for value in found.values()):
        raise _unreadable(row, column)
    return found


def _unreadable(row: Any, column: str) -> Damaged:
    return Damaged(f"its head can't be read: {column} is not what was written there", row["shard"])


def policy_of(digest: str, body: bytes | None) -> Policy:
    """A policy as it was adopted. Raises Damaged where its body is not the one that its digest names."""
    if body is None:
        raise Damaged(f"the policy {digest} is gone: it is named by its digest, and no policy of that digest is stored")
    if hashlib.sha256(body).hexdigest() != digest:
        raise Damaged(f"the policy {digest} was changed: what is stored under that digest has another one")
    return Policy.model_validate_json(body)
