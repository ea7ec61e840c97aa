"""The spans of a trace, made from what is stored: a complaint's whole trace, no sampling, and at any time again.

An input has a span, from when it was sent until all that came of it lay in Kafka. Each event that it led to has one beneath, and the
input at which another service heard of that event lies beneath the event's. All ids are derived, and an event's span is the one that its
record's `traceparent` names, so whoever carries that on joins the same trace.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.contract.catalogue import COMMANDS, EVENTS
from shared.contract.envelope import event_id, event_place, text_headers
from shared.contract.machine import TimerDue
from shared.contract.said import short_name
from shared.machine.bytes import JournalRow, LedgerRow, span_id, unpack_headers
from shared.machine.head import Outcome

TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
SENT, RECEIVED, DECIDED, RELAYED = "sent", "received", "decided", "relayed"

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Led:
    """An input and what it led to."""

    input: JournalRow
    events: Sequence[LedgerRow]
    """All of them, in order; at least one."""
    relayed: Mapping[int, datetime]
    """When Kafka had acknowledged each position; one that is missing has not been yet."""


@dataclass(frozen=True, slots=True)
class Link:
    """Another trace that has to do with a span: the upstream's own."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Span:
    """One span, in OpenTelemetry's words: ids in hex, times aware."""

    trace_id: str
    """The complaint's id."""
    span_id: str
    parent_id: str
    """Empty for what nobody of ours caused."""
    name: str
    service: str
    started_at: datetime
    ended_at: datetime
    attributes: Mapping[str, Value]
    of_input: bool
    """Whether it is an input's (a consumer's span), or an event's (a producer's)."""
    failed: bool = False
    """Whether the input could not be decided."""
    times: Mapping[str, datetime] = field(default_factory=dict)
    """Of an input: when it was sent, received, decided and relayed, as far as it was."""
    links: Sequence[Link] = ()


def spans(service: str, generation: str, led: Iterable[Led]) -> list[Span]:
    """The spans of some inputs of a service and of their events, in order: each input, then its events."""
    return [span for one in led for span in _of(service, generation, one)]


def input_span_id(generation: str, service: str, shard: int, entry: int) -> str:
    """The span id of an input: derived from where it stands in the journal."""
    return span_id(f"{generation}/{service}/{shard}/journal/{entry}")


def _of(service: str, generation: str, led: Led) -> Iterable[Span]:
    row, first = led.input, led.events[0]
    trace_id = first.correlation.hex
    parent_id, links = _caused_by(row, trace_id)
    own_id = input_span_id(generation, service, row.shard, row.entry)
    times = _times(led)
    yield Span(
        trace_id, own_id, parent_id, f"{service} {_name(row)}", service, min(times.values()), max(times.values()), _about_input(row, first),
        of_input=True, failed=row.outcome == Outcome.PARKED, times=times, links=links,
    )  # fmt: skip
    for event in led.events:
        ident = event_id(generation, service, event.shard, event.position)
        ended_at = max(event.now, led.relayed.get(event.position, event.now))
        name = f"{service} {short_name(event.type)}"
        yield Span(trace_id, span_id(ident), own_id, name, service, event.now, ended_at, _about_event(event, ident), of_input=False)


def _times(led: Led) -> dict[str, datetime]:
    """In their order. Clocks of several machines are in them, so an earlier time may lie after a later one; it is taken for that one."""
    row = led.input
    received = min(row.received_at, row.now)
    sent = row.sent_at or received
    found = {SENT: min(sent, received), RECEIVED: received, DECIDED: row.now}
    last = led.events[-1].position
    if last in led.relayed:
        found[RELAYED] = max(led.relayed[last], row.now)
    return found


def _caused_by(row: JournalRow, trace_id: str) -> tuple[str, Sequence[Link]]:
    """The span of the event that led to an input, or the link to a trace that is not ours."""
    found = TRACEPARENT.fullmatch(text_headers(unpack_headers(row.headers)).get("traceparent", ""))
    if found and found[1] == trace_id:
        return found[2], ()
    links = (Link(found[1], found[2]),) if found else ()
    return (span_id(row.message_id) if event_place(row.message_id) else ""), links


def _name(row: JournalRow) -> str:
    """What kind of input it was: few different ones, so that traces can be searched by it."""
    if row.type == TimerDue.type:
        return "timer"
    if row.type not in COMMANDS and row.type not in EVENTS:  # what could not be decoded may call itself anything
        return "input"
    return f"hears {short_name(row.type)}" if row.type in EVENTS else short_name(row.type)


def _about_input(row: JournalRow, first: LedgerRow) -> Mapping[str, Value]:
    """Never what it said: that may be personal."""
    found: dict[str, Value] = {
        "makegood.outcome": row.outcome, "makegood.actor": first.actor, "makegood.shard": row.shard, "makegood.entry": row.entry,
        "makegood.type": row.type, "makegood.stream": str(first.stream), "makegood.stream.kind": first.kind, "makegood.policy": row.policy,
        "makegood.rules": row.rules,
    }  # fmt: skip
    if row.reason:
        found["makegood.reason"] = row.reason
    if row.topic:
        found |= {
            "messaging.system": "kafka", "messaging.operation.type": "process", "messaging.destination.name": row.topic,
            "messaging.destination.partition.id": str(row.partition), "messaging.kafka.offset": row.offset,
            "messaging.message.id": row.message_id,
        }  # fmt: skip
    return found


def _about_event(event: LedgerRow, ident: str) -> Mapping[str, Value]:
    return {
        "makegood.event.id": ident, "makegood.type": event.type, "makegood.stream": str(event.stream), "makegood.stream.kind": event.kind,
        "makegood.version": event.version, "makegood.shard": event.shard, "makegood.position": event.position,
    }  # fmt: skip
