"""Feeding a sample: each message goes out when what it needs has been heard, thousands of complaints at once, a bounded number.

Whatever is killed meanwhile, the sample goes on: what was not answered for a while is sent again, the same message with the same body,
and the services answer it once. The sample begins with its first complaint, which has no times in it; when that was received is the
moment from which all other times are counted, so that a second run of the same seed says the same to the byte.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import httpx
from aiokafka import TopicPartition
from pydantic_core import from_json

from deploy.feed.listener import Listener
from deploy.feed.sender import Outgoing, Sender
from deploy.local.stack import Stack
from deploy.sample.past import heard_in, position_of, recalled, said_at
from deploy.sample.paths import script_of, submission_of
from deploy.sample.problems import problem_scripts
from deploy.sample.prompter import Heard, Message, Prompter
from deploy.sample.scripts import Script
from deploy.sample.summary import WHERES, Summary
from shared.contract.envelope import SERVICES, SUBMISSIONS, command_headers, event_place, events_topic, key_of, shard_of, text_headers
from shared.contract.intake import ComplaintReceived
from shared.contract.machine import MessageRepeated
from shared.contract.said import short_name

SOURCE = "/sample"
WORKED_MAX = 2_000
"""Scripts under way, at most, where people work them."""
SUBMITTED_MAX = 10_000
"""Submissions under way, at most, where nobody does."""
BEGUN_MAX = 200
"""Scripts begun between two looks at what was said."""
AGAIN_SECONDS = 20.0
"""After so long without an answer, a message is sent again."""
LOOK_SECONDS = 1.0
"""How often it is looked what is late."""
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands for a time in what has none."""

FIRST_COMPLAINTS = 500
FIRST_SEED = 1
CAUGHT_UP_SECONDS = 30.0
"""How long the console may take to show all that was said."""
POLL_SECONDS = 0.1
"""How often it is asked whether it does."""

Progress = Callable[[int], None]
"""Is told how many complaints are through."""


class SeedIsUsed(ValueError):
    """The seed's first complaint is known, and not as this sample tells it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is fed, and where to."""

    kafka: str
    complaints: int
    seed: int
    worked: bool = True
    """Whether people work the complaints; otherwise they are only submitted."""
    rate: float | None = None
    """Complaints a second, at most."""
    timeout_seconds: float = 120.0
    """How long to wait while no answer comes at all."""


async def feed(terms: Terms, progress: Progress = lambda _: None) -> Summary:
    """Feeds a sample and follows it to its end; `unanswered` in the summary says how much got no answer in time.

    Raises:
        KafkaConnectionError: where nobody answers at the start.
        LookupError: where Kafka has no such topics.
        SeedIsUsed: where another seed must be chosen.
        TimeoutError: where not even the first complaint is answered.
    """
    began = time.monotonic()
    async with Sender(terms.kafka) as sender:
        places = [(topic, await sender.partitions(topic)) for topic in map(events_topic, SERVICES)]
        shards = await sender.partitions(SUBMISSIONS)
        async with Listener(terms.kafka, places) as listener:
            run = _Feed(terms, sender, listener, shards, progress)
            await run.run()
    run.summary.seconds = time.monotonic() - began
    return run.summary


