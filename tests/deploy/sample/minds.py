"""The three minds together in memory, without a machine: facts and commands lie on channels, and whose turn is next is up to the dice."""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import ValidationError

from deploy.sample.dice import Dice
from deploy.sample.prompter import Heard, Message, Prompter
from services.intake.mind import MIND as INTAKE
from services.resolution.mind import MIND as RESOLUTION
from services.rootcause.mind import MIND as ROOTCAUSE
from shared.contract.catalogue import service_of
from shared.contract.envelope import stream_id
from shared.contract.machine import CommandRefused, InputParked, MessageRepeated, NothingChanged, TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import Command, Event, decode
from shared.machine.mind import Context, Fact, Timer
from shared.policy.loader import shipped

MINDS = {mind.service: mind for mind in (INTAKE, RESOLUTION, ROOTCAUSE)}
POLICY = shipped()
BEGAN = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
TICK = timedelta(microseconds=100)
SOON = timedelta(minutes=5)
"""Timers due later than that are not waited for."""
PROMPTER = "prompter"


@dataclass
class Live:
    state: object
    version: int = 0
    timers: dict[str, Timer] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """Something that was said, with where it stands."""

    fact: Fact
    heard: Heard


class Together:
    """Decides what the prompter sends, tells each mind what the others say, and the prompter everything."""

    def __init__(self, seed=0, now=BEGAN):
        self.now, self.dice = now, Dice("turns", seed)
        self.streams: dict[tuple[str, str, UUID], Live] = {}
        self.channels: dict[tuple[str, str], deque] = {}
        self.answered: dict[str, bytes] = {}
        self.due: list[tuple[datetime, str, str, UUID, str, int]] = []
        self.said: list[Heard] = []
        self.unchanged: list[Heard] = []

    # ---- running -----------------------------------------------------------------------------------------------------------

    def run(self, prompter: Prompter, messages: Iterable[Message]) -> None:
        """Until nobody has anything to say any more and no timer is due soon."""
        self.send(messages)
        while True:
            ready = [channel for channel, waiting in self.channels.items() if waiting]
            if ready:
                channel = self.dice.pick(ready)
                self.turn(prompter, channel, self.channels[channel].popleft())
            elif not self.fire():
                return

    def send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            service = "intake" if message.topic == "complaints.submissions" else message.topic.split(".")[0]
            self.lay(PROMPTER, service, message)

    def lay(self, source: str, target: str, what: object) -> None:
        self.channels.setdefault((source, target), deque()).append(what)

    def turn(self, prompter: Prompter, channel: tuple[str, str], what) -> None:
        source, target = channel
        if target == PROMPTER:
            self.send(prompter.hear(what))
        elif source == PROMPTER:
            self.take(target, what)
        elif isinstance(what, Told):
            self.translate(target, source, what)
        else:
            self.ask(target, what.stream, what.command, "", "service:rootcause", internal=True)

    # ---- deciding ----------------------------------------------------------------------------------------------------------

    def take(self, service: str, message: Message) -> None:
        if message.id in self.answered:
            assert self.answered[message.id] == message.body, f"{message.id} has another body"
            kind = MINDS[service].commands[message.type].stream
            self.tell(service, kind, message.stream, MessageRepeated(command=message.type, entry=1, first_position=1, events=1), message.id)
            return
        try:
            command = decode(MINDS[service].commands[message.type], message.body)
        except ValidationError:
            shard = stream_id("shard", f"{service}/0")
            parked = InputParked(entry=1, topic="x", partition=0, offset=0, cause="undecodable", reason="it can't be read")
            self.tell(service, "shard", shard, parked, message.id)
            return
        self.answered[message.id] = message.body
        stream = MINDS[service].stream_of(command) or message.stream
        self.ask(service, stream, command, message.id, message.actor)

    def translate(self, service: str, source: str, told: Told) -> None:
        mind = MINDS[service]
        if told.fact.event.type not in mind.hears or source not in mind.hears_from:
            return
        command = mind.translate(told.fact)
        if command is not None:
            self.ask(service, told.fact.stream, command, told.heard.id, f"service:{source}", internal=True)

    def ask(self, service: str, stream: UUID, command: Command, cause: str, actor: str, *, internal: bool = False) -> None:
        mind, kind = MINDS[service], command.stream
        if isinstance(command, TimerDue):
            raise AssertionError("timers are fired")
        self.now += TICK
        live = self.live(service, kind, stream)
        if command.internal and not internal:
            self.refuse(service, stream, command, Refusal(Rule.NOT_FOR_YOU), cause)
            return
        context = Context(self.now, POLICY, actor, kind, stream, live.version + 1, cause)
        decided = mind.streams[kind].decide(live.state, command, context)
        if isinstance(decided, Refusal):
            assert not internal, f"our own fact was refused: {decided}"
            self.refuse(service, stream, command, decided, cause)
            return
        self.happen((service, kind, stream), decided, cause, actor)
        if not decided and not internal:
            self.tell(service, kind, stream, NothingChanged(command=command.type), cause)
            self.unchanged.append(self.said[-1])

    def refuse(self, service: str, stream: UUID, command: Command, refusal: Refusal, cause: str) -> None:
        refused = CommandRefused(command=command.type, rule=refusal.rule.code, why=refusal.sentence)
        self.tell(service, command.stream, stream, refused, cause)

    def happen(self, key: tuple[str, str, UUID], events: Iterable[Event], cause: str, actor: str) -> None:
        service, kind, stream = key
        mind, live = MINDS[service], self.live(service, kind, stream)
        for event in events:
            assert event.type in mind.events
            live.state = mind.streams[kind].evolve(live.state, event)
            heard = self.tell(service, kind, stream, event, cause)
            fact = Fact(event, stream, service, actor)
            for other in MINDS:
                if other != service:
                    self.lay(service, other, Told(fact, heard))
            for request in mind.react(fact):
                self.lay(service, service, request)
        wanted = dict(mind.streams[kind].timers(live.state))
        for name, timer in wanted.items():
            if live.timers.get(name) != timer:
                heapq.heappush(self.due, (timer.due_at, service, kind, stream, name, timer.generation))
        live.timers = wanted

    def tell(self, service: str, kind: str, stream: UUID, event: Event, cause: str) -> Heard:
        live = self.live(service, kind, stream)
        live.version += 1
        heard = Heard(cause, event.type, str(stream), event.to_bytes(), f"g1/{service}/0/{len(self.said) + 1}", self.now.isoformat())
        self.said.append(heard)
        self.lay(service, PROMPTER, heard)
        return heard

    def live(self, service: str, kind: str, stream: UUID) -> Live:
        if (service, kind, stream) not in self.streams:
            mind = MINDS[service]
            self.streams[service, kind, stream] = Live(None if kind == "shard" else mind.streams[kind].initial)
        return self.streams[service, kind, stream]

    # ---- the clock ---------------------------------------------------------------------------------------------------------

    def fire(self) -> bool:
        """The next timer that is due soon and still wanted."""
        while self.due and self.due[0][0] <= self.now + SOON:
            due_at, service, kind, stream, name, generation = heapq.heappop(self.due)
            live = self.live(service, kind, stream)
            if live.timers.get(name) != Timer(due_at, generation):
                continue
            self.now = max(self.now, due_at)
            command = TimerDue(timer=name, due_at=due_at, generation=generation)
            context = Context(self.now, POLICY, "clock", kind, stream, live.version + 1)
            decided = MINDS[service].streams[kind].decide(live.state, command, context)
            assert not isinstance(decided, Refusal)
            self.happen((service, kind, stream), decided, "", "clock")
            return True
        return False


def service(heard: Heard) -> str:
    return service_of(heard.type)
