"""Whether Kafka still has what each shard will read next, and whether it is still the same topic."""

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.doctor.seen import DatabaseSeen, Finding, KafkaSeen, Seen
from deploy.doctor.words import fine, note, partitions_in_words, shards_in_words, wrong
from deploy.topics import TOPICS
from shared.contract.envelope import SERVICES, SUBMISSIONS, commands_topic, events_topic

EVENTS = frozenset(map(events_topic, SERVICES))
"""Their records carry positions: made anew, they are read from the beginning."""
GO_ON = "UPDATE {service}.head SET offsets = jsonb_set(offsets::jsonb, '{{{topic}}}', '{offset}')::text WHERE shard = {shard}"
BEGIN = (
    "UPDATE {service}.head SET offsets = (offsets::jsonb - '{topic}')::text, incarnations = (incarnations::jsonb - '{topic}')::text"
    " WHERE shard IN ({shards})"
)
SEND_AGAIN = "DELETE FROM {service}.relayed WHERE shard IN ({shards})"


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
            begin = BEGIN.format(service=service, topic=topic, shards=", ".join(map(str, sorted(shards))))
            do = "put the old topic back; or, if it is gone for good, have what was not read sent again, and begin the new one"
            yield wrong("topic ids", what, do, begin)
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
            yield wrong("offsets", f"lost range: Kafka no longer has {lost}, which {where}, never read", *_after_a_loss(one, beginning))
        elif end < one.expected:
            well = False
            what = f"{where}, has read {one.topic}/{one.shard} up to offset {one.expected}, but Kafka has it only up to {end}"
            do = "this is older data of Kafka's: put the newer back; or, if that is gone for good, let the shard go on from here"
            yield wrong("offsets", what, do, _go_on(one, end))
    waiting = _waiting(kafka, database)
    if well:
        yield fine("offsets", f"Kafka has what every shard reads next{f'; {waiting:,} records wait to be read' if waiting else ''}")
    yield from _short(kafka, database)


def _go_on(one: _Reading, offset: int) -> str:
    return GO_ON.format(service=one.service, topic=one.topic, offset=offset, shard=one.shard)


def _after_a_loss(one: _Reading, beginning: int) -> tuple[str, str]:
    """What to do, and in the database."""
    if one.topic in EVENTS:
        source = one.topic.removesuffix(".events")
        do = f"somebody deleted events, which are kept for ever; {source} sends them again from its ledger when it starts after this"
        return do, SEND_AGAIN.format(service=source, shards=one.shard)
    return "have its senders send again what was not answered, raise its retention, and let the shard go on", _go_on(one, beginning)


def _waiting(kafka: KafkaSeen, database: DatabaseSeen) -> int:
    """How many records are there that were not read; a topic that a shard never read, from its beginning."""
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
        again = SEND_AGAIN.format(service=service, shards=", ".join(map(str, sorted(shards))))
        yield wrong("offsets", what, f"its ledger has them all: {service} sends them again when it starts after this", again)
