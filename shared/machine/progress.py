"""Whether a worker gets on: how old the oldest record is that waits for it, and whether it stands still without a known reason.

Asking Kafka where its topics end tells what there is to do, whatever became of the fetching: so a reader that hangs is found out. A
worker that is busy has records that wait, and commits again and again; one that is stalled has something to do and commits nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared import clock
from shared.machine.told import APPENDED, Record

STALLED_SECONDS = 15.0
"""After so long with something to do and nothing done, a worker is stalled."""
HUNG_SECONDS = 60.0
"""After so long a reader that is given nothing, though Kafka has it, is not waited for: its process ends, to be started again."""


@dataclass(frozen=True, slots=True)
class Lag:
    """What waits of one topic."""

    records: int
    seconds: float
    """The age of the oldest."""


@dataclass(slots=True)
class Progress:
    """One worker's."""

    working_since: float | None = None
    """Since when it has been taking the shard over, or deciding: what it waits for is not ours. None while it waits for records."""
    done_at: float = field(default_factory=clock.passed)
    """When it last took records in, or there were none."""
    ends: Mapping[str, int] = field(default_factory=dict)
    """The offset after the last of each topic, as Kafka last said."""
    _through: Mapping[str, int] = field(default_factory=dict)
    """Up to here there was no record of each topic that was not taken in, though there may be offsets: the end of a sender's transaction
    has one, and nobody is ever given it."""
    _taken_at: dict[str, float] = field(default_factory=dict)
    """When Kafka took the last record of each topic that was taken in: what waits is younger."""
    _none_at: dict[str, float] = field(default_factory=dict)
    """When there was last no record of a topic that was not taken in: what waits is younger."""

    def begin(self, topics: Iterable[str]) -> None:
        """The shard is read from here on."""
        self.done_at, self.ends, self._through, self._taken_at = clock.passed(), {}, {}, {}
        self._none_at = dict.fromkeys(topics, clock.now().timestamp())

    def heard(self, ends: Mapping[str, int], asked_at: float, through: Mapping[str, int]) -> None:
        """Kafka said where the topics end.

        Args:
            ends: The offset after the last of each.
            asked_at: When it was asked, by the wall clock.
            through: Up to where no record of each is left that was not taken in by now.
        """
        self.ends, self._through = ends, through
        none = [topic for topic, end in ends.items() if end <= through.get(topic, 0)]
        for topic in none:
            self._none_at[topic] = asked_at
        if len(none) == len(ends):
            self.done_at = clock.passed()

    def taken(self, records: Iterable[Record]) -> None:
        """These were taken in."""
        self._taken_at.update((one.topic, one.timestamp / 1000) for one in records if one.timestamp_type == APPENDED)
        self.done_at = clock.passed()

    def lags(self, offsets: Mapping[str, int], fetched: Iterable[Record], known: Mapping[str, int]) -> Mapping[str, Lag]:
        """What waits, by topic.

        Args:
            offsets: The next offset of each topic.
            fetched: The records in hand that were not taken in yet.
            known: Where the topics end at least, by what was fetched.
        """
        oldest: dict[str, float] = {}
        for record in fetched:
            if record.topic not in oldest and record.timestamp_type == APPENDED:
                oldest[record.topic] = record.timestamp / 1000
        found, now = {}, clock.now().timestamp()
        for topic, offset in offsets.items():
            records = max(self.ends.get(topic, 0), known.get(topic, 0)) - max(offset, self._through.get(topic, 0))
            since = oldest.get(topic) or max(self._taken_at.get(topic, 0.0), self._none_at.get(topic, now))
            found[topic] = Lag(records, max(0.0, now - since)) if records > 0 else Lag(0, 0.0)
        return found

    def waits(self, offsets: Mapping[str, int]) -> int:
        """How many records Kafka is known to have that were not taken in."""
        return sum(max(0, end - max(offsets.get(topic, 0), self._through.get(topic, 0))) for topic, end in self.ends.items())

    def stalled(self, offsets: Mapping[str, int], fetched: int) -> tuple[str, str] | None:
        """Why nothing is done though there is something to do, as a worker's trouble is told; None where it gets on.

        Args:
            offsets: The next offset of each topic.
            fetched: How many records are in hand.
        """
        now = clock.passed()
        if self.working_since is not None and (working := now - self.working_since) > STALLED_SECONDS:
            return "stalled", f"what it does has taken {working:.0f} s, and is not done: Kafka or PostgreSQL keeps it waiting. {_HELP}"
        still = now - self.done_at
        if still <= STALLED_SECONDS:
            return None
        if fetched:
            return "stalled", f"{fetched} records are in hand, and none was taken in for {still:.0f} s. {_HELP}"
        if waiting := self.waits(offsets):
            return "stalled", f"Kafka has {waiting} records for it, and has given it none for {still:.0f} s. {_HELP}"
        return None

    def hung(self, offsets: Mapping[str, int], fetched: int) -> bool:
        """Whether it waits for records that Kafka has, and in vain."""
        in_vain = self.working_since is None and not fetched and self.waits(offsets) > 0
        return in_vain and clock.passed() - self.done_at > HUNG_SECONDS


_HELP = "The log may tell why; where it does not pass, end the process: it is started again and goes on from there."
