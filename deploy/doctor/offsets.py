"""Whether Kafka still has what each shard will read next, and whether it is still the same topic."""

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.doctor.seen import DatabaseSeen, Finding, KafkaSeen, Seen
from deploy.doctor.words import fine, note, partitions_in_words, shards_in_words, wrong
from deploy.rebuild.readers import EVENTS
from deploy.topics import TOPICS
from shared.contract.envelope import SUBMISSIONS, commands_topic, events_topic

REBUILD = "stop the services everywhere, then `makegood topics rebuild`"
"""What is wrong here is set right by it: it fills topics from the ledgers, and lets the shards go on with what Kafka has."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A shard of a service reads a topic from here on."""

    service: str
    shard: int
    topic: str
    expected: int
    incarnation: str
    """The topic's id, as far as the shard knows it."""


def _readings(database: DatabaseSeen) -> Iterator[_Reading]:
    for service, heads in database.heads.items():
        for head in heads:
            for topic, expected in head.offsets.items():
                yield _Reading(service, head.shard, topic, expected, head.incarnations.get(topic, ""))


def _both(seen: Seen) -> tuple[KafkaSeen, DatabaseSeen] | None:
    """Both servers, where both were seen and belong together."""
    if seen.kafka is None or seen.database is None or seen.kafka.cluster_id != seen.database.installation.cluster_id:
        return None
    return seen.kafka, seen.database


def _is_anew(one: _Reading, kafka: KafkaSeen) -> bool:
    return bool(one.incarnation) and one.topic in kafka.ids and kafka.ids[one.topic] != one.incarnation


def incarnations(seen: Seen) -> Iterator[Finding]:
    """Are the topics still those whose offsets the shards remember?"""
    if (both := _both(seen)) is None:
        return
    kafka, database = both
    anew: dict[tuple[str, str], list[int]] = {}
    for one in _readings(database):
        if _is_anew(one, kafka):
            anew.setdefault((one.service, one.topic), []).append(one.shard)
    for (service, topic), shards in anew.items():
        what = f"{topic} was deleted and made anew since {service}, {shards_in_words(shards)}, last read it"
        if topic in EVENTS:
            yield note("topic ids", f"{what}; it is read from its beginning, and goes on by the events' own positions")
        else:
            do = f"put the old topic back; or, if it is gone for good: {REBUILD}. It says what may be lost, and begins the new one"
            yield wrong("topic ids", what, do)
    if not anew:
        yield fine("topic ids", "every topic is the one that the shards read before")


def offsets(seen: Seen) -> Iterator[Finding]:
    """Does Kafka have what each shard reads next?"""
    if (both := _both(seen)) is None:
        return
    kafka, database = both
    well = True
    for one in _readings(database):
        beginning, end = kafka.ranges.get((one.topic, one.shard), (one.expected, one.expected))
        if _is_anew(one, kafka):
            continue
        where = f"{one.service}, shard {one.shard}"
        if beginning > one.expected:
            well = False
            lost = f"{one.topic}/{one.shard} from offset {one.expected} to {beginning - 1}"
            yield wrong("offsets", f"lost range: Kafka no longer has {lost}, which {where}, never read", _after_a_loss(one))
        elif end < one.expected:
            well = False
            what = f"{where}, has read {one.topic}/{one.shard} up to offset {one.expected}, but Kafka has it only up to {end}"
            yield wrong("offsets", what, f"this is older data of Kafka's: put the newer back; or, if that is gone for good: {REBUILD}")
    waiting = _waiting(kafka, database)
    if well:
        yield fine("offsets", f"Kafka has what every shard reads next{f'; up to {waiting:,} records wait to be read' if waiting else ''}")
    yield from _short(kafka, database)


def _after_a_loss(one: _Reading) -> str:
    if one.topic in EVENTS:
        return f"somebody deleted events, which are kept for ever; the ledger has them all. Delete what is left of the topic, and {REBUILD}"
    return f"have its senders send again what was not answered, raise its retention, and let the shard go on: {REBUILD}"


def _waiting(kafka: KafkaSeen, database: DatabaseSeen) -> int:
    """How many offsets are there that were not read; a topic that a shard never read, from its beginning.

    No more records than these wait, and may be fewer: the end of a sender's transaction has an offset, too.
    """
    read = {(one.service, one.shard, one.topic): one.expected for one in _readings(database)}
    found = 0
    for service, heads in database.heads.items():
        reads = {topic for head in heads for topic in head.offsets} | {commands_topic(service)}
        if service == "intake":
            reads |= kafka.wanted.keys() - TOPICS.keys() | {SUBMISSIONS}
        for topic, shard in ((topic, head.shard) for topic in reads for head in heads):
            beginning, end = kafka.ranges.get((topic, shard), (0, 0))
            found += max(0, end - read.get((service, shard, topic), beginning))
    return found


def _short(kafka: KafkaSeen, database: DatabaseSeen) -> Iterator[Finding]:
    """A topic of events with fewer records than were acknowledged has lost some."""
    short: dict[str, list[int]] = {}
    for (service, shard), relayed in database.relayed.items():
        beginning, end = kafka.ranges.get((events_topic(service), shard), (0, relayed.position))
        if end - beginning < relayed.position:
            short.setdefault(service, []).append(shard)
    for service, shards in short.items():
        what = f"{events_topic(service)}, {partitions_in_words(shards)}, has fewer events than it acknowledged"
        yield wrong(
            "offsets", what, f"its ledger has them all: {REBUILD}; it says so where what is left of the topic must be deleted first"
        )
