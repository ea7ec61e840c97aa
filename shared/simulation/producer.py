"""A simulated Kafka's producer, as aiokafka's is to the machine: idempotent, one request under way, and patient without end."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerClosed,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import RecordMetadata, TopicPartition

from shared.kafka import AnotherCluster, Kafka
from shared.simulation.log import APPENDED, Entry
from shared.simulation.loop import PROCESS
from shared.simulation.network import Line

if TYPE_CHECKING:
    from shared.simulation.broker import Broker


class Batch:
    """What is sent together. The library's own builder says what it takes."""

    def __init__(self, size: int) -> None:
        """`size`: most bytes; a single larger record still goes."""
        self.entries: list[Entry] = []
        self.sizes: list[int] = []
        self.number = -1
        """Of its first record, among all of its producer's for this partition."""
        self._builder = DefaultRecordBatchBuilder(
            2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=size
        )
        self._closed = False

    def append(
        self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] | None = None
    ) -> Any:
        """Adds a record; None where there is no room for it, or for any more."""
        if self._closed:
            return None
        headers = tuple(headers or ())
        added = self._builder.append(len(self.entries), timestamp or 0, key=key, value=value, headers=list(headers))
        if added is None:
            self._closed = True
            return None
        self.entries.append((key, value, headers))
        self.sizes.append(added.size)
        return added

    def close(self) -> None:
        """No more is added."""
        self._closed = True

    def closed(self) -> bool:
        """Whether no more is added."""
        return self._closed

    def size(self) -> int:
        """Bytes."""
        return int(self._builder.size())

    def record_count(self) -> int:
        """How many there are."""
        return len(self.entries)


class _Going:
    """A batch on its way."""

    __slots__ = ("batch", "future", "messages", "place", "taken")

    def __init__(self, place: TopicPartition, batch: Batch, loop: asyncio.AbstractEventLoop) -> None:
        self.place, self.batch = place, batch
        self.future: asyncio.Future[RecordMetadata | None] = loop.create_future()
        self.taken: asyncio.Future[None] = loop.create_future()
        self.messages: list[asyncio.Future[RecordMetadata | None]] = []

    def done(self, offset: int, timestamp: int) -> None:
        place = self.place
        for number, future in enumerate([self.future, *self.messages]):
            if not future.done():
                at = offset + max(0, number - 1)
                future.set_result(RecordMetadata(place.topic, place.partition, place, at, timestamp, APPENDED, 0))

    def failed(self, error: BaseException) -> None:
        for future in (self.future, self.taken, *self.messages):
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody need have waited for it


