"""The machine's tables in memory, as committed and as a transaction sees them; what each statement does with them is in `statements.py`.

A transaction sees what was committed and what it wrote itself; what it writes others see when it is committed. What PostgreSQL is to the
machine beyond that (locks, sessions, a connection that is lost) is in `postgres.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from shared.machine.bytes import GENESIS
from shared.machine.head import LONG_AGO

Row = Mapping[str, Any]
Key = Any
Place = tuple[str, int]
"""A table and a shard."""
CLUSTER = "simulated"
"""The id of the installation's Kafka cluster."""
NO_SHARD = -1
FRESH_HEAD: Row = {
    "epoch": 0, "owner": "", "entry": 0, "journal_hash": GENESIS, "position": 0, "hash": GENESIS, "now": LONG_AGO, "policy": "", "rules": 0,
    "offsets": "{}", "incarnations": "{}", "seen": "{}", "attempts": 0, "trying": "", "sealed_at": LONG_AGO,
}  # fmt: skip
MESSAGES_COLUMNS = ("shard", "message_id", "body", "entry", "first_position", "events", "met_at")


class Schema:
    """One service's tables, as committed."""

    def __init__(self, service: str, shards: int, generation: str) -> None:
        """Freshly installed."""
        self.service, self.shards, self.generation = service, shards, generation
        self.places: dict[Place, dict[Key, Row]] = {}
        for shard in range(shards):
            self.rows("head", shard)[shard] = {**FRESH_HEAD, "shard": shard}

    def rows(self, table: str, shard: int) -> dict[Key, Row]:
        """What is committed of a table."""
        if (found := self.places.get((table, shard))) is None:
            found = self.places[table, shard] = {}
        return found

    def head(self, shard: int) -> Row:
        """The head of a shard, as committed."""
        return self.rows("head", shard)[shard]


@dataclass(slots=True)
class Transaction:
    """What one wrote and is not committed yet, over what is."""

    schema: Schema
    written: dict[Place, dict[Key, Row | None]] = field(default_factory=dict)
    """None for a row that was deleted."""
    inserted: list[tuple[str, int, Key]] = field(default_factory=list)
    """Which of them must not have been there before."""

    def get(self, table: str, shard: int, key: Key) -> Row | None:
        """A row as this transaction sees it."""
        own = self.written.get((table, shard))
        if own is not None and key in own:
            return own[key]
        return self.schema.rows(table, shard).get(key)

    def rows(self, table: str, shard: int) -> Iterator[tuple[Key, Row]]:
        """All rows of a table as this transaction sees them."""
        committed, own = self.schema.rows(table, shard), self.written.get((table, shard))
        if not own:
            yield from committed.items()
            return
        for key, row in committed.items():
            if key not in own:
                yield key, row
        for key, written in own.items():
            if written is not None:
                yield key, written

    def put(self, table: str, shard: int, key: Key, row: Row | None) -> None:
        """Writes a row, or deletes it."""
        self.written.setdefault((table, shard), {})[key] = row

    def insert(self, table: str, shard: int, key: Key, row: Row) -> None:
        """Writes a row that must not be there yet."""
        if self.get(table, shard, key) is not None:
            raise asyncpg.UniqueViolationError(f"{table} has a row {key} of shard {shard} already")
        self.put(table, shard, key, row)
        self.inserted.append((table, shard, key))

    def commit(self) -> None:
        """What was written is there for all."""
        for table, shard, key in self.inserted:  # somebody else may have, meanwhile: there it would have waited for us
            if key in self.schema.rows(table, shard):
                raise asyncpg.UniqueViolationError(f"{table} has a row {key} of shard {shard} already")
        for (table, shard), written in self.written.items():
            committed = self.schema.rows(table, shard)
            for key, row in written.items():
                if row is None:
                    committed.pop(key, None)
                else:
                    committed[key] = row


Effect = Callable[..., Any]
"""Given the transaction, the clock and the statement's parameters, what it returns."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one does."""

    effect: Effect
    lock: Callable[..., Place] | None = None
    """The row that it locks until its transaction ends, given the parameters."""
    writes: bool = False


STATEMENTS: dict[str, Statement] = {}


def does(text: str, *, lock: Callable[..., Place] | None = None, writes: bool = False) -> Callable[[Effect], Effect]:
    """Adds a statement to those that are known."""

    def add(effect: Effect) -> Effect:
        STATEMENTS[text] = Statement(effect, lock, writes)
        return effect

    return add
