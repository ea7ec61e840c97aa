"""The envelope: how a record on Kafka says what it is, and which shard a stream lies in.

Headers are CloudEvents 1.0 in binary mode for Kafka (`ce_…`), W3C trace context (`traceparent`), and on events the ledger's own
(`ledger-position`, `ledger-hash`, `ledger-prev`, `cause-hash`). The value is UTF-8 JSON. The key is the stream's id as text.
"""

import re
import struct
from collections.abc import Iterable
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

SUBMISSIONS = "complaints.submissions"
POLICIES = "policies"
SERVICES = ("intake", "resolution", "rootcause")
TENANT = "default"

NAMESPACE = uuid5(NAMESPACE_URL, "https://makegood.example/ids")
"""The namespace of every id that is derived rather than drawn. Published: upstream systems compute complaint ids with it."""

REQUESTED = "Requested"
_NUMBER = "(0|[1-9][0-9]{0,17})"
_EVENT_ID = re.compile(rf"(g{_NUMBER})/({'|'.join(SERVICES)})/{_NUMBER}/{_NUMBER}", re.ASCII)


class EventPlace(NamedTuple):
    """What an event's id says."""

    generation: str
    service: str
    shard: int
    position: int


def complaint_id(source: str, ref: str, tenant: str = TENANT) -> UUID:
    """The id of the complaint that an upstream knows as `ref`: UUIDv5 of (tenant, source, external ref), joined by U+001F."""
    return uuid5(NAMESPACE, f"complaint\x1f{tenant}\x1f{source}\x1f{ref}")


def stream_id(kind: str, name: str, tenant: str = TENANT) -> UUID:
    """The id of a stream that is named rather than submitted: a customer, a problem, a shard's own stream."""
    return uuid5(NAMESPACE, f"{kind}\x1f{tenant}\x1f{name}")


def key_of(stream: UUID) -> bytes:
    """The record key of a stream: its id, lower-case with hyphens, in ASCII."""
    return str(stream).encode()


_SEED, _MIX, _WORD = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Kafka's hash of a record's key, 32 bits of it (aiokafka's takes twice as long, and each new stream needs one)."""
    mixed = _SEED ^ len(key)
    words = len(key) // 4
    for word in struct.unpack_from(f"<{words}I", key):
        part = word * _MIX & _WORD
        mixed = (mixed * _MIX ^ (part ^ part >> 24) * _MIX) & _WORD
    if rest := key[words * 4 :]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * _MIX & _WORD
    mixed = (mixed ^ mixed >> 13) * _MIX & _WORD
    return mixed ^ mixed >> 15


def shard_of(stream: UUID, shards: int) -> int:
    """The shard a stream lies in: what Kafka's default partitioner (murmur2) makes of its key."""
    return (murmur2(key_of(stream)) & 0x7FFFFFFF) % shards


def events_topic(service: str) -> str:
    """Where a service's facts are."""
    return f"{service}.events"


def commands_topic(service: str) -> str:
    """Where a service is asked."""
    return f"{service}.commands"


def requested(type_name: str) -> str:
    """The stored name of the ledger row that asks another stream: `rootcause.AskToJoin.v1` → `rootcause.AskToJoinRequested.v1`."""
    service, name, version = type_name.split(".")
    return f"{service}.{name}{REQUESTED}.{version}"


def is_requested(type_name: str) -> bool:
    """Whether a stored name is that of a request to another stream."""
    return type_name.split(".")[1].endswith(REQUESTED)


def unrequested(type_name: str) -> str:
    """The command a `…Requested` row carries."""
    service, name, version = type_name.split(".")
    return f"{service}.{name.removesuffix(REQUESTED)}.{version}"


def event_id(generation: str, service: str, shard: int, position: int) -> str:
    """`g1/intake/3/1024`. No random ids: a topic rebuilt from the ledger is the same topic."""
    return f"{generation}/{service}/{shard}/{position}"


def event_place(ident: str) -> EventPlace | None:
    """Whose ledger row an id names, as `event_id` writes it and in no other spelling; None where it is no event's id."""
    if (found := _EVENT_ID.fullmatch(ident)) is None:
        return None
    generation, _, service, shard, position = found.groups()
    return EventPlace(generation, service, int(shard), int(position))


def text_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """The headers that are text, the first of each name. What is not UTF-8 or is null is left out: the record is judged without it."""
    found: dict[str, str] = {}
    for name, value in headers:
        if value is None or name in found:
            continue
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            continue
    return found


def command_headers(
    type_name: str,
    message_id: str,
    *,
    stream: UUID | None,
    source: str,
    actor: str,
    sent_at: str,
    traceparent: str | None = None,
) -> list[tuple[str, bytes]]:
    """The headers of a command or a submission. `sent_at` is ISO 8601; `source` a URI reference such as `/console`."""
    found = [
        ("ce_specversion", b"1.0"),
        ("ce_id", message_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_name.encode()),
        ("ce_time", sent_at.encode()),
        ("content-type", b"application/json"),
        ("ce_actor", actor.encode()),
    ]
    if stream is not None:
        found.append(("ce_subject", str(stream).encode()))
    if traceparent:
        found.append(("traceparent", traceparent.encode()))
    return found