class _Feed:
    """One run."""

    def __init__(self, terms: Terms, sender: Sender, listener: Listener, shards: int, progress: Progress) -> None:
        self.terms, self.sender, self.listener, self.shards, self.progress = terms, sender, listener, shards, progress
        self.ends: Mapping[TopicPartition, int] = dict(listener.places)
        self.prompter = Prompter(terms.seed)
        self.most = WORKED_MAX if terms.worked else SUBMITTED_MAX
        self.begun = 0
        self.sent_at: dict[str, float] = {}
        self.sending: set[str] = set()
        """The messages that are being handed over."""
        self.answered, self.answered_at, self.looked_at = 0, time.monotonic(), time.monotonic()
        self.positions: dict[TopicPartition, int] = {}

    @property
    def summary(self) -> Summary:
        """The counts."""
        return self.prompter.summary

    async def run(self) -> None:
        """From the first complaint until all scripts have ended, or there has been no answer for too long."""
        now, first = await self._opened()
        scripts = self._scripts(now)
        await self._begin_first(scripts, first)
        with suppress(TimeoutError):
            await self._go_on(scripts)
        self.summary.unanswered = len(self.prompter.running)
        self.summary.unacknowledged = len({message.id for message in self.prompter.unanswered()} & self._unacknowledged())

    # ---- the beginning -----------------------------------------------------------------------------------------------------

    def _script(self, number: int, now: datetime) -> Script:
        return script_of(self.terms.seed, number, now) if self.terms.worked else submission_of(self.terms.seed, number, now)

    def _scripts(self, now: datetime) -> Iterator[Script]:
        for number in range(self.terms.complaints):
            if self.terms.worked:
                yield from problem_scripts(self.terms.seed, number, now)
            yield self._script(number, now)

    async def _opened(self) -> tuple[datetime, Heard]:
        """The first complaint, told: when it was received, now or in an earlier run, and the answer of now."""
        [message] = Prompter(self.terms.seed).begin(self._script(0, BEGINNING))
        await self._send([message])
        meanwhile: list[Heard] = []
        while not (answers := [heard for heard in meanwhile if heard.cause == message.id]):
            if self._is_silent():
                raise TimeoutError
            if time.monotonic() - self.sent_at[message.id] > AGAIN_SECONDS:
                await self._send([message])
            meanwhile += await self._heard()
        answer = answers[0]
        if answer.type == ComplaintReceived.type:
            return _received_at(answer), answer
        if answer.type != MessageRepeated.type:
            raise SeedIsUsed(f"the first complaint of seed {self.terms.seed} gave {short_name(answer.type)}: choose another seed")
        return await self._recalled(answer, meanwhile), answer

    async def _recalled(self, repeated: Heard, meanwhile: Iterable[Heard]) -> datetime:
        """When an earlier run began. What was said in it, and since this one began, is told to the prompter."""
        place = event_place(repeated.id)
        assert place is not None, "what is heard is an event"
        now = _received_at(await said_at(self.terms.kafka, place.service, place.shard, from_json(repeated.body)["first_position"]))
        if self.terms.worked:
            async for heard in recalled(self.terms.kafka, int(now.timestamp() * 1000), self.ends):
                self.prompter.recalled(heard)
            for heard in meanwhile:
                self.prompter.recalled(heard)
        return now

    async def _begin_first(self, scripts: Iterator[Script], first: Heard) -> None:
        """The scripts until the first complaint's, whose first line is answered."""
        for script in scripts:
            messages = self.prompter.begin(script)
            if first.cause not in {message.id for message in messages}:
                await self._send(messages)
                continue
            self.begun = 1
            await self._send(self.prompter.hear(first))
            return

    def _unacknowledged(self) -> set[str]:
        """The messages of which nobody knows whether Kafka has them."""
        return self.sending.union(text_headers(record.headers)["ce_id"] for record in self.sender.unacknowledged)

    # ---- going on ----------------------------------------------------------------------------------------------------------

    async def _go_on(self, scripts: Iterator[Script]) -> None:
        """Until all scripts have ended, or there has been no answer for too long."""
        began = time.monotonic()
        while not self._is_silent():
            await self._begin(scripts, began)
            if not self.prompter.running and self.begun >= self.terms.complaints:
                return
            for heard in await self._heard():
                await self._send(self.prompter.hear(heard))
            await self._look()

    async def _begin(self, scripts: Iterator[Script], began: float) -> None:
        """As many more as may be under way, and as the rate allows."""
        room = min(BEGUN_MAX, self.most - len(self.prompter.running))
        if self.terms.rate is not None:
            room = min(room, int((time.monotonic() - began) * self.terms.rate) + 1 - self.begun)
        if room > 0 and not self.prompter.running:
            self.answered_at = time.monotonic()
        for script in islice(scripts, max(0, room)):
            self.begun += bool(script.reaches)
            await self._send(self.prompter.begin(script))

    async def _heard(self) -> list[Heard]:
        """The events that were said since, each once."""
        found = []
        for record in await self.listener.heard():
            headers = text_headers(record.headers)
            heard = heard_in(headers, record.value)
            if self._is_new(TopicPartition(record.topic, record.partition), position_of(headers)) and heard is not None:
                found.append(heard)
        return found

    def _is_new(self, partition: TopicPartition, position: int) -> bool:
        """Whether it is not one that a relay sent before."""
        if position <= self.positions.get(partition, 0):
            return False
        self.positions[partition] = position
        return True

    async def _send(self, messages: Sequence[Message]) -> None:
        """Hands them over. Raises TimeoutError where Kafka is away for too long."""
        self.sending.update(message.id for message in messages)
        for message in messages:
            self.sent_at[message.id] = time.monotonic()
            async with asyncio.timeout(self.terms.timeout_seconds):
                await self.sender.send(outgoing(message, self.shards))
            self.sending.discard(message.id)

    async def _look(self) -> None:
        """Now and then: what has waited for too long is sent again; what is not acknowledged, the sender sends again by itself."""
        now = time.monotonic()
        if (answered := self.summary.answered) != self.answered:
            self.answered, self.answered_at = answered, now
        if now - self.looked_at < LOOK_SECONDS:
            return
        self.looked_at = now
        self.progress(self.summary.complaints)
        waiting = self.prompter.unanswered()
        self.sent_at = {message.id: self.sent_at[message.id] for message in waiting}
        held = self._unacknowledged()
        await self._send([message for message in waiting if now - self.sent_at[message.id] > AGAIN_SECONDS and message.id not in held])

    def _is_silent(self) -> bool:
        return time.monotonic() - self.answered_at > self.terms.timeout_seconds


