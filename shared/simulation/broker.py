"""A simulated Kafka's broker: its topics and groups, what it is asked, and what befalls it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    MessageSizeTooLargeError,
    NotCoordinatorForGroupError,
    NotLeaderForPartitionError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
)

from shared.simulation.coordinator import Coordinator, Place
from shared.simulation.log import Partition, Record, Topic, torn
from shared.simulation.loop import Loop
from shared.simulation.network import LATER, Asked, Link
from shared.simulation.tables import CLUSTER

NEAR_SECONDS, FAR_SECONDS = 0.0003, 0.002
"""How long something is under way."""
UNUSABLE_SECONDS = 1.0
"""How long at most a broker that was just started knows nothing of its partitions and groups."""
SILENT = 0.25
"""How often an answer that is lost is lost without a word, rather than with the connection."""
EARLIEST, LATEST = -2, -1


class Fetched:
    """The answer for one partition."""

    __slots__ = ("error", "highwater", "place", "records")

    def __init__(self, place: Place, records: list[Record], highwater: int, error: type[KafkaError] | None = None) -> None:
        """`highwater`: where the partition ends."""
        self.place, self.records, self.highwater, self.error = place, records, highwater, error


class Broker:
    """The broker."""

    def __init__(self, loop: Loop, *, delay: Callable[[], float] | None = None) -> None:
        """`delay`: seconds each way over the network."""
        self.loop = loop
        self.is_up = True
        self.ident = CLUSTER
        """The id that the storage of whoever answers was formatted with."""
        self.every_topic: list[Topic] = []
        """All that ever were, those that were deleted among them."""
        self.has_torn = False
        """Whether any record has a header whose name is not UTF-8."""
        self._delay = delay or (lambda: NEAR_SECONDS + loop.random.random() * (FAR_SECONDS - NEAR_SECONDS))
        self._slow = self._reset = self._lose_answer = 0.0
        self._usable_at = 0.0
        self.strange_topics: list[Topic] = []
        """Those of other clusters that were at the address."""
        self._topics: dict[str, Topic] = {}
        self._groups: dict[str, Coordinator] = {}
        self._served, self._serving = self._topics, self._groups
        """The topics and groups of whoever answers."""
        self._links: list[Link] = []
        self._held: list[tuple[Asked, Mapping[Place, int]]] = []
        """Fetches for which there was nothing yet."""
        self._producers = 0

    # ---- topics ------------------------------------------------------------------------------------------------------------

    def create(self, topic: str, partitions: int) -> None:
        """Makes a topic, with an id that no other has."""
        assert topic not in self._topics, f"{topic} is there"
        self._topics[topic] = Topic(topic, partitions, f"{self.loop.random.getrandbits(128):032x}")
        self.every_topic.append(self._topics[topic])

    def delete(self, topic: str) -> None:
        """It is no more."""
        del self._topics[topic]
        for asked, places in list(self._held):
            if any(place[0] == topic for place in places):
                self._end_fetch(asked)

    def wipe(self, topic: str) -> None:
        """Deletes it, and makes it anew: empty, with another id. Nobody sees it gone: for that, delete it."""
        partitions = len(self._topics[topic].partitions)
        self.delete(topic)
        self.create(topic, partitions)

    def retain(self, topic: str, partition: int, beginning: int) -> None:
        """What is older is gone."""
        there = self._topics[topic].partitions[partition]
        assert there.beginning <= beginning <= there.end, f"{topic}/{partition} ends at {there.end}"
        there.beginning = beginning

    def records(self, topic: str, partition: int) -> Sequence[Record]:
        """What there is of it."""
        there = self._topics[topic].partitions[partition]
        return there.records[there.beginning :] if there.beginning else there.records

    def append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[Any, bytes | None]] = (),
        timestamp_ms: int | None = None,
    ) -> Record:  # fmt: skip
        """Straight in, as somebody else's client might. A header's name may be bytes, of whatever kind."""
        there = self._topics[topic].partitions[partition]
        readable, strange = torn(headers)
        size = len(key or b"") + len(value or b"") + 100
        there.append([(key, value, readable)], [size], self._now_ms() if timestamp_ms is None else timestamp_ms)
        there.records[-1].torn = strange
        self.has_torn = self.has_torn or strange is not None
        self._appended((topic, partition))
        return there.records[-1]

    def topic_id(self, topic: str) -> str:
        """By which it is told from others of its name."""
        return self._topics[topic].id

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """As an assignor asks for them; None where there is no such topic."""
        there = self._topics.get(topic)
        return None if there is None else set(range(len(there.partitions)))

    # ---- faults ------------------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Killed. What it acknowledged is kept; of what was under way, what had come."""
        self.is_up = False
        self._held.clear()
        for link in self._links:
            link.sever()
        self._links.clear()
        for group in self._serving.values():
            group.died()

    def up(self, usable_after: float | None = None) -> None:
        """It answers again; with what it was asked for only after some seconds: drawn where they are not given."""
        if not self.is_up:
            after = self.loop.random.random() * UNUSABLE_SECONDS if usable_after is None else usable_after
            self.is_up, self._usable_at = True, self.loop.time() + after
            for group in self._serving.values():
                group.begins()

    def another(self, ident: str) -> None:
        """From now on another cluster is at the address: with topics of the same names, which are empty."""
        strange = {
            name: Topic(name, len(there.partitions), f"{self.loop.random.getrandbits(128):032x}") for name, there in self._topics.items()
        }
        self.strange_topics.extend(strange.values())
        self._exchange(ident, strange, {})

    def own_again(self) -> None:
        """Our own is at the address again."""
        self._exchange(CLUSTER, self._topics, self._groups)

    def _exchange(self, ident: str, topics: dict[str, Topic], groups: dict[str, Coordinator]) -> None:
        was_up = self.is_up
        self.down()
        self.ident, self._served, self._serving = ident, topics, groups
        if was_up:
            self.up()

    def slow(self, seconds: float) -> None:
        """Everything is under way for up to so much longer."""
        self._slow = seconds

    def reset(self, probability: float) -> None:
        """So often a connection breaks over a request, before or after it is done."""
        self._reset = probability

    def lose_answer(self, probability: float) -> None:
        """So often records are taken in and nobody is told."""
        self._lose_answer = probability

    # ---- the network -------------------------------------------------------------------------------------------------------

    def delay(self) -> float:
        """See `Server`."""
        return self._delay() + self._slow * self.loop.random.random() if self._slow else self._delay()

    def fate(self, asked: Asked) -> tuple[bool, bool, bool]:
        """See `Server`."""
        if self._reset and self.loop.random.random() < self._reset:
            return self.loop.random.random() < 0.5, False, True  # noqa: PLR2004 - as likely before as after
        if self._lose_answer and asked.do == self.produce and self.loop.random.random() < self._lose_answer:
            return True, False, self.loop.random.random() >= SILENT
        return True, True, False

    def connected(self, link: Link) -> None:
        """See `Server`."""
        self._links = [one for one in self._links if one.open]
        self._links.append(link)

    # ---- requests ----------------------------------------------------------------------------------------------------------

    def metadata(self, _: Asked, topics: Iterable[str]) -> Any:
        """How many partitions each has, of those that are there, and its id."""
        return {topic: (len(there.partitions), there.id) for topic in topics if (there := self._served.get(topic)) is not None}

    def new_producer(self, _: Asked) -> Any:
        """A number by which its records are told from others'."""
        self._producers += 1
        return self._producers

    def produce(self, _: Asked, producer: int, batches: Mapping[Place, Any]) -> Any:
        """Takes records in. For each place the offset and the time, or what is wrong."""
        return {place: self._produce(producer, place, batch) for place, batch in batches.items()}

    def _produce(self, producer: int, place: Place, batch: Any) -> tuple[int, int] | KafkaError:
        if not self._is_usable():
            return NotLeaderForPartitionError()
        there = self._partition(place)
        if there is None:
            return UnknownTopicOrPartitionError()
        if batch.size() > self._served[place[0]].largest:
            return MessageSizeTooLargeError()
        end, now = there.end, self._now_ms()
        try:
            offset = there.append_once(producer, batch.number, batch.entries, batch.sizes, now)
        except KafkaError as error:
            return error
        if there.end > end:
            self._appended(place)
        return offset, now

    def fetch(self, asked: Asked, places: Mapping[Place, int], most_bytes: int, wait: float, *, ends: bool = False) -> Any:
        """Gives records, or waits for some. `ends`: it waited long enough."""
        found, is_something = self._read(places, most_bytes)
        if ends:
            self._held = [held for held in self._held if held[0] is not asked]
            asked.reply(found)
        elif is_something:
            return found
        else:
            self._held.append((asked, places))
            asked.hold(wait)
        return LATER

    def _read(self, places: Mapping[Place, int], most_bytes: int) -> tuple[list[Fetched], bool]:
        """What there is, and whether it is worth an answer."""
        if not self._is_usable():
            return [Fetched(place, [], 0, NotLeaderForPartitionError) for place in places], True
        found, is_something = [], False
        for place, offset in places.items():
            there = self._partition(place)
            if there is None:
                found.append(Fetched(place, [], 0, UnknownTopicOrPartitionError))
                is_something = True
                continue
            try:
                records = there.read(offset, most_bytes)
            except OffsetOutOfRangeError:
                found.append(Fetched(place, [], there.end, OffsetOutOfRangeError))
                is_something = True
            else:
                found.append(Fetched(place, records, there.end))
                is_something = is_something or bool(records)
        return found, is_something

    def _appended(self, place: Place) -> None:
        for asked, places in list(self._held):
            if place in places:
                self._end_fetch(asked)

    def _end_fetch(self, asked: Asked) -> None:
        self._held = [held for held in self._held if held[0] is not asked]
        if asked.link.open:
            self.fetch(asked, *asked.args, ends=True)

    def offsets(self, _: Asked, places: Sequence[Place], which: int) -> Any:
        """Where these begin, or end."""
        if not self._is_usable():
            return NotLeaderForPartitionError()
        found = {}
        for place in places:
            there = self._partition(place)
            if there is None:
                return UnknownTopicOrPartitionError()
            found[place] = there.beginning if which == EARLIEST else there.end
        return found

    def find_coordinator(self, _: Asked) -> Any:
        """Whether groups can be asked for."""
        return None if self._is_usable() else GroupCoordinatorNotAvailableError()

    def ask_group(self, asked: Asked, group: str, what: str, *args: Any) -> Any:
        """A request to a group."""
        if not self._is_usable():
            return NotCoordinatorForGroupError()
        there = self._serving.get(group)
        if there is None:
            there = self._serving[group] = Coordinator(self.loop, self._served.__contains__)
        return getattr(there, what)(asked, *args)

    def group(self, name: str) -> Coordinator:
        """A group, for whoever looks on."""
        return self._groups[name]

    # ---- its own -----------------------------------------------------------------------------------------------------------

    def _partition(self, place: Place) -> Partition | None:
        topic = self._served.get(place[0])
        return topic.partitions[place[1]] if topic is not None and place[1] < len(topic.partitions) else None

    def _is_usable(self) -> bool:
        return self.loop.time() >= self._usable_at

    def _now_ms(self) -> int:
        return int(self.loop.now().timestamp() * 1000)
