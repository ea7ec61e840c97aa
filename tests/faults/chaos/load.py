"""The load: complaints at a steady rate, whatever happens, each step sent until Kafka or the console has answered for it."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
from aiokafka.errors import KafkaError

from shared.contract.envelope import SUBMISSIONS, command_headers, shard_of
from shared.kafka import Kafka
from shared.machine.relay import Outlet
from tests.faults.chaos.asking import Answers, ask
from tests.faults.chaos.fleet import SHARDS, Fleet
from tests.faults.chaos.plan import Asked, Sent, complaint

UNDER_WAY_MAX = 400
"""Complaints under way at a time: where nothing is answered, the rate falls."""
SEND_SECONDS = 20.0
RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A record that Kafka said it has."""

    topic: str
    partition: int
    offset: int
    body: bytes | None
    message_id: str


@dataclass
class Load:
    """What was sent and what was answered."""

    fleet: Fleet
    seed: int
    rate: float
    """Complaints a second."""
    run: str = field(default_factory=lambda: uuid4().hex[:8])
    acknowledged: list[Acknowledged] = field(default_factory=list)
    answers: dict[str, Answers] = field(default_factory=dict)
    """By the request's key."""
    submitted: set[UUID] = field(default_factory=set)
    """The complaints of which Kafka or the console said that it has them."""
    counts: Counter[str] = field(default_factory=Counter)
    stopping: bool = False
    _goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    _steps: int = 0
    """Under way."""
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether there are none."""
    _lives: set["asyncio.Task[None]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._goes_on.set()
        self._idle.set()

    async def pause(self, seconds: float) -> bool:
        """Asks nothing more for now; whether all that was asked was answered in time."""
        self._goes_on.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        return not self._steps

    def go_on(self) -> None:
        self._goes_on.set()

    async def send(self) -> None:
        """Begins complaints until told to stop."""
        began, number = time.monotonic(), 0
        outlet = Outlet(Kafka(self.fleet.kafka))
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # a pool loses places when servers die under it
        try:
            async with httpx.AsyncClient(timeout=8.0, trust_env=False, limits=limits) as client:
                while not self.stopping:
                    await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
                    if len(self._lives) >= UNDER_WAY_MAX:
                        await asyncio.wait(self._lives, return_when=asyncio.FIRST_COMPLETED)
                        began = time.monotonic() - number / self.rate
                    number += 1
                    life = asyncio.create_task(self._live(number, outlet, client))
                    self._lives.add(life)
                    life.add_done_callback(self._lives.discard)
                    if life.done() and life.exception():
                        raise life.exception()
                await self._end()
        finally:
            for life in self._lives:
                life.cancel()
            await outlet.close()

    async def _end(self) -> None:
        if self._lives:
            done, _ = await asyncio.wait(self._lives)
            for life in done:
                life.result()

    async def _live(self, number: int, outlet: Outlet, client: httpx.AsyncClient) -> None:
        for step in complaint(self.seed, number, self.run, SHARDS).steps:
            await self._goes_on.wait()
            if self.stopping:
                return
            self._steps += 1
            self._idle.clear()
            try:
                await (self._to_kafka(step, outlet) if isinstance(step, Sent) else self._over_http(step, client))
            finally:
                self._steps -= 1
                if not self._steps:
                    self._idle.set()
        self.counts["complaints"] += 1

    async def _to_kafka(self, step: Sent, outlet: Outlet) -> None:
        """Until it is acknowledged: a record may reach Kafka twice so, under the same id."""
        headers = command_headers(
            step.type, step.message_id, stream=step.stream, source="/chaos", actor="person:anna", sent_at=datetime.now(UTC).isoformat()
        )
        shard = None if step.stream is None else shard_of(step.stream, SHARDS)
        partition = shard if step.partition is None else step.partition
        producer = None
        while True:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    producer = await outlet.producer()
                    told = await producer.send_and_wait(step.topic, step.body, key=step.key, partition=partition, headers=headers)
            except (KafkaError, OSError, TimeoutError):
                self.counts["sent again"] += 1
                await asyncio.sleep(RETRY_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(SEND_SECONDS):
                        await outlet.producer(broken=producer)
            else:
                self.counts["records acknowledged"] += 1
                if step.topic == SUBMISSIONS and step.stream is not None:
                    self.submitted.add(step.stream)
                if told.offset >= 0:  # a retry that the broker knew already tells no place
                    self.acknowledged.append(Acknowledged(told.topic, told.partition, told.offset, step.body, step.message_id))
                return

    async def _over_http(self, step: Asked, client: httpx.AsyncClient) -> None:
        answers = self.answers[step.key] = Answers(step)
        await ask(client, self.fleet.consoles, answers, lambda: self.stopping)
        self.counts["asked over HTTP"] += 1
        if step.is_submission and answers.told:
            self.submitted.add(step.stream)
