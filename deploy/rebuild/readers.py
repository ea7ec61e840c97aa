"""Where whoever reads a topic goes on when Kafka no longer has what they read, or has it under another topic's name.

Events carry their positions: they are read from the topic's beginning, and what was seen is passed over. What others send carries none:
there the shard goes on with what Kafka has, and what Kafka lost is lost.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from deploy.doctor.words import shards_in_words
from shared.contract.envelope import POLICIES, SERVICES, events_topic
from shared.machine.head import Head

EVENTS = frozenset(map(events_topic, SERVICES))
"""The topics whose records carry positions."""


@dataclass(frozen=True, slots=True)
class Topics:
    """What Kafka has, before anything is written to it."""

    ours: Collection[str]
    """All that this installation needs. Those that are not there are going to be made."""
    ids: Mapping[str, str]
    """Of those that are there."""
    ranges: Mapping[tuple[str, int], tuple[int, int]]
    """By topic and partition: the first offset that is there, and the one after the last."""


@dataclass(frozen=True, slots=True)
class GoesOn:
    """A shard reads a topic from elsewhere than it would have."""

    service: str
    shard: int
    topic: str
    read: int
    """Up to this offset it had read the old one."""
    at: int
    """The offset from which it goes on."""
    anew: bool
    """Whether it is another topic by now."""


def goes_on(service: str, head: Head, topics: Topics) -> list[GoesOn]:
    """What changes for a shard: of each topic that is not what it was."""
    found = []
    for topic, incarnation in head.incarnations.items():
        if topic not in topics.ours:
            continue
        read = head.offsets.get(topic, 0)
        beginning, end = topics.ranges.get((topic, head.shard), (0, 0))
        anew = topics.ids.get(topic) != incarnation
        if anew or not beginning <= read <= end:
            at = end if not anew and read > end and topic not in EVENTS else beginning
            if read or anew:
                found.append(GoesOn(service, head.shard, topic, read, at, anew))
    return found


def losses(changes: Sequence[GoesOn]) -> list[str]:
    """What may be lost with these, in sentences."""
    by_topic: dict[tuple[str, str], list[GoesOn]] = {}
    for one in changes:
        if one.topic not in EVENTS and one.topic != POLICIES:
            by_topic.setdefault((one.service, one.topic), []).append(one)
    return [_loss(service, topic, there) for (service, topic), there in by_topic.items()]


def _loss(service: str, topic: str, there: Sequence[GoesOn]) -> str:
    where = f"{service}, {shards_in_words([one.shard for one in there])}"
    up_to = ", ".join(f"{one.shard}: {one.read}" for one in there if one.read)
    had = f"had read the old one up to these offsets ({up_to})" if up_to else "had read nothing yet"
    what = f"{topic} is begun anew" if there[0].anew else f"{topic} is read on where Kafka has it"
    return f"{what}: {where}, {had}. What was sent after that is lost: have its senders send again what was not answered"


async def change(connection: asyncpg.Connection, head: Head, changes: Sequence[GoesOn]) -> None:
    """Writes down for one shard where it goes on.

    The epoch is raised: a process that had the shard and knows nothing of this can't write any more.

    Args:
        connection: In the service's schema, as the owner, in a transaction.
        head: As it is.
        changes: Those of `goes_on`.
    """
    offsets, incarnations = dict(head.offsets), dict(head.incarnations)
    for one in changes:
        if one.anew or one.topic in EVENTS:
            offsets.pop(one.topic, None)
            incarnations.pop(one.topic, None)
        else:
            offsets[one.topic] = one.at
    await connection.execute(
        "UPDATE head SET epoch = epoch + 1, offsets = $2, incarnations = $3 WHERE shard = $1",
        head.shard, _json(offsets), _json(incarnations),
    )  # fmt: skip


async def look_at_places(connection: asyncpg.Connection, topics: Topics) -> None:
    """The console reads a topic from its beginning that is another one, or does not reach as far as it had read."""
    for row in await connection.fetch("SELECT service, shard, next_offset, incarnation FROM console.places WHERE incarnation <> ''"):
        topic = events_topic(row["service"])
        beginning, end = topics.ranges.get((topic, row["shard"]), (0, 0))
        if topics.ids.get(topic) != row["incarnation"] or not beginning <= row["next_offset"] <= end:
            await connection.execute(
                "UPDATE console.places SET next_offset = 0, incarnation = '' WHERE (service, shard) = ($1, $2)",
                row["service"],
                row["shard"],
            )


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
