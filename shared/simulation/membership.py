"""A simulated consumer's side of its group: joining, being given a share, being heard of. As aiokafka's coordinator goes about it."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    CommitFailedError,
    GroupCoordinatorNotAvailableError,
    IllegalGenerationError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
    RebalanceInProgressError,
    RequestTimedOutError,
    UnknownMemberIdError,
)
from aiokafka.structs import TopicPartition

from shared.simulation.coordinator import Joined, MustName
from shared.simulation.network import Line

if TYPE_CHECKING:
    from shared.simulation.consumer import Consumer

NOT_HEARD = (KafkaConnectionError, NodeNotReadyError, RequestTimedOutError)
"""Nobody answered."""
NOT_HERE = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError)
NO_GENERATION = -1

log = structlog.get_logger()


class Membership:
    """One consumer's."""

    def __init__(
        self, consumer: "Consumer", group: str, assignor: Any, line: Line, *, name: str, session_seconds: float, rebalance_seconds: float,
        heartbeat_seconds: float, topics_seconds: float,
    ) -> None:  # fmt: skip
        """`assignor`: says who gets what, where this one leads; `line`: for what concerns the group.

        `name`: its own, or empty; who has one stays a member when it stops. `topics_seconds`: how old what is known of topics may be.
        """
        self.name = name
        self._topics_seconds = topics_seconds
        self._shared_out: dict[str, int] | None = None
        """Where this one leads: how many partitions there were of each topic."""
        self._looking: asyncio.Task[None] | None = None
        self.line = line
        self.generation, self.ident = NO_GENERATION, ""
        self._consumer, self._group, self._assignor = consumer, group, assignor
        self._session_seconds, self._rebalance_seconds, self._heartbeat_seconds = session_seconds, rebalance_seconds, heartbeat_seconds
        self._loop = consumer.loop
        self._is_known = self._is_closing = self._is_prepared = False
        self._must_join = False
        self._error: KafkaError | None = None
        self._finding, self._committing = asyncio.Lock(), asyncio.Lock()
        self._stirred = asyncio.Event()
        self._coordinating: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to join."""
        self._coordinating = asyncio.create_task(self._coordinate())

    async def stop(self) -> None:
        """Ends what is under way, and leaves."""
        if self._is_closing:
            return
        self._is_closing, self._shared_out = True, None
        self._stirred.set()
        if self._coordinating is not None and not self._coordinating.done():
            await self._coordinating
        await self._stop_beating()
        if self.generation > 0 and not self.name:
            with suppress(KafkaError):
                await self._ask("leave", self.ident)
        self._forget()

    async def give_up(self) -> None:
        """Ends without a word."""
        self._is_closing = True
        tasks = [task for task in (self._coordinating, self._beating) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check(self) -> None:
        """Raises what keeps it from going on, once; then it tries again."""
        if self._coordinating is not None and self._coordinating.done():
            self._coordinating.result()
        error, self._error = self._error, None
        if error is not None:
            self._stirred.set()
            raise error

    # ---- the broker --------------------------------------------------------------------------------------------------------

    async def _ask(self, what: str, *args: Any) -> Any:
        if not self._is_known:
            raise GroupCoordinatorNotAvailableError
        try:
            return await self.line.ask(self._consumer.broker.ask_group, self._group, what, *args)
        except NOT_HEARD:
            self._lost()
            raise

    def _lost(self) -> None:
        self._is_known = False
        self._stirred.set()

    def _forget(self) -> None:
        self.generation, self.ident = NO_GENERATION, ""
        self._rejoin()

    def _rejoin(self) -> None:
        self._must_join = True
        self._stirred.set()

    async def _find(self) -> None:
        """Finds who coordinates."""
        if self._is_known:
            return
        async with self._finding:
            while not self._is_known and not self._is_closing:
                try:
                    await self._consumer.line.ask(self._consumer.broker.find_coordinator)
                    await self.line.connect()
                except KafkaError:
                    await asyncio.sleep(self._consumer.backoff)
                else:
                    self._is_known = True

    # ---- joining -----------------------------------------------------------------------------------------------------------

    async def _coordinate(self) -> None:
        while not self._is_closing:
            await self._find()
            if self._must_join or self._consumer.assigned is None:
                try:
                    has_joined = await self._join()
                except KafkaError as error:
                    self._error = error
                    self._consumer.abort(error)
                    await self._until(lambda: self._error is None)
                    continue
                if not has_joined:
                    await asyncio.sleep(self._consumer.backoff)
                continue
            await self._until(lambda: self._must_join or not self._is_known)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not self._is_closing and not holds():
            self._stirred.clear()
            await self._stirred.wait()

    async def _join(self) -> bool:
        """Whether it was given a share."""
        consumer = self._consumer
        if not self._is_prepared:
            consumer.is_reassigning, self._shared_out = True, None
            await self._tell("on_partitions_revoked", consumer.assignment())
            self._is_prepared = True
        await self._stop_beating()
        try:
            joined = await self._join_generation()
            share = await self._sync(joined) if joined is not None else None
        except NOT_HEARD:
            return False
        if share is None:
            return False
        was_given_before = consumer.assigned is not None
        consumer.give(TopicPartition(*place) for place in share)
        if was_given_before:
            await asyncio.sleep(0)  # readers may be served before whoever listens is told
        await self._tell("on_partitions_assigned", consumer.assignment())
        self._is_prepared = False
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())
        return True

    async def _tell(self, what: str, places: set[TopicPartition]) -> None:
        if self._consumer.listener is None:
            return
        try:
            told = getattr(self._consumer.listener, what)(places)
            if inspect.isawaitable(told):
                await told
        except Exception as error:
            log.exception("listener_failed", what=what, error=repr(error))

    async def _join_generation(self) -> Joined | None:
        while True:
            try:
                joined: Joined = await self._ask(
                    "join", self.ident, self.name, self._consumer.topics, (self._session_seconds, self._rebalance_seconds)
                )
            except MustName as told:
                self.ident = told.ident
            except UnknownMemberIdError:
                self._forget()
                return None
            except NOT_HERE:
                self._lost()
                return None
            else:
                self.ident, self.generation = joined.member, joined.generation
                return joined

    async def _sync(self, joined: Joined) -> Sequence[tuple[str, int]] | None:
        given = self._share_out(joined.members) if joined.leads else None
        self._must_join = False
        try:
            share: Sequence[tuple[str, int]] = await self._ask("sync", self.ident, self.generation, given)
        except NOT_HEARD:
            self._rejoin()
            raise
        except RebalanceInProgressError:
            self._rejoin()
        except (UnknownMemberIdError, IllegalGenerationError):
            self._forget()
        except NOT_HERE:
            self._rejoin()
            self._lost()
        else:
            self.ident, self.generation = joined.member, joined.generation
            return share
        return None

    def _share_out(self, members: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[str, int]]]:
        self._shared_out = {
            topic: len(self._consumer.broker.partitions_for_topic(topic) or ())
            for topic in sorted({topic for topics in members.values() for topic in topics})
        }
        self._loop.call_later(self._topics_seconds, self._look_again, self._shared_out)
        told = {member: self._assignor.metadata(topics) for member, topics in members.items()}
        given: Mapping[str, ConsumerProtocolMemberAssignment] = self._assignor.assign(self._consumer.broker, told)
        return {
            member: [(topic, partition) for topic, partitions in one.assignment for partition in partitions]
            for member, one in given.items()
        }

    def look_at_topics(self) -> None:
        """One of the topics may be gone. Whoever leads shares out anew when there are more of them, or fewer."""
        if self._shared_out is not None and not self._is_closing and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    def _look_again(self, shared_out: dict[str, int]) -> None:
        if shared_out is self._shared_out:
            self.look_at_topics()
            self._loop.call_later(self._topics_seconds, self._look_again, shared_out)

    async def _look(self) -> None:
        known = self._shared_out
        assert known is not None
        try:
            there = await self._consumer.line.ask(self._consumer.broker.metadata, list(known))
        except KafkaError:
            return
        if known is self._shared_out and known != {topic: there[topic][0] if topic in there else 0 for topic in known}:
            self._rejoin()

    # ---- being heard of ----------------------------------------------------------------------------------------------------

    async def _stop_beating(self) -> None:
        beating, self._beating = self._beating, None
        if beating is not None and not beating.done():
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        heard_at, pause = self._loop.time(), self._heartbeat_seconds
        while self.ident:
            await asyncio.sleep(pause)
            await self._find()
            began = self._loop.time()
            if await self._beat_once():
                heard_at = self._loop.time()
                pause = max(0.0, self._heartbeat_seconds - (heard_at - began))
            else:
                pause = self._consumer.backoff
            if self._loop.time() - heard_at > self._session_seconds:
                self._lost()

    async def _beat_once(self) -> bool:
        try:
            await self._ask("heartbeat", self.ident, self.generation)
        except RebalanceInProgressError:
            self._rejoin()
        except NOT_HERE:
            self._lost()
            return False
        except (IllegalGenerationError, UnknownMemberIdError):
            self._forget()
            return False
        except KafkaError:
            return False
        return True

    # ---- how far it is -----------------------------------------------------------------------------------------------------

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Raises CommitFailedError where the group has shared out anew."""
        while True:
            await self._find()
            try:
                async with self._committing:
                    await self._commit_once(offsets)
            except (UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError) as error:
                raise CommitFailedError("the group has already rebalanced") from error
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(self._consumer.backoff)
            else:
                return

    async def _commit_once(self, offsets: Mapping[TopicPartition, int]) -> None:
        if not offsets:
            return
        try:
            await self._ask("commit", self.ident, self.generation, offsets)
        except NOT_HERE:
            self._lost()
            raise
        except RebalanceInProgressError:
            self._rejoin()
            raise
        except (UnknownMemberIdError, IllegalGenerationError):
            self._forget()
            raise

    async def committed(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """How far the group is; nothing of those that nobody read."""
        while True:
            await self._find()
            try:
                found: Mapping[TopicPartition, int] = await self._ask("offsets", places)
            except KafkaError as error:
                if isinstance(error, NOT_HERE):
                    self._lost()
                if not error.retriable:
                    raise
                await asyncio.sleep(self._consumer.backoff)
            else:
                return found
