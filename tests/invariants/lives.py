"""All complaints' pasts, as the services' ledgers tell them, each event held against what came before it."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from shared.contract import intake, resolution, rootcause
from shared.contract.envelope import is_requested
from shared.contract.machine import MACHINE_EVENTS
from shared.contract.said import Event
from shared.contract.upcasts import read_event
from shared.machine.bytes import LedgerRow
from shared.machine.mind import Mind
from shared.policy.model import Policy
from tests.invariants import case, learning
from tests.invariants.complaint import Past


class Decided(NamedTuple):
    """What one input led to, on one stream."""

    kind: str
    stream: UUID
    events: Sequence[Event]
    """In order, without the machine's own."""
    now: datetime
    """When it was decided."""
    policy: Policy
    """The one that was in force."""


class Lives:
    """What happened so far. A service may be told of before another whose facts it hears, and never after."""

    def __init__(self) -> None:
        self._pasts: dict[tuple[str, UUID], Any] = {}

    def tell(self, mind: Mind, rows: Sequence[LedgerRow], policy: Policy) -> None:
        """One input's rows of a ledger, and the policy that was in force. Raises as `go_on` does."""
        events: dict[tuple[str, UUID], list[Event]] = defaultdict(list)
        for row in rows:
            if row.type not in MACHINE_EVENTS and not is_requested(row.type):
                events[row.kind, row.stream].append(read_event(row.type, row.body, mind.events))
        for (kind, stream), of_stream in events.items():
            self.go_on(Decided(kind, stream, of_stream, rows[0].now, policy))

    def go_on(self, decided: Decided) -> None:
        """Raises AssertionError where an invariant does not hold; it tells which."""
        past = self._past(decided.kind, decided.stream)
        for event in decided.events:
            try:
                self._may_go_on(past, event, decided)
            except AssertionError as error:
                raise AssertionError(f"{decided.kind} {decided.stream}: {event.type} may not follow: {error}") from error
            past.append(event)

    def _past(self, kind: str, stream: UUID) -> Any:
        return self._pasts.setdefault((kind, stream), Past() if kind == "complaint" else [])

    def _may_go_on(self, past: Any, event: Event, decided: Decided) -> None:
        match decided.kind:
            case "complaint":
                past.may_go_on(event, decided.now, decided.policy)
            case "case":
                case.may_go_on(past, event, decided.events, decided.now, decided.policy)
            case "learning" | "problem":
                learning.may_go_on(past, event)
            case _:
                raise AssertionError(f"nothing says what must hold on a {decided.kind}: let tests/invariants say it")
        match event:
            case resolution.CaseOpened(generation=generation) | resolution.CaseReopened(generation=generation):
                assert self._was("complaint", decided.stream, intake.ComplaintOwned, generation), "1: no fix before ownership"
            case rootcause.LearningOpened(trigger="delivered", generation=generation):
                assert self._was("case", decided.stream, resolution.Delivered, generation), "1: no learning before delivery"
            case rootcause.LearningOpened(generation=generation):
                assert self._was("complaint", decided.stream, intake.ComplaintWithdrawn, generation), "1: nor before it is withdrawn"
            case _:
                pass

    def _was(self, kind: str, stream: UUID, event: type[Event], generation: int) -> bool:
        return any(isinstance(one, event) and one.generation == generation for one in self._past(kind, stream))  # type: ignore[attr-defined]
