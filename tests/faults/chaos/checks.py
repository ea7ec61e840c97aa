"""What must hold when the faults are over and all has caught up: looked at from outside, in the database and on Kafka."""

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg

from deploy.cli.minds import MINDS
from shared.contract.envelope import SERVICES, SUBMISSIONS, commands_topic, events_topic
from shared.contract.intake import ComplaintReceived
from shared.contract.machine import CommandRefused, TimerDue
from shared.machine.mind import Mind
from shared.machine.store import STREAMED_ROWS
from shared.machine.stored import ledger_row, policy_of
from shared.policy.model import Policy
from tests.faults.chaos.asking import Answers
from tests.faults.chaos.load import Acknowledged
from tests.invariants.lives import Lives

Gone = Mapping[tuple[str, int], tuple[int, int]]
"""What topics that are gone held, of each service's shard: what it was told up to this journal entry, its requests up to this position."""
NOTHING: Gone = MappingProxyType({})
SHOWN = 5
"""Of the violations of a kind."""
QUIET = """
SELECT (SELECT count(*) FROM {0}.head h WHERE position > (SELECT coalesce(max(position), 0) FROM {0}.relayed r WHERE r.shard = h.shard))
     + (SELECT count(*) FROM {0}.head h JOIN console.places p ON p.service = '{0}' AND p.shard = h.shard WHERE p.position <> h.position)
     + (SELECT count(*) FROM {0}.timers WHERE due_at < clock_timestamp() + interval '1 minute')
"""
"""How much of a service is not where it will be."""


async def quiet(connection: asyncpg.Connection) -> bool:
    """Whether all is relayed, shown by the console, and no timer fires while it is looked at."""
    return not sum([await connection.fetchval(QUIET.format(service)) for service in SERVICES])


def few(what: str, found: Sequence[Any]) -> Iterator[str]:
    if found:
        yield f"{len(found)} x {what}: {', '.join(map(str, found[:SHOWN]))}"


async def makegood(kafka: str, database: str, *words: str) -> list[str]:
    """Runs the command line; what it complains of."""
    env = {**os.environ, "MAKEGOOD_KAFKA": kafka, "MAKEGOOD_DATABASE": database}
    child = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("makegood"), *words, "--json", env=env,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await child.communicate()
    if not child.returncode:
        return []
    return [f"makegood {' '.join(words)} ends with {child.returncode}: {err.decode()[-2000:] or out.decode()[-2000:]}"]


async def proven(kafka: str, database: str) -> list[str]:
    """`makegood verify` and `makegood replay --check`: positions, chains, states, timers, places, and every decision made again."""
    return [*await makegood(kafka, database, "verify"), *await makegood(kafka, database, "replay", "--check")]


async def gone_with(connection: asyncpg.Connection) -> Gone:
    """What would be gone, if the topics were now."""
    return {
        (service, row["shard"]): (row["entry"], row["position"])
        for service in SERVICES
        for row in await connection.fetch(f"SELECT shard, entry, position FROM {service}.head")
    }


async def read(connection: asyncpg.Connection, ends: dict[tuple[str, int], tuple[int, int]]) -> bool:
    """Whether all that Kafka has was taken in, by all who read it."""
    for service in SERVICES:
        for row in await connection.fetch(f"SELECT shard, offsets FROM {service}.head"):
            if any(offset != ends[topic, row["shard"]][1] for topic, offset in json.loads(row["offsets"]).items()):
                return False
    return True


