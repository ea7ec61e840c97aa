"""What a simulated consumer fetches ahead, as aiokafka's fetcher does: one fetch under way, and none while something waits to be taken."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError, UnknownTopicOrPartitionError

from shared.simulation.log import Record
from shared.simulation.network import Asked, Line

if TYPE_CHECKING:
    from shared.simulation.broker import Broker, Fetched
    from shared.simulation.membership import Membership

PREFETCH_SECONDS = 0.1
"""What was fetched keeps others from being fetched for so long, unless it is taken."""


class Spot:
    """Where a partition is read."""

    __slots__ = ("highwater", "paused", "position")

    def __init__(self) -> None:
        self.position: int | None = None
        self.highwater: int | None = None
        self.paused = False


class Assignment:
    """The partitions that a consumer reads, until it is given others."""

    __slots__ = ("active", "spots")

    def __init__(self, places: Iterable[TopicPartition]) -> None:
        """`places`: in an order that does not depend on hashes."""
        self.spots = {place: Spot() for place in places}
        self.active = True


class Unread:
    """What was fetched of a partition and not handed over yet."""

    __slots__ = ("at", "fetched_at", "next", "records", "spent", "torn_at")

    def __init__(self, records: list[Record], position: int, fetched_at: float, torn_at: int | None) -> None:
        """`torn_at`: which of the records can't be read."""
        self.records, self.at, self.next, self.fetched_at, self.torn_at = records, 0, position, fetched_at, torn_at
        self.spent = False


class Failed:
    """What went wrong when a partition was to be fetched: told once."""

    __slots__ = ("error", "fetched_at")

    def __init__(self, error: KafkaError, fetched_at: float) -> None:
        self.error, self.fetched_at = error, fetched_at


