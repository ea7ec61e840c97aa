"""A process dies of an input, each time: it alone is parked, and what its other shards had to decide meanwhile is decided."""

import asyncio
from contextlib import asynccontextmanager
from unittest.mock import patch

import pytest

from shared.contract.envelope import commands_topic, key_of, shard_of
from shared.machine.turns import Turns
from shared.simulation.sessions import Connection
from tests.simulation.minds import KILLS, Add
from tests.simulation.people import Message, People, headers_of, of_number
from tests.simulation.town import Town
from tests.simulation.violation import Violation

# what was killed is taken apart without a loop, and complains
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SEEDS = range(24)
SLOW_SECONDS = 0.5
"""The other shards' transactions take so much longer: all that time the deadly one may end the process under them."""


class Deadly(People):
    """Harmless commands for all streams; and a deadly one after their process died of something else. Its shard is one death behind."""

    def __init__(self, town):
        super().__init__(town, 0)
        town.people, self.shard = self, shard_of(self.streams[0], town.shards)
        self.member, *others = (member for member in town.members if member.name.startswith("intake"))
        for member in others:
            member.wanted = False

    async def ask(self):
        asked = [stream for stream in self.streams if shard_of(stream, self.town.shards) != self.shard]
        for number, stream in enumerate(asked):
            self.send(f"m{number}", stream, 1)
        schema = self.town.postgres.schemas["intake"]
        async with asyncio.timeout(60):
            while not all(schema.head(shard_of(stream, self.town.shards))["attempts"] for stream in asked):
                await asyncio.sleep(SLOW_SECONDS / 20)
        self.member.process.kill()
        self.send("deadly", self.streams[0], KILLS)

    def send(self, name, stream, number):
        command, shard = Add(number=number), shard_of(stream, self.town.shards)
        headers, deserves = headers_of(command, stream, name), of_number("intake", number)
        self._send(Message(name, commands_topic("intake"), shard, key_of(stream), command.to_bytes(), headers, deserves))


def lived_through(seed):
    async def ask(connection, what, args, original=Connection._ask):
        if what == "COMMIT" and is_harmless(connection._session.transaction):
            await asyncio.sleep(SLOW_SECONDS)
        return await original(connection, what, args)

    town = Town(seed, house=False)
    deadly = Deadly(town).shard

    def is_harmless(tx):
        return tx.schema.service == "intake" and any(table == "journal" and shard != deadly for table, shard in tx.written)

    with patch.object(Connection, "_ask", ask):
        town.run()  # at its end each input has the outcome that it deserves
    rows = [row for shard in range(town.shards) for row in town.postgres.schemas["intake"].rows("journal", shard).values()]
    return {row["message_id"] for row in rows if row["outcome"] == "parked"}


@pytest.mark.parametrize("seed", SEEDS)
def test_only_what_the_process_dies_of_is_parked(seed):
    assert lived_through(seed) == {"deadly"}


def test_were_it_tried_beside_others_those_would_be_blamed():
    @asynccontextmanager
    async def beside(_, *, alone):
        yield

    blamed = 0
    with patch.object(Turns, "turn", beside):
        for seed in SEEDS:
            try:
                lived_through(seed)
            except Violation:
                blamed += 1
    assert blamed