async def journalled(
    connection: asyncpg.Connection,
    ends: dict[tuple[str, int], tuple[int, int]],
    gone: Gone = NOTHING,
    services: Sequence[str] = SERVICES,
) -> list[str]:
    """Every record of every topic is in its reader's journal once, by (topic, partition, offset).

    Args:
        connection: Into the database.
        ends: What Kafka has.
        gone: What it had, and has no more.
        services: Those that are at work.
    """
    found: list[str] = []
    for service in services:
        rows = await connection.fetch(
            f"SELECT shard, entry, topic, partition, \"offset\", until FROM {service}.journal WHERE topic <> ''"
            " ORDER BY topic, partition, entry"
        )
        rows = [row for row in rows if row["entry"] > gone.get((service, row["shard"]), (0, 0))[0]]
        places: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        for row in rows:
            places[row["topic"], row["partition"]].append((row["offset"], row["until"]))
        for place, (beginning, end) in ends.items():
            if place not in places and not _reads(service, place[0]) and not _hears(service, place[0]):
                continue
            at = beginning
            for offset, until in places[place]:
                if offset != at:
                    found.append(f"{service} journalled {place[0]}/{place[1]} at {offset}, where {at} was next")
                at = until
            if at != end:
                found.append(f"{service} journalled {place[0]}/{place[1]} up to {at}, and Kafka has {end}")
    return list(few("a record that is not journalled exactly once", found))


def _reads(service: str, topic: str) -> bool:
    return topic == commands_topic(service) or (service == "intake" and topic == SUBMISSIONS)


def _hears(service: str, topic: str) -> bool:
    return topic in {events_topic(source) for source in MINDS[service].hears_from}


async def kept(connection: asyncpg.Connection, acknowledged: Sequence[Acknowledged], gone: Gone = NOTHING) -> list[str]:
    """What Kafka acknowledged stands in the journal under that very offset, with the bytes that were sent. `gone`: see there."""
    there: dict[tuple[str, int, int], list[bytes | None]] = defaultdict(list)
    for service in SERVICES:
        query = f"SELECT shard, entry, topic, partition, \"offset\", body FROM {service}.journal WHERE outcome <> 'ignored' AND topic <> ''"
        for row in await connection.fetch(query):
            if _reads(service, row["topic"]) and row["entry"] > gone.get((service, row["shard"]), (0, 0))[0]:
                there[row["topic"], row["partition"], row["offset"]].append(row["body"])
    wrong = [one for one in acknowledged if [body or b"" for body in there[one.topic, one.partition, one.offset]] != [one.body or b""]]
    return list(
        few("an acknowledged record that its journal has not, or not so", [(one.topic, one.partition, one.offset) for one in wrong])
    )


async def timers(connection: asyncpg.Connection) -> list[str]:
    """Each timer fired once, and not early."""
    found = []
    for service in SERVICES:
        fired: dict[tuple[Any, ...], int] = defaultdict(int)
        early = []
        for row in await connection.fetch(f"SELECT kind, stream, now, body FROM {service}.journal WHERE type = $1", TimerDue.type):
            due = TimerDue.model_validate_json(row["body"])
            fired[row["kind"], row["stream"], due.timer, due.generation, due.due_at] += 1
            if row["now"] < due.due_at:
                early.append((service, row["stream"], due.timer))
        found += few(f"a timer of {service} that fired more than once", [name for name, times in fired.items() if times > 1])
        found += few(f"a timer of {service} that fired early", early)
    return found


async def deserved(connection: asyncpg.Connection) -> list[str]:
    """Nothing is parked but what nobody can read: no input was given up since its process was killed beside it, none waits."""
    found = []
    for service in SERVICES:
        query = f"SELECT shard, entry, outcome, reason FROM {service}.journal WHERE outcome IN ('parked', 'waiting')"
        rows = [tuple(row) for row in await connection.fetch(query + " AND reason NOT LIKE 'undecodable: %' ORDER BY shard, entry")]
        found += few(f"an input of {service}'s that did not deserve to be parked", rows)
    return found


