"""The real minds' people: a few complaints are told and worked as their scripts have it, whatever trouble there is meanwhile."""

import asyncio
from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

from deploy.sample.past import heard_in
from deploy.sample.paths import script_of
from deploy.sample.problems import RUN, problem_scripts
from deploy.sample.prompter import Message, Prompter
from deploy.sample.scripts import Submission
from shared.contract.envelope import SUBMISSIONS, command_headers, events_topic, key_of, shard_of, text_headers
from shared.contract.machine import InputParked
from shared.machine.records import read_event
from shared.simulation.loop import BEGIN
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.town import Town

PATIENCE_SECONDS = 900.0
"""Within this time all is answered, whatever happened: scripts wait for clocks of minutes."""
AGAIN_SECONDS = 20.0


class House:
    """Those who tell complaints and those who work them."""

    def __init__(self, town: "Town", complaints: int) -> None:
        self.town, self.random = town, Random(town.random.random())
        self.prompter = Prompter(town.seed)
        first = self.random.randrange(1000)
        self.scripts = [script for number in range(first, first + complaints) for script in self._scripts(number)]
        told = [line for script in self.scripts for line in script.lines if isinstance(line, Submission)]
        self.unreadable = {line.body for line in told if line.expects == InputParked.type}
        """Some of those who tell complaints break off, or leave out what must be said."""
        self.read = {(service, shard): 0 for service in town.minds for shard in range(town.shards)}
        """Up to which offset each topic was read,"""
        self.heard = dict(self.read)
        """and up to which position each ledger was heard."""
        self.sent_at: dict[str, float] = {}

    def _scripts(self, number: int):
        return [*problem_scripts(self.town.seed, number - number % RUN, BEGIN), script_of(self.town.seed, number, BEGIN)]

    async def ask(self) -> None:
        """Until every script has ended."""
        begun, until = set(), self.town.loop.time() + PATIENCE_SECONDS
        for script in self.scripts:
            if script.name not in begun:
                begun.add(script.name)
                self._send(self.prompter.begin(script))
            await self._listen()
        while self.prompter.running:
            if self.town.loop.time() > until:
                waits = [message.id for message in self.prompter.unanswered()]
                raise Violation(11, f"after {PATIENCE_SECONDS:.0f} s not ended: {sorted(self.prompter.running)}, {waits}")
            await self._listen()
            late = [one for one in self.prompter.unanswered() if self.town.loop.time() - self.sent_at[one.id] > AGAIN_SECONDS]
            self._send(late)

    async def _listen(self) -> None:
        await asyncio.sleep(self.random.expovariate(1 / 0.2))
        for (service, shard), offset in self.read.items():
            records = self.town.all_records(events_topic(service), shard)
            self.read[service, shard] = len(records)
            for record in records[offset:]:
                row, _ = read_event(text_headers(record.headers), record.value, shard)
                if row.position > self.heard[service, shard]:
                    self.heard[service, shard] = row.position
                    if (heard := heard_in(text_headers(record.headers), record.value)) is not None:
                        self._send(self.prompter.hear(heard))

    def _send(self, messages: Iterable[Message]) -> None:
        """Each arrives, once or more often."""
        for message in messages:
            self.sent_at[message.id] = self.town.loop.time()
            keyed = message.key == key_of(message.stream)
            headers = command_headers(
                message.type, message.id, stream=message.stream if keyed else None, source="/sample", actor=message.actor,
                sent_at="2026-03-02T08:00:00Z",
            )  # fmt: skip
            partition = shard_of(message.stream, self.town.shards) if keyed else self.random.randrange(self.town.shards)
            readable = message.topic != SUBMISSIONS or message.key is not None
            for _ in range(self.random.choice((1, 1, 1, 2)) if readable else 1):
                self.town.cluster.append(message.topic, partition, message.key, message.body, tuple(headers))

    def ended(self) -> None:
        """8: every script went as it was written, with every refusal that it expects and no other."""
        if unexpected := self.prompter.summary.unexpected:
            raise Violation(8, f"{unexpected} answers were not as the scripts have them: {self.prompter.summary}")
