"""Ledger rows as Kafka records, and back: the one place that knows the headers of events."""

from binascii import hexlify
from functools import cache

from shared.contract.envelope import event_id, key_of, unrequested
from shared.machine.bytes import LedgerRow, read_moment, read_uuid, traceparent

Headers = list[tuple[str, bytes]]
_SPEC = ("ce_specversion", b"1.0")
_JSON = ("content-type", b"application/json")


class NotAnEvent(ValueError):
    """A record on an events topic that no relay of ours wrote. The message says what is missing."""


def event_headers(row: LedgerRow, previous: bytes, generation: str, service: str) -> Headers:
    """The headers of a ledger row on `<service>.events`."""
    ident = event_id(generation, service, row.shard, row.position)
    subject = str(row.stream).encode()
    of_type, schema = _type_headers(row.type)
    found: Headers = [
        _SPEC,
        ("ce_id", ident.encode()),
        ("ce_source", b"/" + service.encode()),
        of_type,
        ("ce_time", row.now_text.encode()),
        ("ce_subject", subject),
        schema,
        _JSON,
        ("ce_actor", row.actor.encode()),
        ("ce_causationid", row.message_id.encode()),
        ("ce_correlationid", subject if row.correlation == row.stream else str(row.correlation).encode()),
        ("ce_streamkind", row.kind.encode()),
        ("ce_streamversion", b"%d" % row.version),
        ("traceparent", traceparent(row.correlation, ident).encode()),
        ("ledger-position", b"%d" % row.position),
        ("ledger-hash", hexlify(row.hash)),
        ("ledger-prev", hexlify(previous)),
        ("cause-hash", hexlify(row.cause_hash)),
    ]
    if row.target is not None:
        found.append(("ce_target", str(row.target).encode()))
    if row.origin_id:
        found.append(("origin-id", row.origin_id.encode()))
    return found


@cache
def _type_headers(type_name: str) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """What follows from an event's type: there are few types and many events."""
    return ("ce_type", type_name.encode()), ("ce_dataschema", f"/schemas/{type_name}.json".encode())


def request_headers(row: LedgerRow, generation: str, service: str) -> Headers:
    """The headers of a `…Requested` row on the command topic: the command it carries, asked by a row of the ledger."""
    assert row.target is not None, "a request names whom it asks"
    ident = event_id(generation, service, row.shard, row.position)
    found: Headers = [
        _SPEC,
        ("ce_id", ident.encode()),
        ("ce_source", f"/{service}".encode()),
        ("ce_type", unrequested(row.type).encode()),
        ("ce_time", row.now_text.encode()),
        ("ce_subject", str(row.target).encode()),
        _JSON,
        ("ce_actor", row.actor.encode()),
        ("ce_correlationid", str(row.correlation).encode()),
        ("traceparent", traceparent(row.correlation, ident).encode()),
        ("ledger-position", b"%d" % row.position),
        ("ledger-shard", b"%d" % row.shard),
    ]
    if row.origin_id:
        found.append(("origin-id", row.origin_id.encode()))
    return found


def event_key(row: LedgerRow) -> bytes:
    """The record key of an event: its stream."""
    return key_of(row.stream)


def read_event(headers: dict[str, str], body: bytes | None, shard: int) -> tuple[LedgerRow, bytes]:
    """A record of an events topic as the ledger row it was, with the hash of the row before it.

    Raises NotAnEvent. `entry` and `now` as a datetime are not needed by consumers: `entry` is 0.
    """
    try:
        row = LedgerRow(
            shard=shard,
            position=int(headers["ledger-position"]),
            stream=read_uuid(headers["ce_subject"]),
            kind=headers["ce_streamkind"],
            version=int(headers["ce_streamversion"]),
            type=headers["ce_type"],
            body=body if body is not None else b"",
            entry=0,
            now=read_moment(headers["ce_time"]),
            now_text=headers["ce_time"],
            actor=headers["ce_actor"],
            message_id=headers["ce_causationid"],
            correlation=read_uuid(headers["ce_correlationid"]),
            target=read_uuid(headers["ce_target"]) if "ce_target" in headers else None,
            origin_id=headers.get("origin-id", ""),
            cause_hash=bytes.fromhex(headers["cause-hash"]),
            hash=bytes.fromhex(headers["ledger-hash"]),
        )
        return row, bytes.fromhex(headers["ledger-prev"])
    except KeyError as missing:
        raise NotAnEvent(f"the header {missing.args[0]} is missing") from missing
    except ValueError as wrong:
        raise NotAnEvent(f"a header can't be read: {wrong}") from wrong