class Producer:
    """One producer."""

    def __init__(
        self, broker: "Broker", kafka: Kafka, *, max_request_size: int = 1024 * 1024, max_batch_size: int = 16 * 1024,
        request_timeout_ms: int = 40_000, retry_backoff_ms: int = 100,
    ) -> None:  # fmt: skip
        """The settings are aiokafka's. `kafka`: knows which cluster is talked to."""
        self._broker, self._loop, self._kafka = broker, broker.loop, kafka
        self._largest, self._batch_size = max_request_size, max_batch_size
        self._seconds, self._backoff = request_timeout_ms / 1000, retry_backoff_ms / 1000
        self._line = Line(broker, self._seconds, kafka.is_ours)
        self._ident = 0
        self._numbers: dict[TopicPartition, int] = {}
        self._partitions: dict[str, int] = {}
        self._waiting: dict[TopicPartition, deque[_Going]] = {}
        self._going: list[_Going] = []
        self._stirred: asyncio.Future[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._closed = self._flushing = False
        self._error: KafkaError | None = None
        if (process := PROCESS.get(None)) is not None:
            process.at_end(self._line.close)

    async def start(self) -> None:
        """Connects.

        Raises:
            KafkaConnectionError: where nobody answers.
            AnotherCluster: where another one does.
        """
        try:
            await self._line.ask(self._broker.metadata, ())
        except KafkaError as error:
            elsewhere = self._kafka.elsewhere
            raise AnotherCluster(elsewhere) if elsewhere else KafkaConnectionError("Unable to bootstrap") from error
        while not self._ident:
            try:
                self._ident = await self._line.ask(self._broker.new_producer)
            except KafkaError:
                await asyncio.sleep(self._backoff)
        self._sending = asyncio.create_task(self._send())

    async def stop(self) -> None:
        """Waits until all is sent, and ends."""
        if self._closed:
            return
        self._closed = self._flushing = True
        if self._sending is not None:
            waited_for = [going.future for going in self._all()]
            if waited_for and not self._sending.done():
                everything = asyncio.ensure_future(asyncio.wait(waited_for))
                await asyncio.wait([everything, self._sending], return_when=asyncio.FIRST_COMPLETED)
            self._sending.cancel()
        self._line.close()

    async def give_up(self) -> None:
        """Ends without waiting for what was not acknowledged: it may have been done."""
        self._closed = self._flushing = True
        if self._sending is not None:
            self._sending.cancel()
        self._line.close()
        self._error = KafkaError("it was given up")
        for going in self._all():
            going.failed(self._error)

    def create_batch(self) -> Batch:
        """An empty one."""
        return Batch(self._batch_size)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[RecordMetadata | None]":
        """Sends it when no other waits for its partition. Gives what is done when it is acknowledged."""
        await self._metadata(topic)
        place = TopicPartition(topic, self._partition(topic, partition, None))
        self._look()
        left, began = self._seconds, self._loop.time()
        while left > 0:
            waiting = self._waiting.get(place)
            if not waiting:
                return asyncio.shield(self._add(place, batch).future)
            await asyncio.wait([waiting[-1].taken], timeout=left)
            if waiting and waiting[-1].taken.done():
                waiting[-1].taken.result()
            left -= self._loop.time() - began
        raise KafkaTimeoutError

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, partition: int | None = None,
        timestamp_ms: int | None = None, headers: Sequence[tuple[str, bytes | None]] | None = None,
    ) -> "asyncio.Future[RecordMetadata | None]":  # fmt: skip
        """Sends one record."""
        assert not (value is None and key is None), "Need at least one: key or value"
        await self._metadata(topic)
        if DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, list(headers or [])) > self._largest:
            raise MessageSizeTooLargeError("The message is larger than max_request_size")
        place = TopicPartition(topic, self._partition(topic, partition, key))
        left = self._seconds
        while True:
            self._look()
            waiting = self._waiting.get(place)
            going = waiting[-1] if waiting else self._add(place, self.create_batch())
            if going.batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is not None:
                future: asyncio.Future[RecordMetadata | None] = self._loop.create_future()
                going.messages.append(future)
                return future
            began = self._loop.time()
            await asyncio.wait([going.taken], timeout=left)
            if going.taken.done():
                going.taken.result()
            left -= self._loop.time() - began
            if left <= 0:
                raise KafkaTimeoutError

    async def send_and_wait(self, topic: str, *args: Any, **more: Any) -> RecordMetadata | None:
        """Sends one record and waits until it is acknowledged."""
        return await (await self.send(topic, *args, **more))

    async def partitions_for(self, topic: str) -> set[int]:
        """The topic's."""
        return set(range(await self._metadata(topic)))

    # ---- what is on its way ------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._flushing:
            raise ProducerClosed
        if self._error is not None:
            raise self._error

    def _all(self) -> list[_Going]:
        return [*self._going, *(going for waiting in self._waiting.values() for going in waiting)]

    def _add(self, place: TopicPartition, batch: Batch) -> _Going:
        going = _Going(place, batch, self._loop)
        self._waiting.setdefault(place, deque()).append(going)
        if self._stirred is not None and not self._stirred.done():
            self._stirred.set_result(None)
        return going

    def _partition(self, topic: str, partition: int | None, key: bytes | None) -> int:
        there = self._partitions[topic]
        if partition is not None:
            assert 0 <= partition < there, "Unrecognized partition"
            return partition
        if key is None:
            return self._loop.random.randrange(there)
        return int(DefaultPartitioner()(key, list(range(there)), list(range(there))))

    async def _metadata(self, topic: str) -> int:
        """How many partitions a topic has. Waits for a while for it to be made."""
        began = self._loop.time()
        while topic not in self._partitions:
            try:
                there = await self._line.ask(self._broker.metadata, (topic,))
            except KafkaError:
                there = {}
            if topic in there:
                self._partitions[topic] = there[topic][0]
                break
            if self._loop.time() - began > self._seconds:
                raise UnknownTopicOrPartitionError
            await asyncio.sleep(self._backoff)
        return self._partitions[topic]

    async def _send(self) -> None:
        while True:
            if not self._waiting:
                self._stirred = self._loop.create_future()
                await self._stirred
            self._going = self._take()
            if self._going:
                again = await self._send_once()
                if again:
                    await asyncio.sleep(self._backoff)
                    for going in again:
                        going.taken = self._loop.create_future()
                        self._waiting.setdefault(going.place, deque()).appendleft(going)
                self._going = []

    def _take(self) -> list[_Going]:
        """The next batch of each partition."""
        found = []
        for place, waiting in list(self._waiting.items()):
            going = waiting.popleft()
            if not waiting:
                del self._waiting[place]
            going.batch.close()
            if not going.taken.done():
                going.taken.set_result(None)
            if not going.batch.entries:
                if not going.future.done():
                    going.future.set_result(None)
                continue
            if going.batch.number < 0:
                going.batch.number = self._numbers.get(place, 0)
                self._numbers[place] = going.batch.number + len(going.batch.entries)
            found.append(going)
        return found

    async def _send_once(self) -> list[_Going]:
        """Gives those that are to be sent again."""
        try:
            answers = await self._line.ask(self._broker.produce, self._ident, {going.place: going.batch for going in self._going})
        except KafkaError as error:
            answers = dict.fromkeys((going.place for going in self._going), error)
        again = []
        for going in self._going:
            answer = answers[going.place]
            if not isinstance(answer, KafkaError):
                going.done(*answer)
            elif answer.retriable:
                again.append(going)
            else:
                going.failed(answer)
        return again
