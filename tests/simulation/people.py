"""Those who ask: they send, time out, send again, send what nobody can read, and remember what they sent."""

import asyncio
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID, uuid5

from shared.contract.envelope import NAMESPACE, SUBMISSIONS, command_headers, commands_topic, key_of, shard_of
from shared.contract.machine import DiscardParked, RetryParked
from shared.contract.said import Command
from tests.simulation.minds import FAILING, FAILING_ABROAD, FAILS, KILLS, Add, Note, Submit, of_number

HARMLESS = (1, 2, 3, 5, 7, 11)
STREAMS = 6


@dataclass(slots=True)
class Message:
    """What is sent, byte for byte the same each time."""

    name: str
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    deserves: str
    """The outcome that it must have when it is its turn, the first time: as `accepted`, `refused:too_many`."""
    settles: bool = False
    """Whether it is about something parked."""
    offsets: list[int] = field(default_factory=list)
    """Where Kafka has it."""


class People:
    """All of them."""

    def __init__(self, town: Any, messages: int) -> None:
        self.town, self.random, self.left = town, Random(town.random.random()), messages
        self.pause = self.random.choice((0.1, 0.4, 0.4, 2.0))
        self.sent: list[Message] = []
        self.streams = [uuid5(NAMESPACE, f"{town.seed}/{number}") for number in range(STREAMS)]

    async def ask(self) -> None:
        """Asks until all is asked."""
        while self.left > 0:
            burst = min(self.left, self.random.choice((1, 1, 2, 5, 20)))
            self.left -= burst
            for _ in range(burst):
                message = self._again() or self._new()
                if message is not None:
                    self._send(message)
            await asyncio.sleep(self.random.expovariate(1 / self.pause))

    def _send(self, message: Message) -> None:
        """It arrives, once or (where the acknowledgement is lost) more often."""
        for _ in range(self.random.choice((1, 1, 1, 1, 2))):
            taken = self.town.cluster.append(message.topic, message.partition, message.key, message.value, tuple(message.headers))
            message.offsets.append(taken.offset)

    def _again(self) -> Message | None:
        return self.random.choice(self.sent) if self.sent and self.random.random() < 0.1 else None

    def _new(self) -> Message:
        name = f"m{len(self.sent)}"
        drawn = self.random.random()
        if drawn < 0.05 and (settling := self._settling(name)) is not None:
            made = settling
        elif drawn < 0.13:
            made = self._broken(name)
        elif drawn < 0.28:
            made = self._submission(name)
        else:
            made = self._command(name)
        self.sent.append(made)
        return made

    def _number(self) -> int:
        drawn = self.random.random()
        if drawn < 0.06:
            return self.random.choice((-1, 0, *FAILING, *FAILING_ABROAD))
        if drawn < 0.06 + self.town.deadly:
            return KILLS
        return self.random.choice(HARMLESS)

    def _command(self, name: str) -> Message:
        random, stream = self.random, self.random.choice(self.streams)
        command: Command
        if random.random() < 0.03:
            command, deserves = Note(number=1), "refused:not_for_you"  # nobody may say it but our own services
        else:
            wakes = random.random() < 0.3
            delay = random.choice((0.0, 0.5, 3.0, 20.0)) if wakes else None
            command = Add(
                number=(number := self._number()), tell=random.choice(self.streams) if random.random() < 0.3 else None, wake_in=delay,
                snooze_in=delay if wakes and random.random() < 0.7 else None,
            )  # fmt: skip
            deserves = of_number("intake", number)
        known_as = self.random.choice(self.sent).name if self.sent and random.random() < 0.03 else name  # the same id, another body
        partition = shard_of(stream, self.town.shards)
        if random.random() < 0.05:
            partition = random.randrange(self.town.shards)
        headers = headers_of(command, stream, known_as)
        return Message(known_as, commands_topic("intake"), partition, key_of(stream), command.to_bytes(), headers, deserves)

    def _submission(self, name: str) -> Message:
        command = Submit(ref=str(self.random.randrange(STREAMS)), number=self._number())
        partition = self.random.randrange(self.town.shards)
        deserves = of_number("intake", command.number)
        return Message(name, SUBMISSIONS, partition, None, command.to_bytes(), headers_of(command, None, name), deserves)

    def _settling(self, name: str) -> Message | None:
        """An operator sees to what is parked: lets it be decided once more, corrected or not, or gives it up."""
        random = self.random
        service, shard = random.choice(list(self.town.minds)), random.randrange(self.town.shards)
        parked = [row for row in self.town.postgres.schemas[service].rows("journal", shard).values() if row["outcome"] == "parked"]
        if not parked:
            return None
        row = random.choice(parked)
        body = None
        if random.random() < 0.6 and row["topic"] == commands_topic("intake"):
            number = random.choice((*HARMLESS, FAILS))
            said = {**json.loads(row["body"]), "number": number} if row["type"] == Submit.type else {"number": number}
            body = json.dumps(said)
        command: Command = DiscardParked(shard=shard, entry=row["entry"], reason="nobody knows")
        if random.random() < 0.7:
            command = RetryParked(shard=shard, entry=row["entry"], reason="it is mended", body=body)
        stream = self.town.readers[service].shard_stream(shard)
        headers = headers_of(command, stream, name)
        return Message(name, commands_topic(service), shard, key_of(stream), command.to_bytes(), headers, "accepted", settles=True)

    def _broken(self, name: str) -> Message:
        """What can't be read, or says that it is what it is not."""
        random, stream = self.random, self.random.choice(self.streams)
        topic = random.choice((commands_topic("intake"), commands_topic("resolution"), SUBMISSIONS, "resolution.events", "intake.events"))
        headers = headers_of(Add(number=1), stream, name)
        value: bytes | None = random.choice((None, b"", b"\xff\xfe", b'{"number": ', json.dumps({"number": "x"}).encode(), b"[" * 2000))
        if random.random() < 0.3:  # a hop that never was
            shard, position = random.randrange(self.town.shards), random.randrange(1, 30)
            headers += [("ledger-shard", b"%d" % shard), ("ledger-position", b"%d" % position)]
            headers = [(key, f"g1/intake/{shard}/{position}".encode() if key == "ce_id" else text) for key, text in headers]
            topic = commands_topic("intake")
            value = Add(number=1).to_bytes()
        key = random.choice((None, key_of(stream), b"\x00"))
        return Message(name, topic, random.randrange(self.town.shards), key, value, headers, "parked:undecodable")


def headers_of(command: Command, stream: UUID | None, name: str) -> list[tuple[str, bytes]]:
    """As people send a command: its headers."""
    return command_headers(command.type, name, stream=stream, source="/people", actor="person:ines", sent_at="2026-03-02T08:00:00Z")
