"""A consumer group that shares out shards: one worker for each shard that is ours, whatever topics it reads."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from shared import clock
from shared.errors import place_of
from shared.kafka import ByShard, Kafka
from shared.machine.progress import Lag
from shared.machine.watchdog import Watchdog
from shared.machine.worker import Range, Worker

POLL_MS = 500
"""How long fetching waits for records before it looks about."""
POLL_RECORDS = 2_000
"""Records handed to the workers at a time, at most."""
FETCH_BYTES = 1024 * 1024
"""Of one partition, fetched ahead; a single larger record still comes, alone."""
RETRY_SECONDS = 0.5
"""Between two attempts to reach Kafka."""
LOOK_EVERY_SECONDS = 60.0
"""How often the topics' ids are compared."""
HEARTBEATS = 10
"""So many in the time of a session: by the answer to one a member learns that shards are shared out anew."""
COMMIT_EVERY_SECONDS = 5.0
"""How often Kafka is told how far we are, for whoever watches lags. We ourselves go by the database."""
GIVE_UP_SECONDS = 10.0
"""How long a batch that is under way may take to end when its shard goes to somebody else."""
ENDS_EVERY_SECONDS = 2.0
"""How often Kafka is asked where the topics end."""
ENDS_SECONDS = 5.0
"""How long it may take to answer that."""
SILENT_SECONDS = 15.0
"""After so long without an answer nobody knows what there is to do: /readyz says so."""
DEAF_SECONDS = 30.0
"""After so long without an answer the client is made anew: it may be the client that does not hear."""
JOIN_SECONDS = 90.0
"""How long it may take to join: the others are waited for, each for as long as its session may last."""
ALIVE_SECONDS = 0.5
"""How often the watchdog hears of us."""
FENCED_SECONDS = 20.0
"""A process that was fenced is given another assignment within this time, or ends."""
AWAY = (KafkaError, OSError, TimeoutError)

log = structlog.get_logger()


class Torn(Exception):
    """The process must end, so that another one can have its shards: one is held by another process, too, or can't be read here."""


class _Deaf(Exception):
    """Nothing was heard of Kafka, or no share was given, for so long that the client is not trusted any more."""


