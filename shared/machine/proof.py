"""Proves that a shard's ledger is whole and unchanged, and that what is kept beside it follows from it.

Read in one snapshot, so it may run while the service does: positions and versions without gaps, both chains, each row's cause, the state
as the fold of the events, byte for byte, the timers that the states want, the head, and the policies. What the head says of Kafka is not
proven here: which events of others were seen a replay finds out, and the next offsets are set anew by people where Kafka lost some.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from shared.contract.envelope import is_requested
from shared.contract.machine import MACHINE_EVENTS, InputParked, InputTakenUp, InputWaiting, PolicyAdopted
from shared.contract.upcasts import read_event
from shared.machine import store
from shared.machine.bytes import GENESIS, JournalRow, LedgerRow
from shared.machine.deciding import RULES
from shared.machine.fault import Fault, ProofFailed
from shared.machine.head import LONG_AGO, Head
from shared.machine.held import STOPS, Key, timers_of
from shared.machine.mind import Mind, Timer
from shared.machine.rows import Live
from shared.machine.stored import Damaged
from shared.machine.told import SHARD


@dataclass(frozen=True, slots=True)
class Proven:
    """What was looked at, and where the shard stood."""

    service: str
    shard: int
    entries: int
    events: int
    streams: int
    hash: str


async def verify_shard(connection: asyncpg.Connection, mind: Mind, shard: int) -> Proven:
    """Proves one shard. `connection` is outside a transaction, its search path the service's schema.

    Raises:
        ProofFailed: at the first thing that is not as it must be.
    """
    try:
        return await _verified(connection, mind, shard)
    except Damaged as damaged:
        raise ProofFailed(Fault(mind.service, damaged.shard, str(damaged))) from damaged


async def _verified(connection: asyncpg.Connection, mind: Mind, shard: int) -> Proven:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        proof = _Proof(mind, shard)
        head = await store.read_head(connection, shard)
        causes = aiter(store.stream_journal(connection, shard))
        cause: JournalRow | None = None
        async for row in store.stream_ledger(connection, shard):
            while cause is None or cause.entry < row.entry:
                cause = await anext(causes, None)
                if cause is None:
                    raise proof.failed("its cause is not in the journal", position=row.position)
                proof.journal(cause)
            proof.ledger(row, cause)
        async for later in causes:
            proof.journal(later)
        proof.head(head)
        await _policies(connection, proof)
        await _states(connection, proof)
        await _timers(connection, proof)
    return Proven(mind.service, shard, proof.entry, proof.position, len(proof.streams), proof.hash.hex())


async def _policies(connection: asyncpg.Connection, proof: "_Proof") -> None:
    if missing := proof.policies - (await store.read_policies(connection)).keys():
        raise proof.failed(f"the policy {missing.pop()} was adopted, and is missing")


async def _states(connection: asyncpg.Connection, proof: "_Proof") -> None:
    found = 0
    query = "SELECT kind, stream, version, parked, waiting, body FROM state WHERE shard = $1"
    async for row in connection.cursor(query, proof.shard, prefetch=store.STREAMED_ROWS):
        proof.state(row)
        found += 1
    if found != len(proof.streams):
        raise proof.failed(f"{len(proof.streams)} streams have events, but {found} have a state")


async def _timers(connection: asyncpg.Connection, proof: "_Proof") -> None:
    query = "SELECT kind, stream, timer, due_at, generation FROM timers WHERE shard = $1"
    stored: dict[tuple[Key, str], Timer] = {}
    async for row in connection.cursor(query, proof.shard, prefetch=store.STREAMED_ROWS):
        stored[(row["kind"], row["stream"]), row["timer"]] = Timer(row["due_at"], row["generation"])
    proof.timers(stored)


class _Proof:
    """How far a shard has been proven."""

    def __init__(self, mind: Mind, shard: int) -> None:
        self.mind, self.shard = mind, shard
        self.position, self.hash = 0, GENESIS
        self.entry, self.journal_hash = 0, GENESIS
        self.promised = 0
        """The last position that the entries so far lead to."""
        self.rules, self.now = 0, LONG_AGO
        self.policy = self.under = ""
        """The policy in force by the ledger, and the one that the last entry names."""
        self.policies: set[str] = set()
        self.streams: dict[Key, Live] = {}

    def failed(self, what: str, *, position: int | None = None, entry: int | None = None) -> ProofFailed:
        return ProofFailed(Fault(self.mind.service, self.shard, what, position, entry))

    def journal(self, row: JournalRow) -> None:
        self.complete()
        if row.entry != self.entry + 1:
            raise self.failed(f"entries {self.entry + 1} to {row.entry - 1} are missing", entry=row.entry)
        if row.chain(self.journal_hash) != row.hash:
            raise self.failed("its hash does not follow from its content and the entry before it: it was changed", entry=row.entry)
        if row.first_position != (self.promised + 1 if row.events else 0):
            raise self.failed("its events do not begin where those of the entry before it end", entry=row.entry)
        raises = row.entry == 1 or (row.type == RULES and not row.topic and row.rules > self.rules)
        if row.rules != self.rules and not raises:
            raise self.failed(f"it is decided by rules {row.rules}, where rules {self.rules} were in force", entry=row.entry)
        if row.now < self.now:
            raise self.failed("it was decided before the entry before it", entry=row.entry)
        self.entry, self.journal_hash, self.promised = row.entry, row.hash, self.promised + row.events
        self.rules, self.now, self.under = row.rules, row.now, row.policy

    def complete(self) -> None:
        """All that the last entry led to was seen."""
        if self.position != self.promised:
            raise self.failed(f"it led to events up to position {self.promised}, but they end at {self.position}", entry=self.entry)
        if self.under != self.policy:
            raise self.failed("it was decided under a policy that was not in force", entry=self.entry)

    def ledger(self, row: LedgerRow, cause: JournalRow) -> None:
        if row.position != self.position + 1:
            raise self.failed(f"positions {self.position + 1} to {row.position - 1} are missing", position=row.position)
        if row.chain(self.hash) != row.hash:
            raise self.failed("its hash does not follow from its content and the row before it: it was changed", position=row.position)
        if row.cause_hash != cause.hash:
            raise self.failed("it is not what its journal entry led to", position=row.position, entry=cause.entry)
        self.position, self.hash = row.position, row.hash
        try:
            self._fold(row)
        except (KeyError, ValueError) as error:
            raise self.failed(f"{row.type} can't be read ({type(error).__name__})", position=row.position) from error

    def _fold(self, row: LedgerRow) -> None:
        live = self._live(row.kind, row.stream)
        if row.version != live.version + 1:
            raise self.failed(f"version {row.version} of {row.kind} {row.stream} follows {live.version}", position=row.position)
        live.version = row.version
        if row.type in MACHINE_EVENTS:
            event = read_event(row.type, row.body, MACHINE_EVENTS)
            if isinstance(event, InputParked | InputTakenUp | InputWaiting):
                _held(live, event)
            elif isinstance(event, PolicyAdopted):
                self.policy = event.digest
                self.policies.add(event.digest)
        elif not is_requested(row.type):
            live.state = self.mind.streams[row.kind].evolve(live.state, read_event(row.type, row.body, self.mind.events))

    def _live(self, kind: str, stream: UUID) -> Live:
        if (kind, stream) not in self.streams:
            self.streams[kind, stream] = Live(kind, stream, None if kind == SHARD else self.mind.streams[kind].initial)
        return self.streams[kind, stream]

    def head(self, head: Head) -> None:
        self.complete()
        if (head.position, head.hash) != (self.position, self.hash):
            what = f"the head says that the ledger ends at {head.position}, but it ends at {self.position}"
            raise self.failed(what, position=self.position)
        if (head.entry, head.journal_hash) != (self.entry, self.journal_hash):
            raise self.failed(f"the head says that the journal ends at {head.entry}, but it ends at {self.entry}", entry=self.entry)
        if head.rules != self.rules:
            raise self.failed(f"the head says that rules {head.rules} are in force, but it is rules {self.rules}")
        if head.policy != self.policy:
            raise self.failed(f"the head says that the policy {head.policy} is in force, but it is {self.policy}")
        if head.now < self.now:
            raise self.failed("the head says that it is earlier than at the last entry")

    def state(self, row: Any) -> None:
        live = self.streams.get((row["kind"], row["stream"]))
        where = f"the state of {row['kind']} {row['stream']}"
        if live is None:
            raise self.failed(f"{where} is there, but no event of it")
        if (row["version"], row["parked"], row["waiting"]) != (live.version, live.parked, live.waiting):
            raise self.failed(f"{where} is of version {row['version']}; its events lead to {live.version}")
        if row["body"] != store.state_bytes(self.mind, live):
            raise self.failed(f"{where} is not the fold of its events")

    def timers(self, stored: dict[tuple[Key, str], Timer]) -> None:
        for key, live in self.streams.items():
            for name, timer in timers_of(self.mind, live).items():
                if stored.pop((key, name), None) != timer:
                    raise self.failed(f"the timer {name} of {live.kind} {live.stream} is not set as its state wants it")
        for (kind, stream), name in stored:
            raise self.failed(f"the timer {name} of {kind} {stream} is set, but its state does not want it")


def _held(live: Live, event: InputParked | InputTakenUp | InputWaiting) -> None:
    """Folds what is held of a stream."""
    match event:
        case InputWaiting():
            live.waiting += 1
        case InputParked(before="waiting") if live.kind != SHARD:
            live.waiting -= 1
            live.parked = event.entry
        case InputParked() if event.cause in STOPS and live.kind != SHARD and not live.parked:
            live.parked = event.entry
        case InputTakenUp(before="waiting"):
            live.waiting -= 1
        case InputTakenUp() if live.parked == event.entry:
            live.parked = 0
        case _:
            pass