async def lived(connection: asyncpg.Connection) -> list[str]:
    """The domain's invariants hold on every stream, by what the ledgers say: one service's after the other's whose facts it hears."""
    found, lives = [], Lives()
    policies = {}
    for service, mind in MINDS.items():
        for row in await connection.fetch(f"SELECT digest, body FROM {service}.policy_versions"):
            policies[row["digest"]] = policy_of(row["digest"], row["body"])
        query = f"SELECT l.*, j.policy FROM {service}.ledger l JOIN {service}.journal j USING (shard, entry) ORDER BY l.shard, l.position"
        async with connection.transaction():
            rows: list[asyncpg.Record] = []
            async for row in connection.cursor(query, prefetch=STREAMED_ROWS):
                if rows and (row["shard"], row["entry"]) != (rows[-1]["shard"], rows[-1]["entry"]):
                    found += _told(lives, mind, rows, policies)
                    rows = []
                rows.append(row)
            found += _told(lives, mind, rows, policies)
    return list(few("an invariant of the domain that does not hold", found))


def _told(lives: Lives, mind: Mind, rows: Sequence[asyncpg.Record], policies: Mapping[str, Policy]) -> Iterator[str]:
    """What one input led to is told."""
    try:
        if rows:
            lives.tell(mind, list(map(ledger_row, rows)), policies[rows[0]["policy"]])
    except AssertionError as broken:
        yield str(broken)


async def received(connection: asyncpg.Connection, submitted: Iterable[UUID]) -> list[str]:
    """Each complaint of which it was said that it is safe was received, once. `submitted`: those."""
    rows = await connection.fetch(
        "SELECT stream, count(*) AS times FROM intake.ledger WHERE type = $1 GROUP BY stream", ComplaintReceived.type
    )
    times = {row["stream"]: row["times"] for row in rows}
    return [
        *few("a complaint that was told and never received", [stream for stream in submitted if stream not in times]),
        *few("a complaint that was received more than once", [stream for stream, often in times.items() if often > 1]),
    ]


async def answered(connection: asyncpg.Connection, answers: Sequence[Answers]) -> list[str]:
    """What was told over HTTP is what the ledgers and the journals say, each time that it was told."""
    asked = [one for one in answers if not one.unasked]
    ids = [str(one.message_id) for one in asked]
    outcomes: dict[str, list[str]] = defaultdict(list)
    events: dict[str, list[tuple[str, asyncpg.Record]]] = defaultdict(list)
    for service in SERVICES:
        query = f"SELECT message_id, outcome FROM {service}.journal WHERE message_id = ANY($1) AND outcome NOT IN ('passed_on', 'repeated')"
        for row in await connection.fetch(query + " ORDER BY shard, entry", ids):
            outcomes[row["message_id"]].append(row["outcome"])
        query = f"SELECT message_id, shard, position, type, body FROM {service}.ledger WHERE message_id = ANY($1) ORDER BY shard, position"
        for row in await connection.fetch(query, ids):
            events[row["message_id"]].append((f"g1/{service}/{row['shard']}/{row['position']}", row))
    found: dict[str, list[str]] = defaultdict(list)
    for one in asked:
        name = str(one.message_id)
        if one.ids - {name}:
            found["a request that was answered under other ids"].append(one.step.key)
        if not one.told:
            found["a request that never had an answer"].append(f"{one.step.key} after {one.tries} tries")
        if len(set(one.told)) > 1:
            found["a request that was answered otherwise when it was made again"].append(f"{one.step.key}: {one.told}")
        for status, rule, told in one.told:
            if outcomes[name] != [_outcome(status)]:
                found["an answer that the journal does not bear out"].append(f"{one.step.key}: {status}, journalled as {outcomes[name]}")
            rules = [json.loads(row["body"])["rule"] for _, row in events[name] if row["type"] == CommandRefused.type]
            if status == "refused" and rules != [rule]:
                found["a refusal that the ledger does not bear out"].append(f"{one.step.key}: {rule}, in the ledger {rules}")
            if not set(told) <= {place for place, _ in events[name]}:
                found["events that were told and are not in the ledger"].append(one.step.key)
    found["an answer that must not be"] = [f"{one.step.key}: {odd}" for one in answers for odd in one.odd]
    return [line for what, of in found.items() for line in few(what, of)]


def _outcome(status: str) -> str:
    return "accepted" if status in {"repeated", "conflicting"} else status
