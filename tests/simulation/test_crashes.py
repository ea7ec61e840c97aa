"""A process that decides is killed at each point of the table in docs/guarantees.md; then what is there is as the table says, and what the
next owner does. In simulated time, so that the point is hit exactly.
"""

import asyncio
from collections import Counter
from unittest.mock import patch
from uuid import uuid5

import pytest

from shared.contract.envelope import NAMESPACE, commands_topic, events_topic, key_of, shard_of, text_headers
from shared.machine.deciding import Batch
from shared.machine.relay import Relay
from shared.simulation.loop import PROCESS, Killed
from shared.simulation.sessions import Connection
from tests.simulation.minds import Add
from tests.simulation.people import Message, People, headers_of
from tests.simulation.town import Town

# what was killed is taken apart without a loop, and complains
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SEEDS = range(8)
"""Each has shards, replicas, names and a network of its own."""
ASKED = 5
ENDED_SECONDS = 0.1
"""Within this time all that was under way has ended: a killed client's session, what was on the network."""


class Crash(People):
    """Some commands lie there before anybody decides. Who decides them is killed, once; after a while somebody may go on."""

    def __init__(self, town):
        super().__init__(town, 0)
        self.intake = [member for member in town.members if member.name.startswith("intake")]
        self.shard = shard_of(self.streams[0], town.shards)
        self.killed, self.there = False, None
        """What was there after the crash."""
        town.people = self
        for member in self.intake:
            member.wanted = False

    async def ask(self):
        other = uuid5(NAMESPACE, "somebody else")
        for number in range(ASKED):
            command, stream, name = Add(number=1, tell=other), self.streams[0], f"m{number}"
            headers = headers_of(command, stream, name)
            message = Message(name, commands_topic("intake"), self.shard, key_of(stream), command.to_bytes(), headers, "accepted")
            self.sent.append(message)
            taken = self.town.cluster.append(message.topic, message.partition, message.key, message.value, tuple(headers))
            message.offsets.append(taken.offset)
        self.go_on()
        async with asyncio.timeout(300):
            while self.there is None:
                await asyncio.sleep(0.1)
        self.go_on()

    def go_on(self):
        for member in self.intake:
            member.wanted = True

    def kill(self, process):
        """At this very moment."""
        process.kill()
        self.killed = True
        for member in self.intake:
            member.wanted = False
        self.town.loop.in_the_world(ENDED_SECONDS, self.look)

    def look(self):
        self.there = There(self)

    def is_point(self, process):
        """Whether it is a process of intake's that comes here, and nobody was killed yet."""
        return process is not None and process.name.startswith("intake") and not self.killed

    def rows(self, table):
        return self.town.postgres.schemas["intake"].rows(table, self.shard)

    def entries(self):
        """Those of what was asked."""
        return {entry for entry, row in self.rows("journal").items() if row["message_id"].startswith("m") and row["topic"]}

    def positions(self):
        entries = self.entries()
        return sorted(position for position, row in self.rows("ledger").items() if row["entry"] in entries)

    def told(self):
        """How often each position of those is on the topic."""
        told = (
            int(text_headers(record.headers)["ledger-position"]) for record in self.town.all_records(events_topic("intake"), self.shard)
        )
        return Counter(position for position in told if position in self.positions())


class There:
    """What is there after a crash, of what was asked."""

    def __init__(self, crash):
        head = crash.town.postgres.schemas["intake"].head(crash.shard)
        self.entries, self.positions, self.told = crash.entries(), crash.positions(), crash.told()
        self.attempts, self.epoch, self.end = head["attempts"], head["epoch"], head["position"]
        self.noted = max(crash.rows("relayed"), default=0)


# ---- the points ------------------------------------------------------------------------------------------------------------


def while_it_decides(crash):
    def asked(batch, told, live, command, original=Batch._asked):
        if told.message_id == f"m{ASKED - 1}" and crash.is_point(process := PROCESS.get(None)):
            crash.kill(process)
            raise Killed
        return original(batch, told, live, command)

    return patch.object(Batch, "_asked", asked)


def before_commit_arrives(crash):
    async def ask(connection, what, args, original=Connection._ask):
        if what == "COMMIT" and crash.is_point(process := PROCESS.get(None)) and decides(crash, connection._session.transaction):
            crash.kill(process)
            await crash.town.loop.create_future()
        return await original(connection, what, args)

    return patch.object(Connection, "_ask", ask)


def after_commit_before_it_is_heard(crash):
    def committed(session, tx):
        crash.town._committed(session, tx)
        if decides(crash, tx) and crash.is_point(session.client):
            crash.kill(session.client)

    return patch.object(crash.town.postgres, "committed", committed)


def between_commit_and_kafka(crash):
    async def send_by(relay, producer, rows, original=Relay._send_by):
        if relay.shard == crash.shard and has_ours(crash, rows) and crash.is_point(process := PROCESS.get(None)):
            crash.kill(process)
            await crash.town.loop.create_future()
        await original(relay, producer, rows)

    return patch.object(Relay, "_send_by", send_by)


def after_kafka_before_the_place_is_noted(crash):
    async def send_by(relay, producer, rows, original=Relay._send_by):
        await original(relay, producer, rows)
        if relay.shard == crash.shard and has_ours(crash, rows) and crash.is_point(process := PROCESS.get(None)):
            crash.kill(process)
            await crash.town.loop.create_future()

    return patch.object(Relay, "_send_by", send_by)


def decides(crash, tx):
    """Whether a transaction journals what was asked."""
    return any(row["message_id"].startswith("m") for row in tx.written.get(("journal", crash.shard), {}).values())


def has_ours(crash, rows):
    return any(row.position in crash.positions() for row in rows)


# ---- what the table says ---------------------------------------------------------------------------------------------------


def crashed(point, seed):
    """Lived through to the end, at which all that must always hold is looked at."""

    town = Town(seed, house=False)
    crash = Crash(town)
    with point(crash):
        town.run()
    head = town.postgres.schemas["intake"].head(crash.shard)
    assert head["epoch"] > crash.there.epoch, "somebody went on"
    assert len(crash.entries()) == ASKED, "each was taken in once"
    assert {row["outcome"] for entry, row in crash.rows("journal").items() if entry in crash.entries()} == {"accepted"}
    assert head["attempts"] == 0
    return crash, crash.there


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("point", [while_it_decides, before_commit_arrives])
def test_before_commit_nothing_of_the_batch_is_there_and_the_same_records_are_decided_again(point, seed):
    crash, there = crashed(point, seed)
    assert not there.entries
    assert not there.positions
    assert there.attempts == 1
    assert set(crash.told().values()) == {1}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("point", [after_commit_before_it_is_heard, between_commit_and_kafka])
def test_after_commit_the_batch_is_there_untold_and_the_next_owner_tells_it(point, seed):
    crash, there = crashed(point, seed)
    assert there.entries
    assert there.positions[-1] == there.end, "whole"
    assert not there.told
    assert there.noted < there.positions[0]
    assert sorted(crash.told()) == crash.positions()
    assert set(crash.told().values()) == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_told_and_not_noted_is_told_again(seed):
    crash, there = crashed(after_kafka_before_the_place_is_noted, seed)
    assert there.told
    assert there.noted < min(there.told)
    assert {crash.told()[position] for position in there.told} == {2}, "and every reader took it in once, or `settled` had found it"
    assert sorted(crash.told()) == crash.positions()
