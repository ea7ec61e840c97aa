"""A trace as text: what was asked, and beneath it all that came of it, each with a bar for its time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.cli import output
from shared.machine.head import Outcome
from shared.machine.traces import DECIDED, RECEIVED, RELAYED, SENT, Span

PLAIN_COLUMNS = 120
"""Where no terminal says how wide it is."""
SERVICE_COLUMNS = 10
TOOK_COLUMNS = 10
BAR_COLUMNS_MIN, BAR_COLUMNS_MAX = 12, 48
"""Of a bar, in characters."""
WAITS, WORKS = "░", "█"
LEGEND = f"{WAITS} on its way in Kafka   {WORKS} decided, committed and relayed"
WENT_WELL = frozenset({Outcome.ACCEPTED, Outcome.PASSED_ON, Outcome.REPEATED})
"""Of an input: nothing was against it."""
APART = timedelta(seconds=1)
"""A longer silence is told."""


def draw(spans: Sequence[Span]) -> None:
    """Prints a trace, on one scale. Each thing that was asked begins at the left: a complaint lasts for days, an answer milliseconds."""
    inputs = [span for span in spans if span.of_input]
    events: dict[str, list[Span]] = {}
    caused: dict[str, list[Span]] = {}
    known = {span.span_id: span for span in spans}
    for span in spans:
        if not span.of_input:
            events.setdefault(span.parent_id, []).append(span)
    for span in inputs:
        by = known.get(span.parent_id)
        caused.setdefault(by.parent_id if by else "", []).append(span)
    blocks = [list(_lines(root, events, caused, 0)) for root in caused.get("", [])]
    shape = _Shape.of(blocks)
    before: datetime | None = None
    for lines in blocks:
        root = lines[0].span
        if before is not None and root.started_at - before > APART:
            output.show(f"… {_long(root.started_at - before)} later", style="dim")
        output.show(f"{output.moment(root.started_at, precise=True)}  {root.attributes['makegood.actor']}", style="bold")
        for line in lines:
            _draw_line(line, root.started_at, shape)
        before = _end(lines)


@dataclass(frozen=True, slots=True)
class _Line:
    depth: int
    span: Span
    words: str


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the room is shared between words and bars, and how long the longest bar lasts."""

    words: int
    bar: int
    longest: timedelta

    @classmethod
    def of(cls, blocks: Sequence[Sequence[_Line]]) -> "_Shape":
        columns = output.out().width if output.on_terminal() else PLAIN_COLUMNS
        room = columns - SERVICE_COLUMNS - TOOK_COLUMNS - 5
        words = min(max(len(line.words) for lines in blocks for line in lines), room - BAR_COLUMNS_MIN)
        longest = max(_end(lines) - lines[0].span.started_at for lines in blocks)
        return cls(words, min(room - words, BAR_COLUMNS_MAX), max(longest, timedelta(microseconds=1)))


def _end(lines: Sequence[_Line]) -> datetime:
    return max(line.span.ended_at for line in lines)


def _lines(root: Span, events: Mapping[str, Sequence[Span]], caused: Mapping[str, Sequence[Span]], depth: int) -> list[_Line]:
    found = [_Line(depth, root, "  " * depth + _said(root, events.get(root.span_id, ())))]
    for child in caused.get(root.span_id, ()):
        found += _lines(child, events, caused, depth + 1)
    return found


def _said(span: Span, events: Sequence[Span]) -> str:
    asked = _short(span)
    outcome = str(span.attributes["makegood.outcome"])
    if outcome == Outcome.PASSED_ON:
        return f"{asked} → passed on to its own shard"
    if outcome in WENT_WELL:
        return f"{asked} → {', '.join(map(_short, events))}"
    why = str(span.attributes.get("makegood.reason", ""))
    return f"{asked} ✗ {why}" if outcome == "refused" else f"{asked} ✗ {outcome} {why}".rstrip()


def _short(span: Span) -> str:
    return span.name.partition(" ")[2]


def _draw_line(line: _Line, start: datetime, shape: _Shape) -> None:
    span, words = line.span, line.words
    cut = words if len(words) <= shape.words else words[: shape.words - 1] + "…"
    took = f"{_milliseconds(span.ended_at - span.started_at):.1f} ms"
    style = "" if span.attributes["makegood.outcome"] in WENT_WELL else "yellow"
    output.show(f"  {span.service:{SERVICE_COLUMNS}} {cut:{shape.words}} {_bar(span, start, shape)} {took:>{TOOK_COLUMNS}}", style=style)


def _bar(span: Span, start: datetime, shape: _Shape) -> str:
    def column(at: datetime) -> int:
        return min(shape.bar - 1, int((at - start) / shape.longest * shape.bar))

    began, works, ended = column(span.times[SENT]), column(span.times[RECEIVED]), column(span.times.get(RELAYED, span.times[DECIDED]))
    return (" " * began + WAITS * (works - began) + WORKS * (ended + 1 - works)).ljust(shape.bar)


def _milliseconds(took: timedelta) -> float:
    return took.total_seconds() * 1000


def _long(took: timedelta) -> str:
    seconds = int(took.total_seconds())
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    parts = [f"{days} d"] * bool(days) + [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes and not days)
    return " ".join(parts) or f"{seconds} s"
