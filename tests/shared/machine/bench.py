"""One shard at a bench, without Kafka or PostgreSQL: records go in by hand, rows come out."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from shared.contract.envelope import NAMESPACE, commands_topic, shard_of
from shared.contract.said import Command, Event
from shared.machine.answering import Known
from shared.machine.bytes import GENESIS, LedgerRow, moment
from shared.machine.deciding import Batch
from shared.machine.head import Head
from shared.machine.held import Up
from shared.machine.records import event_headers, request_headers
from shared.machine.replay import Replay
from shared.machine.told import Reader
from shared.policy.loader import shipped_body
from tests.shared.machine.tally import MIND, NOW, headers, key

SHARDS = 4
SUBMISSIONS = ("complaints.submissions",)


@dataclass
class Record:
    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: list = field(default_factory=list)
    timestamp: int = 1_000
    timestamp_type: int = 1


def stream_in(shard: int, number: int = 0) -> UUID:
    """A stream that lies in this shard."""
    found = (uuid5(NAMESPACE, f"{number}/{n}") for n in range(1000))
    return next(stream for stream in found if shard_of(stream, SHARDS) == shard)


class Bench:
    """A shard whose batches are kept: what one batch leaves is what the next one knows."""

    def __init__(self, shard: int = 0, mind=MIND) -> None:
        self.mind, self.shard = mind, shard
        self.reader = Reader(mind, SHARDS, SUBMISSIONS, "g1")
        self.head = Head(shard)
        self.known = Known({})
        self.journal, self.ledger = [], []
        self.now = NOW
        self.offsets = {}
        self.foreign = (0, GENESIS)

    def batch(self, *records, policy: bytes | None = None, fire=(), go_on=(), most=1_000, fatal=False, forged=()):
        """One batch; gives the journal rows and the ledger rows it wrote. `forged`: those of the records that are no rows of ours.

        `go_on`: the streams of which what waited is decided, `most` of it.
        """
        self.now += timedelta(seconds=1)
        batch = Batch(self.mind, self.reader, self.head, self.now, self.known)
        batch.begin(policy or shipped_body())
        for due, stream in fire:
            assert batch.wants(due, ("tally", stream))
            batch.take(self.reader.timer(due, "tally", stream))
        for stream in go_on:
            self.go_on(batch, ("tally", stream), most, fatal=fatal)
        for record in records:
            told = self.reader.record(record)
            if record in forged:
                told.disown()
            batch.take(told, fatal=fatal)
        batch.rows.end()
        self.last = batch
        self.known.streams = dict(self.known.streams) | batch.touched
        self.known.messages = dict(self.known.messages) | batch.met
        self.known.originals = dict(self.known.originals) | {row.entry: row for row in batch.rows.journal}
        self.journal += batch.rows.journal
        self.ledger += batch.rows.ledger
        return batch.rows.journal, batch.rows.ledger

    def go_on(self, batch, key, most, *, fatal):
        """As the shard does it when the timer of those that waited is due."""
        assert batch.goes_on(key)
        for entry in sorted(entry for entry, held in self.known.held.items() if held.waits and held.key == key)[:most]:
            if batch.goes_on(key):
                batch.take_up(Up(self.known.held[entry], self.reader.once_more(self.known.originals[entry])), fatal=fatal)

    def replayed(self, mind=None) -> Replay:
        """The journal, decided again: every row must come out as it was."""
        replay = Replay(mind or self.mind, self.reader, self.shard, Known(dict(self.known.policies)))
        ledger = []
        for row in self.journal:
            again, facts = replay.decide(row, self.known.originals.get(row.refers))
            assert (again.outcome, again.hash) == (row.outcome, row.hash), f"entry {row.entry}, {row.outcome}, replays as {again.outcome}"
            ledger += facts
        assert [row.hash for row in ledger] == [row.hash for row in self.ledger]
        assert replay.batch.head.seen == self.head.seen
        return replay

    def began(self) -> "Bench":
        """After the first policy."""
        self.batch()
        return self

    def record(self, value, topic=None, partition=None, **more) -> Record:
        topic = topic or commands_topic(self.mind.service)
        offset = self.offsets[topic] = self.offsets.get(topic, -1) + 1
        return Record(topic, self.shard if partition is None else partition, offset, value, **more)

    def ask(self, command: Command, stream: UUID, message_id: str | None = "m1", **more) -> Record:
        return self.record(command.to_bytes(), key=key(stream), headers=headers(command, stream, message_id, **more))

    def submit(self, command: Command, message_id: str | None = "m1", source: str = "/up") -> Record:
        found = headers(command, None, message_id, source=source)
        return self.record(command.to_bytes(), "complaints.submissions", headers=found)

    def fact(self, event: Event, stream: UUID, **changed) -> Record:
        """The next event of resolution, as its relay writes it."""
        position, previous = self.foreign
        row = LedgerRow(
            self.shard, position + 1, stream, "case", position + 1, event.type, event.to_bytes(), 1, NOW, moment(NOW), "person:ravi", "x",
            stream, None, "", b"\x01" * 32,
        )  # fmt: skip
        row.hash = row.chain(previous)
        self.foreign = (row.position, row.hash)
        for name, value in changed.items():
            setattr(row, name, value)
        return self.record(row.body, "resolution.events", headers=event_headers(row, previous, "g1", "resolution"))

    def passed_on(self, row: LedgerRow) -> Record:
        """A request of this or another shard, as its relay writes it to the command topic."""
        return self.record(row.body, headers=request_headers(row, "g1", self.mind.service), key=key(row.target))

    def total(self, stream: UUID) -> int:
        return self.known.streams["tally", stream].state.total


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)
