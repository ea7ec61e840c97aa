"""`given(past).when(command).then(events)`: how a mind is told what happened, asked something, and held to its answer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from shared.contract.refusals import Refusal, Rule
from shared.contract.said import Command, Event
from shared.machine.mind import Context, Stream
from shared.policy.loader import shipped

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
POLICY = shipped()
COMPLAINT = UUID("9b1f2c1e-6f0a-5d43-8d3c-6f0a1c2d3e4f")
ACTOR = "person:ines"


def context(kind: str = "", stream: UUID = COMPLAINT, version: int = 1, actor: str = ACTOR, now: datetime = NOW) -> Context:
    return Context(now=now, policy=POLICY, actor=actor, kind=kind, stream=stream, version=version, input_id="test")


def fold(stream: Stream, past: Iterable[Event]):
    state = stream.initial
    for event in past:
        state = stream.evolve(state, event)
    return state


@dataclass(frozen=True)
class Given:
    """A past; `when` says what is asked then, by whom and at what time."""

    find: Callable[[str], Stream]
    """The stream of a kind."""
    past: tuple[Event, ...]
    command: Command | None = None
    context: Context = context()  # noqa: RUF009 - it is frozen
    ids: Mapping[str, UUID] = field(default_factory=dict)
    """The id of a stream of a kind, where it is not the complaint's."""

    def when(self, command: Command, **told) -> "Given":
        """`told`: what of the context is other than usual: `now`, `actor`, `stream`."""
        where = {"kind": command.stream, "stream": self.ids.get(command.stream, self.context.stream)}
        return replace(self, command=command, context=self.context._replace(**where | told))

    @property
    def decided(self):
        """What the mind said: the events, or the refusal."""
        stream = self.find(self.command.stream)
        return stream.decide(fold(stream, self.past), self.command, self.context)

    def then(self, *events: Event) -> None:
        assert not isinstance(self.decided, Refusal), self.decided
        assert list(self.decided) == list(events)

    def then_refused(self, rule: Rule) -> Refusal:
        assert isinstance(self.decided, Refusal), self.decided
        assert self.decided.rule is rule
        assert self.decided.sentence
        return self.decided