def outgoing(message: Message, shards: int) -> Outgoing:
    """A message as a record. One that its upstream keys in its own way goes where that leads."""
    keyed = message.key == key_of(message.stream)
    headers = command_headers(
        message.type, message.id, stream=message.stream if keyed else None, source=SOURCE, actor=message.actor,
        sent_at=datetime.now(UTC).isoformat(),
    )  # fmt: skip
    return Outgoing(message.topic, message.key, message.body, headers, shard_of(message.stream, shards) if keyed else None)


def _received_at(heard: Heard) -> datetime:
    return datetime.fromisoformat(from_json(heard.body)["received_at"])


# ---- what an installation begins with --------------------------------------------------------------------------------------


def first_sample(stack: Stack, progress: Progress = lambda _: None) -> Summary:
    """The complaints that a new installation begins with: all stages, some refusals, a conflict, an input that can't be read.

    Returns when everything is answered and the console shows it, or is slow to show it.

    Args:
        stack: Where everything is.
        progress: Is told now and then how many complaints are through.

    Raises:
        TimeoutError: where answers do not come. Called again, it goes on from there.
        KafkaConnectionError, LookupError, SeedIsUsed: as `feed` does.
    """
    return asyncio.run(_first(stack, progress))


async def _first(stack: Stack, progress: Progress) -> Summary:
    summary = await feed(Terms(stack.kafka, FIRST_COMPLAINTS, FIRST_SEED), progress)
    if summary.unanswered:
        raise TimeoutError(f"{summary.unanswered} complaints got no answer")
    await shown(stack.console_url, summary)
    return summary


async def shown(console: str, summary: Summary) -> bool:
    """Waits until the console shows as much as was fed. Returns whether it does, in time."""
    deadline = time.monotonic() + CAUGHT_UP_SECONDS
    async with httpx.AsyncClient(base_url=console, timeout=CAUGHT_UP_SECONDS, trust_env=False) as client:
        while time.monotonic() < deadline:
            try:
                counts = (await client.get("/api/counts")).raise_for_status().json()
            except httpx.HTTPError:
                counts = None
            if counts and is_shown(counts, summary):
                return True
            await asyncio.sleep(POLL_SECONDS)
    return False


def is_shown(counts: Mapping[str, object], summary: Summary) -> bool:
    """Whether these counts hold the whole sample: on a new installation, that they are just as many."""
    stages = counts["by_stage"]
    assert isinstance(stages, Mapping), "stages are counted by name"
    return all(stages[where] >= summary.stages[where] for where in WHERES)
