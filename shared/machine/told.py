"""An input: a Kafka record, or what the machine tells itself, read as far as it can be read. Reading never raises.

What a record is follows from the topic it lies on: a submission, a command, a policy, another service's event. What can't be read carries
its fault, and will be parked with its bytes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from pydantic import ValidationError

from shared.contract.envelope import POLICIES, commands_topic, event_place, events_topic, shard_of, stream_id, text_headers
from shared.contract.in_words import in_words, named
from shared.contract.machine import SETTLING, PublishPolicy, TimerDue
from shared.contract.said import Command, decode
from shared.contract.values import REFERENCE_MAX
from shared.machine.bytes import HEADER_BYTES_MAX, HEADERS_MAX, JournalRow, LedgerRow, pack_headers, quick, read_uuid, unpack_headers
from shared.machine.mind import Mind
from shared.machine.records import NotAnEvent, read_event, request_headers
from shared.policy.model import Policy

IDENTIFIER_MAX = 500
"""In bytes: what is longer by far has no place in an index."""
PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")
"""What a header may hold that becomes a column, within a length."""
ORIGIN_MAX = 4 * REFERENCE_MAX + 1 + IDENTIFIER_MAX
"""Of an `origin-id`, in bytes: a source (a command's own may have so many characters of four bytes), a space, an id."""
REASON_MAX = 1000
"""Of a fault, in characters."""
BODY_BYTES_MAX = 1024 * 1024
"""Kafka bounds what is sent, compressed; this bounds what it holds."""
ASKED = ("ce_type", "ce_subject", "ce_actor", "ce_correlationid", "origin-id")
"""The headers of a request that say what is asked, by whom and of whom."""
NO_ROW_OF_OURS = "its headers name a ledger row of ours, which says something else"
SHARD = "shard"
"""The kind of a shard's own stream: what concerns no other stream stands there."""
APPENDED = 1
"""The type of a record's time that Kafka set when it took the record."""
MACHINE = "machine"
CLOCK = "clock"


class Record(Protocol):
    """A Kafka record, as aiokafka hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970."""
    timestamp_type: int
    """`APPENDED` where Kafka set the time, another number where the sender did."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Hop:
    """Which ledger row of this service a record is: a request to a stream of another shard."""

    shard: int
    position: int


@dataclass(slots=True)
class Told:
    """One input."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: bytes
    """Packed, as they came."""
    body: bytes | None
    sent_ms: int
    message_id: str = ""
    once: str = ""
    """Under what the message counts once: its sender's `ce_source`, a space, its `ce_id`. Where the sender does not say who it is, what
    the command says of it stands in; empty where the sender gave it no id."""
    type: str = ""
    kind: str = ""
    stream: UUID | None = None
    actor: str = ""
    correlation: UUID | None = None
    command: Command | None = None
    source: LedgerRow | None = None
    """Of another service's event: the ledger row that it is. Its `previous` is filled."""
    service: str = ""
    """Of another service's event: whose it is."""
    hop: Hop | None = None
    fault: str = ""
    """Why it can't be read."""
    again: int = 0
    """The journal entry of an input that is decided once more; 0 for one that is told."""
    corrected: bool = False
    """Whether its body is another than it was received with."""

    @property
    def own(self) -> bool:
        """Whether the machine told itself."""
        return not self.topic

    @property
    def outside(self) -> bool:
        """Whether neither the machine nor a ledger row of ours or of another service tells it."""
        return self.source is None and self.hop is None and not self.own

    def disown(self) -> None:
        """It said that it is a row of ours, and is not."""
        self.hop, self.fault = None, NO_ROW_OF_OURS


class Unreadable(ValueError):
    """Why a record can't be read, in words."""


class Reader:
    """Reads the records of one service's topics."""

    def __init__(self, mind: Mind, shards: int, submissions: Sequence[str], generation: str) -> None:
        """Reads for an installation.

        Args:
            mind: Whose topics.
            shards: How many shards there are.
            submissions: The topics that upstreams write to, where this mind reads them.
            generation: The installation's.
        """
        self._mind = mind
        self._shards = shards
        self._upstreams = submissions
        self._generation = generation
        self._submissions = frozenset(submissions) if mind.submission else frozenset()
        self._commands = commands_topic(mind.service)
        self._events = {events_topic(service): service for service in mind.hears_from}
        self._own = {shard: quick(stream_id(SHARD, f"{mind.service}/{shard}")) for shard in range(shards)}

    def of(self, mind: Mind) -> "Reader":
        """The same installation's, as this mind reads: by earlier rules, say, which did not know all that is known now."""
        return self if mind is self._mind else Reader(mind, self._shards, self._upstreams, self._generation)

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics that the service reads."""
        return (*sorted(self._submissions), self._commands, *sorted(self._events), POLICIES)

    @property
    def events_of(self) -> Mapping[str, str]:
        """The topics of other services' events: topic → service."""
        return self._events

    def shard_stream(self, shard: int) -> UUID:
        """The shard's own stream."""
        return self._own[shard]

    def shard_of(self, stream: UUID) -> int:
        """Where a stream lies."""
        return shard_of(stream, self._shards)

    def record(self, record: Record) -> Told:
        """A record as an input."""
        told = Told(record.topic, record.partition, record.offset, record.key, pack_headers(record.headers), record.value, record.timestamp)
        return self._filled(told, record.headers)

    def journalled(self, row: JournalRow) -> Told:
        """A journal row as the input it was: read now as it was read then, by the mind of the rules that it names."""
        if not row.topic:
            assert row.stream is not None, "the machine tells itself about streams"
            return self.by_machine(row.type, row.body, row.kind, row.stream)
        told = Told(row.topic, row.partition, row.offset, row.key, row.headers, row.body, row.sent_ms)
        return self._filled(told, unpack_headers(row.headers))

    def once_more(self, row: JournalRow, body: bytes | None = None) -> Told:
        """An input that was parked, or waits, to be decided now; with a corrected body, where there is one."""
        told = self.journalled(row if body is None else replace(row, body=body))
        told.again, told.corrected = row.entry, body is not None
        if row.reason.endswith(NO_ROW_OF_OURS):
            told.disown()
        return told

    def _filled(self, told: Told, headers: Sequence[tuple[str, bytes | None]]) -> Told:
        try:
            _limited(told.headers, len(headers))
            self._read(told, text_headers(headers))
        except Unreadable as why:
            told.fault = named(str(why), REASON_MAX)
        except ValidationError as error:
            told.fault = named(in_words(error), REASON_MAX)
        except Exception as error:  # noqa: BLE001 - whatever it is, the record is kept and its neighbours go on
            told.fault = f"it can't be read ({type(error).__name__})"
        return told

    def _read(self, told: Told, headers: Mapping[str, str]) -> None:
        told.message_id = f"{told.topic}/{told.partition}/{told.offset}"
        if service := self._events.get(told.topic):
            self._event(told, headers, service)
            return
        if given := headers.get("ce_id"):
            told.message_id = _identifier("ce_id", given)
            told.once = f"{_source(headers)} {told.message_id}"
        if told.topic == POLICIES:
            told.type, told.kind = PublishPolicy.type, SHARD
            told.stream = told.correlation = self._own[told.partition]
            told.actor = _identifier("ce_actor", headers.get("ce_actor", MACHINE))
            told.once = ""  # the same policy again changes nothing, whatever its id
            told.command = decode(PublishPolicy, _body(told))
            Policy.model_validate(told.command.policy)
            return
        if told.topic == self._commands:
            self._command(told, headers)
            return
        self._submission(told, headers)

    def _event(self, told: Told, headers: Mapping[str, str], service: str) -> None:
        try:
            row, previous = read_event(dict(headers), told.body, told.partition)
        except NotAnEvent as why:
            raise Unreadable(f"this is no event of {service}: {why}") from why
        row.previous = previous
        told.source, told.service = row, service
        told.message_id = _identifier("ce_id", headers.get("ce_id", ""))
        told.type, told.stream, told.correlation = row.type, row.stream, row.correlation
        told.kind = self._mind.listener
        told.actor = f"service:{service}"

    def _submission(self, told: Told, headers: Mapping[str, str]) -> None:
        assert self._mind.submission is not None, "who reads upstreams' topics takes submissions"
        told.type = _identifier("ce_type", headers.get("ce_type", self._mind.submission.type))
        command = decode(self._known(told.type), _body(told))
        self._decoded(told, command)
        if told.stream is None:
            raise Unreadable(f"{told.type} can't be submitted: send it to {self._commands}")
        told.actor = f"source:{self._mind.source_of(command)}"

    def _command(self, told: Told, headers: Mapping[str, str]) -> None:
        told.type = _identifier("ce_type", headers.get("ce_type", ""))
        command_type = self._known(told.type)
        told.kind = command_type.stream
        if told.kind == SHARD:
            told.stream = self._own[told.partition]
        elif "ce_subject" in headers:
            told.stream = _uuid("ce_subject", headers["ce_subject"])
        self._hop(told, headers)
        told.actor = _identifier("ce_actor", headers.get("ce_actor", ""))
        self._decoded(told, decode(command_type, _body(told)))
        if told.stream is None:
            raise Unreadable("the header ce_subject is missing: name the stream that is asked")
        if told.hop and "ce_correlationid" in headers:
            told.correlation = _uuid("ce_correlationid", headers["ce_correlationid"])

    def _known(self, type_name: str) -> type[Command]:
        if (found := self._mind.commands.get(type_name) or SETTLING.get(type_name)) is None:
            raise Unreadable(f"{self._mind.service} knows no command {type_name}")
        return found

    def _decoded(self, told: Told, command: Command) -> None:
        """What is submitted says itself which stream it belongs to; other commands are addressed."""
        told.command, told.kind = command, command.stream
        if stream := self._mind.stream_of(command):
            told.stream = quick(stream)
        told.correlation = told.stream
        if told.once.startswith(" "):
            told.once = self._mind.source_of(command).replace(" ", "+") + told.once

    def _hop(self, told: Told, headers: Mapping[str, str]) -> None:
        """Whose ledger row this is, where it is one. Its id is the row's; who asked first finds the answer under the id they gave."""
        if "ledger-shard" not in headers:
            return
        placed = event_place(told.message_id)
        position = headers.get("ledger-position", "")
        if placed is None or f"{placed.position}" != position or f"{placed.shard}" != headers["ledger-shard"]:
            raise Unreadable("the headers of a row that was passed on contradict each other")
        if placed.generation != self._generation or placed.service != self._mind.service or placed.shard >= self._shards:
            raise Unreadable(f"it was passed on by {placed.service} in {placed.generation}: {self._mind.service} has no such row here")
        told.hop = Hop(placed.shard, placed.position)
        told.once = _identifier("origin-id", headers["origin-id"], ORIGIN_MAX) if "origin-id" in headers else ""
        if told.once:
            told.message_id = told.once.partition(" ")[2]

    def is_row(self, told: Told, row: LedgerRow | None) -> bool:
        """Whether a record that says that it is this row of ours is what its relay makes of it."""
        if row is None or row.target is None or told.body != row.body:
            return False
        said, made = text_headers(unpack_headers(told.headers)), text_headers(request_headers(row, self._generation, self._mind.service))
        return all(said.get(name) == made.get(name) for name in ASKED)

    def timer(self, due: TimerDue, kind: str, stream: UUID) -> Told:
        """A due timer, as an input."""
        return self.by_machine(due.type, due.to_bytes(), kind, stream)

    def by_machine(self, type_name: str, body: bytes | None, kind: str, stream: UUID) -> Told:
        """What the machine tells itself: no record, no sender. Also how such a journal row is read again."""
        told = Told("", -1, -1, None, b"", body, 0, type=type_name, kind=kind, stream=stream, actor=CLOCK, correlation=stream)
        if body is not None:
            told.command = decode(PublishPolicy if type_name == PublishPolicy.type else TimerDue, body)
        if type_name == PublishPolicy.type:
            told.actor = MACHINE
        return told


def _limited(packed: bytes, headers: int) -> None:
    if headers > HEADERS_MAX:
        raise Unreadable(f"it has {headers} headers; at most {HEADERS_MAX} are read")
    if len(packed) > HEADER_BYTES_MAX:
        raise Unreadable(f"its headers have {len(packed)} bytes; at most {HEADER_BYTES_MAX} are read")


def _identifier(name: str, value: str, longest: int = IDENTIFIER_MAX) -> str:
    if value.isascii() and value.isprintable() and 0 < len(value) <= longest:  # nearly always, and quickly told
        return value
    if len(value.encode()) > longest or not PRINTABLE.fullmatch(value):
        raise Unreadable(f"the header {name} is missing" if not value else f"the header {name} is too long or holds a control character")
    return value


def _source(headers: Mapping[str, str]) -> str:
    source = headers.get("ce_source", "")
    if " " in source:
        raise Unreadable("the header ce_source holds a space: it is a URI reference")
    return _identifier("ce_source", source) if source else ""


def _uuid(name: str, value: str) -> UUID:
    try:
        return read_uuid(_identifier(name, value))
    except ValueError as error:
        raise Unreadable(str(error) if isinstance(error, Unreadable) else f"the header {name} is no UUID") from error


def _body(told: Told) -> bytes:
    if not told.body:
        raise Unreadable("it has no body")
    if len(told.body) > BODY_BYTES_MAX:
        raise Unreadable(f"its body has {len(told.body)} bytes; at most {BODY_BYTES_MAX} are read")
    return told.body
