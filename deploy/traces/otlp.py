"""Spans, sent over OTLP/HTTP."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from deploy.traces.export import NotTaken
from shared.machine.traces import Span

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCOPE = InstrumentationScope("makegood.ledger", "1")
SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Sender:
    """Sends spans to one place."""

    def __init__(self, address: str, generation: str) -> None:
        """`address`: as in http://127.0.0.1:4318/v1/traces."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what fails is told once, by us
        self._address, self._generation = address, generation
        self._exporter = OTLPSpanExporter(endpoint=address)
        self._resources: dict[str, Resource] = {}

    def send(self, spans: Sequence[Span]) -> None:
        """Blocks until they are taken. Raises NotTaken."""
        if self._exporter.export([self._readable(span) for span in spans]) is not SpanExportResult.SUCCESS:
            raise NotTaken(f"nobody took the traces at {self._address}")

    def close(self) -> None:
        """No more is sent."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the library has no type for it

    def _readable(self, span: Span) -> ReadableSpan:
        status = Status(StatusCode.ERROR, str(span.attributes.get("makegood.reason", ""))) if span.failed else Status(StatusCode.UNSET)
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource(span.service),
            attributes=span.attributes,
            events=[Event(name, timestamp=nanoseconds(at)) for name, at in span.times.items()],
            links=[Link(_context(link.trace_id, link.span_id)) for link in span.links],
            kind=SpanKind.CONSUMER if span.of_input else SpanKind.PRODUCER,
            status=status,
            start_time=nanoseconds(span.started_at),
            end_time=nanoseconds(span.ended_at),
            instrumentation_scope=SCOPE,
        )

    def _resource(self, service: str) -> Resource:
        if service not in self._resources:
            about = {"service.name": service, "service.namespace": "makegood", "makegood.generation": self._generation}
            self._resources[service] = Resource(about)
        return self._resources[service]


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=SAMPLED)


def nanoseconds(at: datetime) -> int:
    """Since 1970, exactly: a float would lose the microseconds."""
    since = at - EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
