"""The journal, decided again: the same code, the same inputs, the same times, and so the same ledger, byte for byte.

What the live service could not decide (parked) is taken from the journal: no mind is asked. Nothing here can act on the world: no relay,
no effect and no clock is given to it.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, replace

import asyncpg

from shared.contract.envelope import event_place
from shared.contract.machine import SETTLING
from shared.machine import store
from shared.machine.answering import Known
from shared.machine.bytes import JournalRow, LedgerRow
from shared.machine.deciding import RULES, Batch
from shared.machine.fault import Fault, ProofFailed
from shared.machine.head import LONG_AGO, Head, Outcome, Seen
from shared.machine.held import Key, Up
from shared.machine.mind import Mind
from shared.machine.told import NO_ROW_OF_OURS, Reader


@dataclass(slots=True)
class Replayed:
    """What was decided again."""

    service: str
    shard: int
    entries: int = 0
    events: int = 0
    taken_from_journal: int = 0
    """Parked inputs: their outcome is a fact, not a decision."""


async def check_shard(connection: asyncpg.Connection, mind: Mind, reader: Reader, shard: int) -> Replayed:
    """Replays one shard's journal and compares every row it leads to. `connection` is outside a transaction.

    Raises:
        ProofFailed: at the first row that comes out otherwise.
    """
    done = Replayed(mind.service, shard)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        policies, head = await store.read_policies(connection), await store.read_head(connection, shard)
        replay = Replay(mind, reader, shard, Known(policies))
        stored = aiter(store.stream_ledger(connection, shard))
        async for row in store.stream_journal(connection, shard):
            about = row.again or row.type in SETTLING
            original = await store.read_entry(connection, shard, row.refers) if about and row.refers else None
            again, facts = replay.decide(row, original)
            if again.hash != row.hash:
                what = f"replayed as {again.outcome}, journalled as {row.outcome}" if again.outcome != row.outcome else "replays otherwise"
                raise ProofFailed(Fault(mind.service, shard, what, entry=row.entry))
            for fact in facts:
                _compare(mind.service, fact, await anext(stored, None))
            done.entries += 1
            done.events += len(facts)
            done.taken_from_journal += row.outcome == Outcome.PARKED
        async for left in stored:
            raise ProofFailed(Fault(mind.service, shard, "no journal entry leads to it", position=left.position))
        if head.seen != (seen := replay.batch.head.seen):
            name = next(name for name in head.seen | seen if head.seen.get(name) != seen.get(name))
            said, was = (of.get(name, Seen()).position for of in (head.seen, seen))
            raise ProofFailed(Fault(mind.service, shard, f"the head says that {name} was seen up to {said}, but it was up to {was}"))
    return done


def _compare(service: str, fact: LedgerRow, stored: LedgerRow | None) -> None:
    if stored is None:
        raise ProofFailed(Fault(service, fact.shard, "the replay leads to it, but the ledger does not have it", position=fact.position))
    if stored.canonical() != fact.canonical() or stored.hash != fact.hash:
        what = f"the replay says {fact.type}" if fact.type != stored.type else "the replay says it otherwise"
        raise ProofFailed(Fault(service, fact.shard, f"{stored.type} stands there; {what}", position=stored.position))


class Replay:
    """One shard's journal, decided again row by row."""

    def __init__(self, mind: Mind, reader: Reader, shard: int, known: Known) -> None:
        """`known.policies`: all that were ever in force; nothing else is known beforehand."""
        self._by = {one.rules: (one, reader.of(one)) for one in (*mind.earlier, mind)}
        """Who decides by which rules, and how it reads: what an older release could not read yet, it parked."""
        self.batch = Batch(mind, reader, Head(shard), LONG_AGO, known)
        self._queues: defaultdict[Key, deque[int]] = defaultdict(deque)
        """The entries of the inputs that wait, in order."""

    def decide(self, row: JournalRow, original: JournalRow | None = None) -> tuple[JournalRow, list[LedgerRow]]:
        """What a journal row leads to by the rules that it names: itself, made again, and its ledger rows.

        Args:
            row: The journal row.
            original: The one it refers to, where it settles that input or decides it once more.

        Raises:
            ProofFailed: where this release no longer has those rules, or does not have them yet; where an input is decided out of turn.
        """
        batch, rows = self.batch, self.batch.rows
        if row.rules not in self._by:
            has = ", ".join(map(str, sorted(self._by)))
            what = f"rules changed: it was decided by rules {row.rules}, and this release has only rules {has}: replay it with one that has"
            raise ProofFailed(Fault(batch.mind.service, row.shard, what, entry=row.entry))
        rows.at(row.now)
        if (row.type == RULES and not row.topic) or not batch.head.policy:
            batch.head.rules = row.rules
            batch.mind, batch.reader = self._by[row.rules]
        batch.known.originals = {original.entry: original} if original else {}
        if row.again or batch.up is not None:
            self._again(row)
        elif row.outcome == Outcome.IGNORED:
            self._ignored(row)
        else:
            told = batch.reader.journalled(row)
            if row.outcome == Outcome.PARKED:
                cause, _, reason = row.reason.partition(": ")
                if reason == NO_ROW_OF_OURS:
                    told.disown()
                batch.saw(told)
                batch.park(told, cause, reason)
            else:
                batch.take_one(told)
                rows.end()
            if row.outcome == Outcome.WAITING and told.stream is not None:
                self._queues[told.kind, told.stream].append(row.entry)
        (again,), facts = rows.journal, list(rows.ledger)
        rows.journal.clear()
        rows.ledger.clear()
        return again, facts

    def _again(self, row: JournalRow) -> None:
        """An input that was parked, by what the row before it asked, or the next of those that waited behind it."""
        batch = self.batch
        up = batch.up or self._next_up(row)
        if up is None or not row.again:
            raise ProofFailed(Fault(batch.mind.service, row.shard, "it decides again what is not next in order", entry=row.entry))
        cause, _, reason = row.reason.partition(": ")
        batch.take_up(up, parked=(cause, reason) if row.outcome == Outcome.PARKED else None)

    def _next_up(self, row: JournalRow) -> Up | None:
        held, original = self.batch.known.held.get(row.refers), self.batch.known.originals.get(row.refers)
        if held is None or original is None or not self.batch.goes_on(held.key) or self._queues[held.key].popleft() != held.entry:
            return None
        return Up(held, self.batch.reader.once_more(original))

    def _ignored(self, row: JournalRow) -> None:
        """A run of records that were no concern of ours: all that it leaves is how far they were seen."""
        batch = self.batch
        if (place := event_place(row.message_id)) and row.body is not None:
            batch.head.seen[f"{place.service}/{row.partition}"] = Seen(place.position, row.body)
        batch.rows.again(replace(row))