class _Told(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Tells a group what its consumer is told: one that is being stopped may still be given a share, which nobody would work on."""

    def __init__(self, group: "Group", consumer: AIOKafkaConsumer) -> None:
        self._group, self._consumer = group, consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if self._group.consumer is self._consumer:
            await self._group.revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        if self._group.consumer is self._consumer:
            self._group.assigned(assigned)


class Group:
    """One member of a group. It is the feed of its workers."""

    def __init__(
        self, kafka: Kafka, name: str, topics: Sequence[str], session_timeout_ms: int, worker: Callable[[int, "Group"], Worker],
        *, instance: str = "", watchdog: Watchdog | None = None,
    ) -> None:  # fmt: skip
        """One member.

        Args:
            kafka: Where the records are.
            name: The group's.
            topics: What it reads.
            session_timeout_ms: After so long without a sign a member is taken for dead.
            worker: Makes a shard's worker, which this group feeds.
            instance: The member's name, by which it is known when it comes again; empty for none.
            watchdog: Ends the process where its loop does not turn any more.
        """
        self.workers: dict[int, Worker] = {}
        self.joined = False
        """Whether it has its share: not before it is given one, nor while shards are shared out anew."""
        self.fenced = 0
        """How often a worker found that somebody else has its shard."""
        self._instance = instance
        self._kafka, self._name, self._topics, self._session_timeout_ms, self._make = kafka, name, topics, session_timeout_ms, worker
        self._running: dict[int, asyncio.Task[None]] = {}
        self._consumer = self._make_consumer()
        self._leaving = False
        self._torn, self._why_torn = asyncio.Event(), ""
        self._watchdog = watchdog or Watchdog()
        self._heard_at = clock.passed()

    async def run(self) -> None:
        """Works until cancelled. Raises Torn where it must not go on."""
        self._watchdog.start()
        turning = asyncio.create_task(self._turn())
        try:
            while True:
                await self._start()
                await self._work()
                await self._leave()
                self._consumer = self._make_consumer()
        finally:
            turning.cancel()
            self._watchdog.stop()
            await self._leave()

    async def _turn(self) -> None:
        while True:
            self._watchdog.alive()
            await asyncio.sleep(ALIVE_SECONDS)

    async def _work(self) -> None:
        """Until the client must be made anew, or raises Torn."""
        try:
            async with asyncio.TaskGroup() as together:
                for work in (
                    self._fetch(),
                    self._look_now_and_then(),
                    self._ask_for_ends(),
                    self._commit_now_and_then(),
                    self._until_torn(),
                ):
                    together.create_task(work)
        except* _Deaf:
            log.warning("client_made_anew", heard_seconds_ago=round(clock.passed() - self._heard_at), joined=self.joined)

    async def _leave(self) -> None:
        self.joined, self._leaving = False, True
        await self._give_up(list(self.workers))
        self._kafka.leaves(self._consumer)
        await self._kafka.stop_consumer(self._consumer, GIVE_UP_SECONDS)

    def _make_consumer(self) -> AIOKafkaConsumer:
        return self._kafka.consumer(
            group_id=self._name, group_instance_id=self._instance or None, partition_assignment_strategy=(ByShard,),
            session_timeout_ms=self._session_timeout_ms, heartbeat_interval_ms=self._session_timeout_ms // HEARTBEATS,
            fetch_max_wait_ms=POLL_MS, max_partition_fetch_bytes=FETCH_BYTES, retry_backoff_ms=100, metadata_max_age_ms=60_000,
        )  # fmt: skip

    async def _start(self) -> None:
        """Joins. Waits for Kafka as long as it takes."""
        while True:
            self._leaving = False
            self._consumer.subscribe(self._topics, listener=_Told(self, self._consumer))
            try:
                async with asyncio.timeout(JOIN_SECONDS):
                    await self._consumer.start()
            except AWAY as error:
                log.warning("kafka_is_away", error=repr(error))
                await self._leave()
                await asyncio.sleep(RETRY_SECONDS)
                self._consumer = self._make_consumer()
            else:
                return

    async def _fetch(self) -> None:
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
            except Exception as error:  # noqa: BLE001 - whatever it was, every shard begins anew where the database says it stands
                log.warning("fetching_failed", error=place_of(error))
                if isinstance(error, UnicodeDecodeError):
                    self._kafka.read_leniently()
                for worker in self.workers.values():  # what was fetched together with the failure is lost to the consumer, not to us
                    worker.look_again()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for partition, records in batches.items():
                if ours := self.workers.get(partition.partition):
                    ours.offer(records)

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The one in use."""
        return None if self._leaving else self._consumer

    # ---- sharing out -------------------------------------------------------------------------------------------------------

    async def revoked(self, revoked: set[TopicPartition]) -> None:
        """Ends the batches that are under way; nothing more is done."""
        self.joined = False
        await self._give_up({partition.partition for partition in revoked})

    def assigned(self, assigned: set[TopicPartition]) -> None:
        """Begins the shards. All topics of a shard must come together: two owners of one shard would fence each other for ever."""
        shards = sorted({partition.partition for partition in assigned})
        if torn := [shard for shard in shards if any(TopicPartition(topic, shard) not in assigned for topic in self._topics)]:
            self._tear(f"the shards {torn} were given to more than one process")
            return
        for partition in assigned:
            self._consumer.seek(partition, 0)  # a place, so that none is looked for: the worker says where to begin, and resumes
        self._consumer.pause(*assigned)
        for shard in shards:
            worker = self.workers[shard] = self._make(shard, self)
            self._running[shard] = asyncio.create_task(self._keep(worker), name=f"shard {shard}")
        self.joined = True
        log.info("assigned", shards=shards)

    async def _keep(self, worker: Worker) -> None:
        await worker.run()
        if not worker.stopping:
            self.fenced += 1
            await asyncio.sleep(FENCED_SECONDS)
            self._tear(f"shard {worker.shard} belongs to another process, but the group still gives it to us")

    def _tear(self, why: str) -> None:
        self._why_torn = self._why_torn or why
        self._torn.set()

    async def _until_torn(self) -> None:
        await self._torn.wait()
        raise Torn(self._why_torn)

    async def _give_up(self, shards: Iterable[int]) -> None:
        workers = [self.workers.pop(shard) for shard in shards if shard in self.workers]
        tasks = [self._running.pop(worker.shard) for worker in workers]
        for worker, task in zip(workers, tasks, strict=True):
            worker.stop()
            if not worker.watch.owned:
                task.cancel()
        if tasks:
            _, unwilling = await asyncio.wait(tasks, timeout=GIVE_UP_SECONDS)
            for task in unwilling:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ---- the workers' feed -------------------------------------------------------------------------------------------------

    async def ranges(self, shard: int) -> Mapping[str, Range]:
        """What Kafka has of each topic of a shard."""
        places = [TopicPartition(topic, shard) for topic in self._topics]
        ids = await self._topic_ids()
        beginnings = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        return {place.topic: Range(ids[place.topic], beginnings[place], ends[place]) for place in places}

    def lags(self, worker: Worker) -> Mapping[str, Lag]:
        """What waits for a worker, of each topic."""
        known = {}
        for topic in worker.watch.offsets:
            with suppress(AssertionError):  # what the library raises here for a partition that is not ours
                known[topic] = self._consumer.highwater(TopicPartition(topic, worker.shard)) or 0
        return worker.lags(known)

    @property
    def elsewhere(self) -> str:
        """Why what answers at Kafka's address is not talked to at all, in words; empty while it is our cluster."""
        return self._kafka.elsewhere

    @property
    def trouble(self) -> tuple[str, str] | None:
        """Why nobody knows what there is to do, as a worker's trouble is told; None where Kafka answers."""
        silent = clock.passed() - self._heard_at
        return ("kafka", f"Kafka has not answered for {silent:.0f} s") if silent > SILENT_SECONDS else None

    def rewind(self, shard: int, offsets: Mapping[str, int]) -> None:
        """Fetches from here on."""
        with suppress(IllegalStateError):
            for topic, offset in offsets.items():
                self._consumer.seek(TopicPartition(topic, shard), offset)
        self.resume(shard)

    def pause(self, shard: int) -> None:
        """Fetches nothing of this shard for a while."""
        self._if_ours(self._consumer.pause, shard)

    def resume(self, shard: int) -> None:
        """Fetches again."""
        self._if_ours(self._consumer.resume, shard)

    def _if_ours(self, do: Callable[..., None], shard: int) -> None:
        """A shard may be given up just when its worker wants something of the feed."""
        with suppress(IllegalStateError):
            do(*(TopicPartition(topic, shard) for topic in self._topics))

    async def _topic_ids(self) -> dict[str, str]:
        return await self._kafka.topic_ids(self._consumer, self._topics)

    # ---- now and then ------------------------------------------------------------------------------------------------------

    async def _look_now_and_then(self) -> None:
        """A topic that was made anew under us has another id."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            with suppress(*AWAY):
                ids = await self._topic_ids()
                for worker in self.workers.values():
                    if worker.watch.owned and worker.watch.incarnations != ids:
                        worker.look_again()

    async def _ask_for_ends(self) -> None:
        """By a request of its own, whatever becomes of the fetching. A reader that is given nothing, though Kafka has it, is not kept."""
        began = joined_at = clock.passed()
        while True:
            workers = [worker for worker in self.workers.values() if worker.watch.owned]
            asked_at = clock.now().timestamp()
            with suppress(*AWAY):
                async with asyncio.timeout(ENDS_SECONDS):
                    ends = await self._consumer.end_offsets([TopicPartition(topic, one.shard) for one in workers for topic in self._topics])
                    if not workers:
                        await self._topic_ids()
                    self._heard_at = clock.passed()
                    for worker in workers:
                        fetched = {topic: await self._consumer.position(TopicPartition(topic, worker.shard)) for topic in self._topics}
                        theirs = {place.topic: end for place, end in ends.items() if place.partition == worker.shard}
                        worker.heard_ends(theirs, asked_at, fetched)
            if hung := sorted(worker.shard for worker in workers if worker.hung):
                self._tear(f"nothing is fetched for the shards {hung}, though Kafka has records")
            now = clock.passed()
            joined_at = now if self.joined else joined_at
            if now - max(began, self._heard_at) > DEAF_SECONDS or now - joined_at > JOIN_SECONDS:
                raise _Deaf
            await asyncio.sleep(ENDS_EVERY_SECONDS)

    async def _commit_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_SECONDS)
            places = {
                TopicPartition(topic, worker.shard): OffsetAndMetadata(offset, "")
                for worker in self.workers.values()
                if worker.watch.owned
                for topic, offset in worker.watch.offsets.items()
            }
            with suppress(*AWAY, ValueError):
                if places:
                    await self._consumer.commit(places)
