"""The one place where stored bytes are made and read: canonical rows, hashes, packed headers. Sealing will slip in here.

A chain's hash is SHA-256 over the hash before it and the row's canonical bytes: the lengths of its parts, then the parts. With the
lengths in front no two different rows have the same bytes, whatever is in them.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from asyncpg.pgproto import pgproto

GENESIS = bytes(32)
"""The hash before the first row of a chain."""

NULL = 0xFFFFFFFF
"""The length that stands for a header's null value."""
HEADERS_MAX = 64
"""Headers of a record that is read; one with more is parked."""
HEADER_BYTES_MAX = 16_384
"""Their bytes, names and values together."""


_LENGTHS = [struct.Struct(f">{count}I").pack for count in range(20)]
"""Made once: what has a format for each number of parts does not look it up for each row."""
_TWO = _LENGTHS[2]


def pack(parts: Sequence[bytes]) -> bytes:
    """The lengths of the parts, fewer than twenty, then the parts."""
    return b"".join((_LENGTHS[len(parts)](*map(len, parts)), *parts))


def pack_headers(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """A record's headers as they came: for each the lengths of name and value (0xFFFFFFFF for null), then both."""
    found: list[bytes] = []
    for name, value in headers:
        name_bytes = name.encode("utf-8", "surrogateescape")
        found += (_TWO(len(name_bytes), NULL if value is None else len(value)), name_bytes, value or b"")
    return b"".join(found)


def unpack_headers(packed: bytes) -> list[tuple[str, bytes | None]]:
    """The inverse of `pack_headers`."""
    found: list[tuple[str, bytes | None]] = []
    at = 0
    while at < len(packed):
        name_length, length = struct.unpack_from(">II", packed, at)
        at += 8
        name = packed[at : at + name_length].decode("utf-8", "surrogateescape")
        at += name_length
        if length == NULL:
            found.append((name, None))
            continue
        found.append((name, packed[at : at + length]))
        at += length
    return found


def moment(at: datetime) -> str:
    """A moment as it is hashed and sent: UTC, microseconds, `Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_moment(text: str) -> datetime:
    """The inverse of `moment`. Raises ValueError."""
    return datetime.fromisoformat(text)


def quick(stream: UUID) -> UUID:
    """The same id as asyncpg's UUID: equal to the standard one and hashed like it, but in C. Streams are looked up again and again."""
    return stream if type(stream) is pgproto.UUID else pgproto.UUID(stream.bytes)


def read_uuid(text: str) -> UUID:
    """An id in any spelling that `uuid.UUID` takes. Raises ValueError."""
    try:
        return pgproto.UUID(text)
    except ValueError:
        return quick(UUID(text))


@dataclass(slots=True)
class LedgerRow:
    """One fact, where it stands, and what it came from."""

    shard: int
    position: int
    stream: UUID
    kind: str
    version: int
    type: str
    body: bytes
    entry: int
    """The journal entry of the input that led here."""
    now: datetime
    now_text: str
    actor: str
    message_id: str
    """The id of the input that led here (`causation_id`); empty for a timer."""
    correlation: UUID
    """The complaint it is about, or where it is about none, its own stream."""
    target: UUID | None
    """Of a `…Requested` row: the stream that is asked."""
    origin_id: str
    """Of a passed-on row: the message id its sender gave it."""
    cause_hash: bytes
    """The hash of the journal row of that input."""
    hash: bytes = b""
    previous: bytes = b""
    """The hash of the row before it. Not stored again: it stands there."""

    def canonical(self) -> bytes:
        """What the chain covers. Every part of it travels with the event, so that a consumer can check it."""
        return pack((
            b"%d/%d/%d" % (self.shard, self.position, self.version),
            self.stream.bytes,
            self.kind.encode(),
            self.type.encode(),
            self.body,
            self.now_text.encode(),
            self.actor.encode(),
            self.message_id.encode(),
            self.correlation.bytes,
            self.target.bytes if self.target else b"",
            self.origin_id.encode(),
        ))  # fmt: skip

    def chain(self, previous: bytes) -> bytes:
        """The row's hash, given the hash of the row before it."""
        return hashlib.sha256(previous + self.canonical() + self.cause_hash).digest()


@dataclass(slots=True)
class JournalRow:
    """One input as it was told, and what came of it; or a run of records that are no concern of ours (`ignored`)."""

    shard: int
    entry: int
    topic: str
    """Empty for what the machine tells itself: a due timer, the first policy."""
    partition: int
    offset: int
    """-1 where there is no topic."""
    until: int
    """The offset after the last one that this row is about: `offset` + 1 but for a run of ignored records."""
    message_id: str
    type: str
    kind: str
    """The kind of the stream; empty where none is known."""
    stream: UUID | None
    key: bytes | None
    headers: bytes
    body: bytes | None
    sent_ms: int
    """The record's time, in milliseconds since 1970: Kafka's, on topics that we made."""
    now: datetime
    now_text: str
    policy: str
    """The digest of the policy it was decided under."""
    rules: int
    outcome: str
    reason: str
    refers: int
    """The entry this one refers to (what it decides again or settles, what it waits behind); 0 for none."""
    first_position: int
    """The position of its first event; 0 where there is none."""
    events: int
    received_at: datetime
    """When this process had it in hand, by the process clock. For traces; not hashed."""
    hash: bytes = b""

    @property
    def again(self) -> bool:
        """Whether an earlier input, the one at `refers`, is decided here once more. Its body is here only where it was corrected."""
        return not self.topic and self.refers > 0

    @property
    def sent_at(self) -> datetime | None:
        """When Kafka had it; None where nobody sent it, or its time is none."""
        try:
            return datetime.fromtimestamp(self.sent_ms / 1000, UTC) if self.topic and self.sent_ms > 0 else None
        except (ValueError, OverflowError, OSError):
            return None

    def canonical(self) -> bytes:
        """What the chain covers."""
        return pack((
            b"%d/%d" % (self.shard, self.entry),
            b"%b/%d/%d/%d" % (self.topic.encode(), self.partition, self.offset, self.until),
            self.message_id.encode(),
            self.type.encode(),
            self.kind.encode(),
            self.stream.bytes if self.stream else b"",
            b"\x01" + self.key if self.key is not None else b"",
            self.headers,
            b"\x01" + self.body if self.body is not None else b"",
            b"%d" % self.sent_ms,
            self.now_text.encode(),
            self.policy.encode(),
            b"%d" % self.rules,
            self.outcome.encode(),
            self.reason.encode(),
            b"%d/%d/%d" % (self.refers, self.first_position, self.events),
        ))  # fmt: skip

    def chain(self, previous: bytes) -> bytes:
        """The row's hash, given the hash of the row before it."""
        return hashlib.sha256(previous + self.canonical()).digest()


def digest_of(body: bytes) -> bytes:
    """Sixteen bytes that tell one body from another."""
    return hashlib.sha256(body).digest()[:16]


def span_id(event_id: str) -> str:
    """The W3C span id of an event: derived, so that a trace can be made again at any time."""
    return hashlib.sha256(event_id.encode()).hexdigest()[:16]


def traceparent(correlation: UUID, event_id: str) -> str:
    """The trace context an event carries: one trace a complaint (its id), one span an event."""
    return f"00-{correlation.hex}-{span_id(event_id)}-01"
