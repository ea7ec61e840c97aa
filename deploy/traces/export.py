"""A reader of the ledgers that makes spans and sends them. It keeps its place in a file, and may be stopped at any moment.

What was sent when it is stopped before its place is written is sent again, with the same ids.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg

from deploy.database import use
from deploy.traces.reading import led, relayed
from shared.contract.envelope import SERVICES
from shared.machine import stored
from shared.machine.traces import Span, spans

ROWS = 2_000
"""Ledger rows read at once."""
LOOK_EVERY_SECONDS = 1.0
"""How often it is looked whether there are new rows."""


class NotTaken(RuntimeError):
    """Whoever keeps traces did not take them; the message says where."""


class Place:
    """How far each ledger was exported."""

    def __init__(self, file: Path) -> None:
        """`file`: where it is kept; there need be none yet. Raises ValueError where it holds something else."""
        self._file = file
        self._positions: dict[str, int] = {}
        if file.exists():
            found = json.loads(file.read_bytes())
            if not isinstance(found, dict) or not all(isinstance(position, int) for position in found.values()):
                raise ValueError(f"{file} is not the place of an export")
            self._positions = found

    def of(self, service: str, shard: int) -> int:
        """The last position that was exported."""
        return self._positions.get(f"{service}/{shard}", 0)

    def keep(self, service: str, shard: int, position: int) -> None:
        """Up to here it was. Replaces the file whole."""
        self._positions[f"{service}/{shard}"] = position
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_text(json.dumps(self._positions, indent=1, sort_keys=True))
        new.replace(self._file)


def _nothing(_: str) -> None:
    """What most need to say."""


class Sends(Protocol):
    """Where spans go."""

    def send(self, spans: list[Span]) -> None:
        """Returns when they are taken. Raises NotTaken."""


@dataclass
class Export:
    """One export: from where, to where, and how far it is."""

    connection: asyncpg.Connection
    """The owner's."""
    generation: str
    shards: int
    place: Place
    sender: Sends
    say: Callable[[str], None] = _nothing
    """Is told in a sentence, once, what is waited for."""

    async def run(self, *, follow: bool, tell: Callable[[int], None]) -> None:
        """Sends all that was relayed since. `tell` is told of every batch's spans.

        With `follow` it goes on for ever, and waits where nobody takes them. Raises NotTaken otherwise.
        """
        waits = False
        while True:
            try:
                sent, waited, waits = await self._once(tell), waits, False
                if waited:
                    self.say("They are taken again.")
            except NotTaken as error:
                if not follow:
                    raise
                if not waits:
                    self.say(f"{str(error)[:1].upper()}{str(error)[1:]}; waiting for that.")
                sent, waits = False, True
            if not sent:
                if not follow:
                    return
                await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _once(self, tell: Callable[[int], None]) -> bool:
        """One batch of every ledger. Whether there was any."""
        found = False
        for service in SERVICES:
            await use(self.connection, service)
            ends = await self._ends()
            for shard, end in sorted(ends.items()):
                if end > self.place.of(service, shard):
                    found = await self._batch(service, shard, end, tell) or found
        return found

    async def _ends(self) -> Mapping[int, int]:
        """Up to where each shard was relayed: before that, a span has not ended."""
        rows = await self.connection.fetch(
            "SELECT shard, (SELECT max(position) FROM relayed WHERE relayed.shard = one.shard) AS position"
            " FROM generate_series(0, $1 - 1) AS one (shard)",
            self.shards,
        )
        return {row["shard"]: row["position"] or 0 for row in rows}

    async def _batch(self, service: str, shard: int, end: int, tell: Callable[[int], None]) -> bool:
        rows = await self.connection.fetch(
            "SELECT * FROM ledger WHERE shard = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4",
            shard, self.place.of(service, shard), end, ROWS,
        )  # fmt: skip
        events = [stored.ledger_row(row) for row in rows]
        entries = sorted({event.entry for event in events})
        inputs = await self.connection.fetch("SELECT * FROM journal WHERE shard = $1 AND entry = ANY($2) ORDER BY entry", shard, entries)
        whole = [row for row in map(stored.journal_row, inputs) if row.first_position + row.events - 1 <= events[-1].position]
        if not whole:  # the last input's events are not all relayed yet
            return False
        when = await relayed(self.connection, shard, [event.position for event in events])
        made = spans(service, self.generation, led(whole, events, when))
        await asyncio.to_thread(self.sender.send, made)
        self.place.keep(service, shard, whole[-1].first_position + whole[-1].events - 1)
        tell(len(made))
        return True
