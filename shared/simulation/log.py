"""What a simulated Kafka keeps: topics, their partitions, and records in the order in which they came."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import OffsetOutOfRangeError, OutOfOrderSequenceNumber

from shared.contract.envelope import SUBMISSIONS

Headers = Sequence[tuple[str, bytes | None]]
Entry = tuple[bytes | None, bytes | None, Headers]
"""What a sender gives of a record: key, value, headers."""
APPENDED = 1
"""The kind of time that all our topics have: Kafka's own, of when the record came."""
LARGEST = 2 * 1024 * 1024
"""Most bytes of a batch, as our topics are made (see deploy/topics.py)."""
LARGEST_SUBMISSION = 1024 * 1024 + 12
"""Of a batch on a topic that is made without a word about it: Kafka's own limit."""
REMEMBERED = 5
"""So many batches of each producer are remembered, to know one that comes again."""


class Record:
    """One record, as aiokafka hands it over."""

    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "timestamp_type", "topic", "torn", "value")

    def __init__(self, topic: str, partition: int, offset: int, timestamp: int, entry: Entry) -> None:
        """`timestamp`: milliseconds since 1970."""
        self.topic, self.partition, self.offset = topic, partition, offset
        self.timestamp, self.timestamp_type = timestamp, APPENDED
        self.key, self.value, headers = entry
        self.headers = tuple(headers)
        self.torn: bytes | None = None
        """The name of a header that is not UTF-8."""

    def __repr__(self) -> str:
        return f"<{self.topic}/{self.partition}/{self.offset} {self.key!r} {self.value!r}>"


class Partition:
    """The records of a partition. Those before its beginning are gone, for whoever asks by way of the network."""

    __slots__ = ("_bytes", "_number", "_remembered", "_topic", "beginning", "records")

    def __init__(self, topic: str, number: int) -> None:
        """`number`: of its topic."""
        self._topic, self._number = topic, number
        self.records: list[Record] = []
        self.beginning = 0
        self._bytes: list[int] = []
        """Of all records up to each one."""
        self._remembered: dict[int, list[tuple[int, int, int]]] = {}
        """By producer: the first and the last number of a batch, and its offset."""

    @property
    def end(self) -> int:
        """The next record's offset."""
        return len(self.records)

    def append(self, entries: Sequence[Entry], sizes: Sequence[int], timestamp: int) -> int:
        """These came. Gives the first one's offset."""
        first = offset = len(self.records)
        total = self._bytes[-1] if self._bytes else 0
        for entry, size in zip(entries, sizes, strict=True):
            self.records.append(Record(self._topic, self._number, offset, timestamp, entry))
            total += size
            self._bytes.append(total)
            offset += 1
        return first

    def append_once(self, producer: int, number: int, entries: Sequence[Entry], sizes: Sequence[int], timestamp: int) -> int:
        """These came from a producer that numbers its records: what came before is not taken again.

        Raises:
            OutOfOrderSequenceNumber: where others must have come before them, or they came too long ago to be known.
        """
        last = number + len(entries) - 1
        known = self._remembered.setdefault(producer, [])
        for begins, ends, offset in known:
            if (begins, ends) == (number, last):
                return offset
        if known and number != known[-1][1] + 1:
            raise OutOfOrderSequenceNumber
        offset = self.append(entries, sizes, timestamp)
        known.append((number, last, offset))
        del known[:-REMEMBERED]
        return offset

    def read(self, offset: int, most_bytes: int) -> list[Record]:
        """The records from here on: at least one where there is one.

        Raises:
            OffsetOutOfRangeError: where there can't be any.
        """
        end = len(self.records)
        if not self.beginning <= offset <= end:
            raise OffsetOutOfRangeError
        if offset == end:
            return []
        before = self._bytes[offset - 1] if offset else 0
        until = end if self._bytes[-1] - before <= most_bytes else max(offset + 1, bisect_right(self._bytes, before + most_bytes))
        return self.records[offset:until]


class Topic:
    """A topic, from when it was made until it is deleted."""

    __slots__ = ("id", "largest", "name", "partitions")

    def __init__(self, name: str, partitions: int, ident: str) -> None:
        """`ident`: no topic before had it."""
        self.name, self.id = name, ident
        self.partitions = [Partition(name, number) for number in range(partitions)]
        self.largest = LARGEST_SUBMISSION if name.startswith(SUBMISSIONS) else LARGEST


def torn(headers: Sequence[tuple[Any, bytes | None]]) -> tuple[Headers, bytes | None]:
    """Headers as they can be read byte for byte, and the first name that is not UTF-8; names may be given as bytes."""
    found, readable = None, []
    for name, value in headers:
        raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
        try:
            readable.append((raw.decode(), value))
        except UnicodeDecodeError:
            found = found if found is not None else raw
            readable.append((raw.decode("utf-8", "surrogateescape"), value))
    return readable, found
