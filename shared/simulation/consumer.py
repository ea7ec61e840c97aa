"""A simulated Kafka's consumer, as aiokafka's is to the machine: it fetches ahead, and what it fetched is lost where it was moved.

Where aiokafka surprises, this one does the same. See `getmany` for what is lost with an error, and `seek` for which error is whose.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalOperation,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    UnknownTopicOrPartitionError,
)
from aiokafka.util import commit_structure_validate

from shared.kafka import AnotherCluster, Kafka
from shared.simulation.fetcher import Assignment, Fetcher, Spot
from shared.simulation.log import Record
from shared.simulation.loop import PROCESS
from shared.simulation.membership import Membership
from shared.simulation.network import Line

if TYPE_CHECKING:
    from shared.simulation.broker import Broker

EARLIEST, LATEST = -2, -1


class Consumer:
    """One consumer."""

    def __init__(
        self, broker: "Broker", kafka: Kafka, is_lenient: Callable[[], bool], *, group_id: str | None = None,
        partition_assignment_strategy: Sequence[Any] = (), session_timeout_ms: int = 10_000, rebalance_timeout_ms: int | None = None,
        heartbeat_interval_ms: int = 3_000, fetch_max_wait_ms: int = 500, max_partition_fetch_bytes: int = 1024 * 1024,
        retry_backoff_ms: int = 100, request_timeout_ms: int = 40_000, metadata_max_age_ms: int = 300_000,
        max_poll_records: int | None = None, group_instance_id: str | None = None,
    ) -> None:  # fmt: skip
        """The settings are aiokafka's. `kafka`: knows which cluster is talked to. `is_lenient`: whether header names need not be UTF-8."""
        self.broker, self.loop, self._kafka = broker, broker.loop, kafka
        self._most_records = max_poll_records
        self.backoff, self._seconds = retry_backoff_ms / 1000, request_timeout_ms / 1000
        self.line = Line(broker, self._seconds, kafka.is_ours)
        self.is_started = False
        """Whether it ever reached a broker."""
        self.topics: tuple[str, ...] = ()
        self.listener: ConsumerRebalanceListener | None = None
        self.is_reassigning = True
        self._assigns_itself = False
        self._closed = False
        self._fetcher = Fetcher(
            broker, self.line, is_lenient, wait_seconds=fetch_max_wait_ms / 1000, most_bytes=max_partition_fetch_bytes, backoff=self.backoff
        )
        self._fetching: asyncio.Task[None] | None = None
        self._assignment_waiters: list[asyncio.Future[None]] = []
        self._membership: Membership | None = None
        if group_id is not None:
            self._membership = Membership(
                self, group_id, partition_assignment_strategy[0], Line(broker, self._seconds, kafka.is_ours), name=group_instance_id or "",
                session_seconds=session_timeout_ms / 1000,
                rebalance_seconds=(session_timeout_ms if rebalance_timeout_ms is None else rebalance_timeout_ms) / 1000,
                heartbeat_seconds=heartbeat_interval_ms / 1000, topics_seconds=metadata_max_age_ms / 1000,
            )  # fmt: skip
            self._fetcher.membership = self._membership
        if (process := PROCESS.get(None)) is not None:
            process.at_end(self._hang_up)

    # ---- beginning and end -------------------------------------------------------------------------------------------------

    def subscribe(self, topics: Iterable[str], listener: ConsumerRebalanceListener | None = None) -> None:
        """Wants its share of these."""
        assert self._membership is not None, "not simulated: topics without a group"
        assert not self.is_started, "not simulated: topics that change"
        if self._assigns_itself:
            raise IllegalStateError("Subscription to topics, partitions and pattern are mutually exclusive")
        self.topics, self.listener = tuple(sorted(set(topics))), listener

    def assign(self, places: Iterable[TopicPartition]) -> None:
        """Reads these, all of them."""
        assert self._membership is None, "not simulated: places of one's own choice in a group"
        self._assigns_itself = True
        self.give(sorted(set(places)))

    async def start(self) -> None:
        """Connects, and joins the group.

        Raises:
            KafkaConnectionError: where nobody answers.
            AnotherCluster: where another one does.
            UnknownTopicOrPartitionError: where a topic is not made in time.
        """
        try:
            await self.line.ask(self.broker.metadata, ())
        except KafkaError as error:
            elsewhere = self._kafka.elsewhere
            raise AnotherCluster(elsewhere) if elsewhere else KafkaConnectionError("Unable to bootstrap") from error
        self.is_started = True
        for topic in self.topics:
            await self._wait_for_topic(topic)
        self._fetching = asyncio.create_task(self._fetcher.run())
        if self._membership is not None:
            self._membership.start()
            if self.topics:
                await self.wait_for_assignment()

    def leaves(self) -> None:
        """When it stops, it leaves its group, though it may have a name there."""
        if self._membership is not None:
            self._membership.name = ""

    async def stop(self) -> None:
        """Leaves the group, unless it has a name there, and ends."""
        if self._closed:
            return
        self._closed = True
        if self._membership is not None:
            await self._membership.stop()
        await self._end_fetching()

    async def give_up(self) -> None:
        """Ends without a word to the group."""
        if self._membership is not None:
            await self._membership.give_up()
        await self._end_fetching()

    async def _end_fetching(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            with suppress(asyncio.CancelledError):
                await self._fetching
        self._fetcher.wake()
        self._hang_up()

    def _hang_up(self) -> None:
        self.line.close()
        if self._membership is not None:
            self._membership.line.close()

    async def _wait_for_topic(self, topic: str) -> None:
        began = self.loop.time()
        while True:
            with suppress(KafkaError):
                if topic in await self.line.ask(self.broker.metadata, (topic,)):
                    return
            if self.loop.time() - began > self._seconds:
                raise UnknownTopicOrPartitionError
            await asyncio.sleep(self.backoff)

    # ---- what is read ------------------------------------------------------------------------------------------------------

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Records that were fetched. While the group shares out anew it waits, however long that takes.

        Where a record can't be read, what would have been handed over together with it is lost: of other partitions for good, since they
        were moved on; of its own, it is read again, up to the same failure.
        """
        if self._closed:
            raise ConsumerStoppedError
        self._check()
        left, most = timeout_ms / 1000, max_records or self._most_records
        while True:
            if self.is_reassigning:
                await self.wait_for_assignment()
            began = self.loop.time()
            drained = self._fetcher.drain(partitions, most)
            if drained or not left:
                return drained
            if not await self._fetcher.wait(left) or self._is_closed():
                return {}
            left = max(0.0, left - (self.loop.time() - began))

    def _is_closed(self) -> bool:
        return self._closed

    # ---- where it is read --------------------------------------------------------------------------------------------------

    @property
    def assigned(self) -> Assignment | None:
        """What it was given last."""
        return self._fetcher.assigned

    def assignment(self) -> set[TopicPartition]:
        """What it reads."""
        return set(self.assigned.spots) if self.assigned is not None else set()

    def is_assigned(self, place: TopicPartition) -> bool:
        """Whether it reads this."""
        return self.assigned is not None and place in self.assigned.spots

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Reads from here on. AssertionError before anything was ever assigned, IllegalStateError for what is not: as aiokafka has it."""
        if offset < 0:
            raise ValueError("Offset must be a positive integer")
        self._spot(partition).position = offset
        self._fetcher.forget(partition)

    async def position(self, partition: TopicPartition) -> int:
        """The next offset that would be handed over. Raises IllegalStateError for what is not assigned."""
        if not self.is_assigned(partition):
            raise IllegalStateError(f"Partition {partition} is not assigned")
        position = self._spot(partition).position
        assert position is not None, "not simulated: a position that the library looks for by itself"
        return position

    def pause(self, *partitions: TopicPartition) -> None:
        """Fetches nothing of these; what was fetched is lost when it would be handed over."""
        for partition in partitions:
            spot = self._spot(partition)
            if not spot.paused:
                spot.paused = True
                self._fetcher.hurry()

    def resume(self, *partitions: TopicPartition) -> None:
        """Fetches these again."""
        for partition in partitions:
            spot = self._spot(partition)
            if spot.paused:
                spot.paused = False
                self._fetcher.stir()

    def paused(self) -> set[TopicPartition]:
        """Those that are paused."""
        return {place for place, spot in self.assigned.spots.items() if spot.paused} if self.assigned is not None else set()

    def highwater(self, partition: TopicPartition) -> int | None:
        """Where the partition ended when it was last fetched."""
        assert self.is_assigned(partition), "Partition is not assigned"
        assert self.assigned is not None
        return self.assigned.spots[partition].highwater

    def _spot(self, place: TopicPartition) -> Spot:
        assert self.assigned is not None
        spot = self.assigned.spots.get(place)
        if spot is None:
            raise IllegalStateError(f"No current assignment for partition {place}")
        return spot

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each that there is. Raises KafkaTimeoutError."""
        return await self._offsets(list(partitions), EARLIEST)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The next offset of each. Raises KafkaTimeoutError."""
        return await self._offsets(list(partitions), LATEST)

    async def _offsets(self, places: list[TopicPartition], which: int) -> dict[TopicPartition, int]:
        if not places:
            return {}
        until = self.loop.time() + self._seconds
        while True:
            try:
                found: dict[TopicPartition, int] = await self.line.ask(self.broker.offsets, places, which)
            except KafkaError as error:
                if not error.retriable:
                    raise
                if self.loop.time() >= until:
                    raise KafkaTimeoutError(f"Failed to get offsets in {self._seconds} s") from error
                await asyncio.sleep(self.backoff)
            else:
                return found

    # ---- how far it is -----------------------------------------------------------------------------------------------------

    async def commit(self, offsets: Mapping[TopicPartition, Any]) -> None:
        """Tells the group how far it is. Raises CommitFailedError where the group has shared out anew."""
        if self._membership is None:
            raise IllegalOperation("Requires group_id")
        if not self.topics:
            raise IllegalStateError("Not subscribed to any topics")
        if self.assigned is None:
            raise IllegalStateError("No partitions assigned")
        known: dict[TopicPartition, OffsetAndMetadata] = commit_structure_validate(offsets)
        for place in known:
            if place not in self.assigned.spots:
                raise IllegalStateError(f"Partition {place} is not assigned")
        await self._membership.commit({place: known[place].offset for place in known})

    async def committed(self, partition: TopicPartition) -> int | None:
        """How far the group is."""
        if self._membership is None:
            raise IllegalOperation("Requires group_id")
        return (await self._membership.committed([partition])).get(partition)

    # ---- for its membership ------------------------------------------------------------------------------------------------

    def give(self, places: Iterable[TopicPartition]) -> None:
        """These are to be read from now on, and none of those before."""
        if self.assigned is not None:
            self.assigned.active = False
        self._fetcher.assigned = Assignment(places)
        self.is_reassigning = False
        waiters, self._assignment_waiters = self._assignment_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._fetcher.stir()

    def abort(self, error: KafkaError) -> None:
        """Whoever waits for the group, or for records, is told."""
        for waiter in self._assignment_waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._fetcher.abort(error)

    async def wait_for_assignment(self) -> None:
        """Until it is given something."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._assignment_waiters.append(waiter)
        await waiter

    def _check(self) -> None:
        if self._membership is not None:
            self._membership.check()