class Fetcher:
    """One consumer's."""

    def __init__(
        self, broker: "Broker", line: Line, is_lenient: Callable[[], bool], *, wait_seconds: float, most_bytes: int, backoff: float
    ) -> None:
        """`is_lenient`: whether header names that are not UTF-8 are read."""
        self.assigned: Assignment | None = None
        self.membership: Membership | None = None
        """Knows where the group is, if there is one."""
        self._broker, self._loop, self._line, self._is_lenient = broker, broker.loop, line, is_lenient
        self._wait_seconds, self._most_bytes, self._backoff = wait_seconds, most_bytes, backoff
        self._unread: dict[TopicPartition, Unread | Failed] = {}
        self._asked: Asked | None = None
        self._stirred: asyncio.Future[None] | None = None
        self._stirs = 0
        self._waiters: list[asyncio.Future[bool]] = []

    # ---- what is there -----------------------------------------------------------------------------------------------------

    def drain(self, partitions: Sequence[TopicPartition], most: int | None) -> dict[TopicPartition, list[Record]]:
        """What may be handed over now."""
        drained: dict[TopicPartition, list[Record]] = {}
        for place in list(self._unread):
            if partitions and place not in partitions:
                if not (self.assigned is not None and place in self.assigned.spots):
                    del self._unread[place]
                continue
            unread = self._unread[place]
            if isinstance(unread, Failed):
                if drained:
                    return drained
                del self._unread[place]
                self.stir()
                raise unread.error
            records = self._take(place, unread, most)
            if unread.spent:
                del self._unread[place]
                self.stir()
            if not records:
                continue
            drained[place] = records
            if most is not None:
                most -= len(records)
                if most == 0:
                    break
        return drained

    def _take(self, place: TopicPartition, unread: Unread, most: int | None) -> list[Record]:
        """The next records, unless it was moved, paused or given away meanwhile: then they are lost."""
        spot = self.assigned.spots.get(place) if self.assigned is not None else None
        if spot is None or spot.paused or spot.position != unread.next or unread.spent:
            unread.spent = True
            return []
        until = len(unread.records) if most is None else min(len(unread.records), unread.at + most)
        if unread.torn_at is not None and unread.torn_at < until:
            unread.next = unread.records[unread.torn_at].offset
            if unread.torn_at == unread.at:
                unread.spent = True
            unread.at = unread.torn_at
            name = unread.records[unread.torn_at].torn
            assert name is not None
            name.decode()  # raises what the library's reader does
        records = unread.records if unread.at == 0 and until == len(unread.records) else unread.records[unread.at : until]
        unread.at = until
        unread.spent = most is None or len(records) < most
        spot.position = unread.next = records[-1].offset + 1
        return records

    async def wait(self, seconds: float) -> bool:
        """Until records were fetched: whether there are any in time."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiters.append(waiter)
        timer = self._loop.call_later(seconds, _answer, waiter, False)  # noqa: FBT003
        try:
            return await waiter
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def wake(self) -> None:
        """Whoever waits is to look."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _answer(waiter, True)  # noqa: FBT003

    def abort(self, error: KafkaError) -> None:
        """Whoever waits for records is told."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)

    def forget(self, place: TopicPartition) -> None:
        """What was fetched of it is not what is wanted."""
        self._unread.pop(place, None)
        self.stir()

    # ---- fetching ----------------------------------------------------------------------------------------------------------

    def stir(self) -> None:
        """Something may be to fetch."""
        if self._stirred is not None:
            _answer(self._stirred, None)
        self.hurry()

    def hurry(self) -> None:
        """What is fetched next is not what is waited for: no longer than the broker would."""
        self._stirs += 1
        if self._asked is not None:
            self._asked.hurry()

    async def _rest(self, seconds: float | None) -> None:
        self._stirred = self._loop.create_future()
        timer = self._loop.call_later(seconds, _answer, self._stirred, None) if seconds is not None else None
        await self._stirred
        if timer is not None:
            timer.cancel()

    async def _back_off(self, assignment: Assignment) -> None:
        until = self._loop.time() + self._backoff
        while assignment.active and (left := until - self._loop.time()) > 0:
            await self._rest(left)

    async def run(self) -> None:
        """Fetches for ever."""
        assignment: Assignment | None = None
        while True:
            if assignment is None or not assignment.active:
                self._unread.clear()
                while self.assigned is None:
                    await self._rest(None)
                assignment = self.assigned
            lost, wanted, rest = self._wanted(assignment)
            if lost:
                await self._find_places(assignment, lost)
            elif wanted:
                await self._fetch_once(assignment, wanted)
            else:
                await self._rest(rest)

    def _wanted(self, assignment: Assignment) -> tuple[list[TopicPartition], dict[TopicPartition, int], float | None]:
        """Those that are read from nowhere yet, those to fetch with where from, and how long there is nothing to do."""
        lost: list[TopicPartition] = []
        wanted: list[tuple[float, TopicPartition, int]] = []
        rest, now, draw = 0.0, self._loop.time(), self._loop.random.random
        for place, spot in assignment.spots.items():
            unread = self._unread.get(place)
            if unread is not None:
                rest = max(rest, PREFETCH_SECONDS - (now - unread.fetched_at))
            elif spot.position is None:
                lost.append(place)
            elif not spot.paused:
                wanted.append((draw(), place, spot.position))
        if rest > 0 or lost:
            return lost, {}, rest or None
        wanted.sort()
        return lost, {place: position for _, place, position in wanted}, None

    async def _find_places(self, assignment: Assignment, places: list[TopicPartition]) -> None:
        """Goes on where the group is; of those of which it knows nothing, says so."""
        known: Mapping[TopicPartition, int] = {}
        if self.membership is not None:
            known = await self.membership.committed(places)
        for place in places:
            spot = assignment.spots[place]
            if spot.position is None and place in known:
                spot.position = known[place]
            elif spot.position is None and assignment.active:
                self._unread[place] = Failed(NoOffsetForPartitionError(place), self._loop.time())
                self.wake()

    async def _fetch_once(self, assignment: Assignment, wanted: dict[TopicPartition, int]) -> None:
        stirs = self._stirs
        try:
            asked = self._asked = await self._line.send(self._broker.fetch, wanted, self._most_bytes, self._wait_seconds)
            if stirs != self._stirs or any(assignment.spots[place].highwater is None for place in wanted):
                asked.hurry()
            asked.answer.add_done_callback(self._heard)
            while not asked.answer.done():
                await self._rest(None)
                if not assignment.active:
                    return
            answer: list[Fetched] = asked.answer.result()
        except KafkaError:
            await self._back_off(assignment)
            return
        finally:
            self._asked = None
        if assignment.active and self._received(assignment, wanted, answer):
            await self._back_off(assignment)

    def _heard(self, _: "asyncio.Future[Any]") -> None:
        if self._stirred is not None:
            _answer(self._stirred, None)

    def _received(self, assignment: Assignment, wanted: Mapping[TopicPartition, int], answer: "list[Fetched]") -> bool:
        """Whether it is to be asked again in a while."""
        is_woken = is_away = False
        now = self._loop.time()
        for fetched in answer:
            place = fetched.place
            assert isinstance(place, TopicPartition)
            spot, asked_for = assignment.spots[place], wanted[place]
            if spot.position != asked_for:
                continue
            if fetched.error is None:
                spot.highwater = fetched.highwater
                if fetched.records:
                    self._unread[place] = Unread(fetched.records, asked_for, now, self._torn_at(fetched.records))
                    is_woken = True
            elif issubclass(fetched.error, OffsetOutOfRangeError):
                self._unread[place] = Failed(OffsetOutOfRangeError({place: asked_for}), now)
                is_woken = True
            else:
                is_away = True
                if self.membership is not None and issubclass(fetched.error, UnknownTopicOrPartitionError):
                    self.membership.look_at_topics()
        if is_woken:
            self.wake()
        return is_away

    def _torn_at(self, records: list[Record]) -> int | None:
        if not self._broker.has_torn or self._is_lenient():
            return None
        return next((number for number, record in enumerate(records) if record.torn is not None), None)


def _answer(waiter: "asyncio.Future[Any]", answer: Any) -> None:
    if not waiter.done():
        waiter.set_result(answer)
