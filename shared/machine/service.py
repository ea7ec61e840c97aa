"""A deciding service as a process: a consumer that shares out the shards, one `Shard` for each that is ours, and what is told of them."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from shared import telemetry
from shared.kafka import ByShard, topic_ids
from shared.machine import store
from shared.machine.figures import Figures
from shared.machine.mind import Mind
from shared.machine.patience import patiently
from shared.machine.relay import Outlet, Relay
from shared.machine.shard import Range, Shard
from shared.machine.told import Reader
from shared.machine.watchdog import Watchdog
from shared.policy.loader import shipped_body
from shared.policy.model import Policy
from shared.settings import Settings, load

BATCHES_AT_ONCE = 4
"""Transactions side by side, one a shard."""
OTHER_CONNECTIONS = 2
"""For the relays, and for whoever takes a shard over from a frozen process."""
POLL_MS = 500
POLL_RECORDS = 2_000
RETRY_SECONDS = 0.5
LOOK_EVERY_SECONDS = 60.0
"""How often the topics' ids are compared."""
COMMIT_EVERY_SECONDS = 5.0
"""How often Kafka is told how far we are, for whoever watches lags. We ourselves go by the heads."""
GIVE_UP_SECONDS = 10.0
"""How long a batch that is under way may take to end when its shard goes to somebody else."""
FENCED_SECONDS = 20.0
"""A process that was fenced is given another assignment within this time, or ends."""
FENCED_EXIT = 75

log = structlog.get_logger()


class Service(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """One process of one deciding service."""

    def __init__(self, mind: Mind, settings: Settings) -> None:
        """`settings`: whose Kafka, whose database."""
        self.mind, self.settings = mind, settings
        self.shards: dict[int, Shard] = {}
        self.running: dict[int, asyncio.Task[None]] = {}
        self.exit_code = 0
        self._ended = asyncio.Event()
        self._watchdog = Watchdog()
        self._outlet = Outlet(settings.kafka)
        self._policies: dict[str, Policy] = {}
        self.joined = False
        self._pool: asyncpg.Pool
        self._reader: Reader
        self._consumer: AIOKafkaConsumer
        self._generation = ""

    async def run(self) -> int:
        """Works until told to stop. The process's exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._ended.set)
        figures = Figures(self)
        web = telemetry.server(telemetry.health_app(figures.registry, figures.ready), self.settings.bind, self.settings.port)
        tasks = [asyncio.create_task(web.serve())] if self.settings.port else []
        working = asyncio.create_task(self._work())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            self._watchdog.stop()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            web.should_exit = True
            await asyncio.gather(*tasks, return_exceptions=True)
        return self.exit_code

    async def _work(self) -> None:
        self._pool = await self._connected()
        try:
            self._generation, _, shards = await self._installed()
            self._reader = Reader(self.mind, shards, self.settings.submission_topics)
            self._consumer = self._make_consumer()
            await self._started()
            self._watchdog.start()
            log.info("started", shards=shards, topics=self._reader.topics)
            async with asyncio.TaskGroup() as together:
                together.create_task(self._look_now_and_then())
                together.create_task(self._commit_now_and_then())
                together.create_task(self._fetch())
        finally:
            await self._give_up(list(self.shards))
            with suppress(AttributeError, KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(self._consumer.stop(), RETRY_SECONDS * 10)
            await self._outlet.close()
            self._pool.terminate()

    @patiently
    async def _connected(self) -> asyncpg.Pool:
        return await store.connect(self.settings.database, self.mind.service, BATCHES_AT_ONCE + OTHER_CONNECTIONS)

    @patiently
    async def _installed(self) -> tuple[str, str, int]:
        async with self._pool.acquire() as connection:
            return await store.installation(connection)

    def _make_consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka, group_id=self.mind.service, enable_auto_commit=False, auto_offset_reset="none",
            partition_assignment_strategy=(ByShard,), session_timeout_ms=self.settings.session_timeout_ms,
            heartbeat_interval_ms=self.settings.session_timeout_ms // 5, fetch_max_wait_ms=POLL_MS,
            max_partition_fetch_bytes=4 * 1024 * 1024, retry_backoff_ms=100, metadata_max_age_ms=60_000,
        )  # fmt: skip

    async def _started(self) -> None:
        """The consumer, in its group. Waits for Kafka as long as it takes."""
        self._consumer.subscribe(self._reader.topics, listener=self)
        while True:
            try:
                await self._consumer.start()
            except (KafkaError, OSError) as error:
                log.warning("kafka_is_away", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)
                self._consumer = self._make_consumer()
                self._consumer.subscribe(self._reader.topics, listener=self)
            else:
                return

    async def _fetch(self) -> None:
        while True:
            self._watchdog.alive()
            try:
                batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
            except KafkaError as error:
                log.warning("fetching_failed", error=repr(error))
                for shard in self.shards.values():
                    shard.look_again()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for partition, records in batches.items():
                if ours := self.shards.get(partition.partition):
                    ours.offer(records)

    # ---- sharing out the shards --------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Finishes the batch that is under way; nothing more is decided."""
        await self._give_up({partition.partition for partition in revoked})

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Takes the shards over. All topics of a shard must come together: two owners of one shard would fence each other for ever."""
        self.joined = True
        shards = sorted({partition.partition for partition in assigned})
        torn = [shard for shard in shards if any(TopicPartition(topic, shard) not in assigned for topic in self._reader.topics)]
        if torn:
            log.error("shards_torn_apart", shards=torn)
            self.exit_code = FENCED_EXIT
            self._ended.set()
            return
        for partition in assigned:
            self._consumer.seek(partition, 0)  # a place, so that none is looked for; nothing is fetched until the head has told its own
        self._consumer.pause(*assigned)
        for number in shards:
            shard = self.shards[number] = Shard(
                number, self.mind, self._reader, self._pool, self, policies=self._policies, default_policy=shipped_body(),
                batch_records=self.settings.batch_records, relay=self._relay,
            )  # fmt: skip
            self.running[number] = asyncio.create_task(self._keep(shard), name=f"shard {number}")
        log.info("assigned", shards=shards)

    def _relay(self, shard: int, epoch: int) -> Relay:
        return Relay(shard, epoch, self.mind.service, self._generation, reader=self._reader, pool=self._pool, outlet=self._outlet)

    async def _keep(self, shard: Shard) -> None:
        await shard.run()
        if not shard.stopping:
            await asyncio.sleep(FENCED_SECONDS)
            log.error("fenced_and_still_assigned", shard=shard.shard)
            self.exit_code = FENCED_EXIT
            self._ended.set()

    async def _give_up(self, numbers: Iterable[int]) -> None:
        shards = [self.shards.pop(number) for number in numbers if number in self.shards]
        for shard in shards:
            shard.stop()
        tasks = [self.running.pop(shard.shard) for shard in shards]
        for shard, task in zip(shards, tasks, strict=True):
            if not shard.watch.owned:
                task.cancel()
        if tasks:
            _, unwilling = await asyncio.wait(tasks, timeout=GIVE_UP_SECONDS)
            for task in unwilling:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ---- the shards' feed --------------------------------------------------------------------------------------------------

    async def ranges(self, shard: int) -> Mapping[str, Range]:
        """What Kafka has of each topic of a shard."""
        places = [TopicPartition(topic, shard) for topic in self._reader.topics]
        ids = await topic_ids(self._consumer._client, self._reader.topics)  # noqa: SLF001 - it has no other way to ask
        beginnings = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        return {place.topic: Range(ids[place.topic], beginnings[place], ends[place]) for place in places}

    def rewind(self, shard: int, offsets: Mapping[str, int]) -> None:
        """Fetches from here on."""
        with suppress(IllegalStateError):
            for topic, offset in offsets.items():
                self._consumer.seek(TopicPartition(topic, shard), offset)
        self.resume(shard)

    def pause(self, shard: int) -> None:
        """Fetches nothing of this shard for a while."""
        self._if_assigned(self._consumer.pause, shard)

    def resume(self, shard: int) -> None:
        """Fetches again."""
        self._if_assigned(self._consumer.resume, shard)

    def _if_assigned(self, do: Callable[..., None], shard: int) -> None:
        """A shard may be given up just when it wants something of the feed."""
        with suppress(IllegalStateError):
            do(*(TopicPartition(topic, shard) for topic in self._reader.topics))

    # ---- now and then ------------------------------------------------------------------------------------------------------

    async def _look_now_and_then(self) -> None:
        """A topic that was made anew under us has another id."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            with suppress(KafkaError, OSError, TimeoutError):
                ids = await topic_ids(self._consumer._client, self._reader.topics)  # noqa: SLF001
                for shard in self.shards.values():
                    if shard.watch.owned and shard.watch.incarnations != ids:
                        shard.look_again()

    async def _commit_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_SECONDS)
            places = {
                TopicPartition(topic, shard.shard): OffsetAndMetadata(offset, "")
                for shard in self.shards.values()
                if shard.watch.owned
                for topic, offset in shard.watch.offsets.items()
            }
            with suppress(KafkaError, OSError, TimeoutError, ValueError):
                if places:
                    await self._consumer.commit(places)


def main(mind: Mind) -> None:
    """The process of a deciding service, with the settings of its environment."""
    settings = load()
    telemetry.log_to_stderr(settings.log_level, mind.service)
    sys.exit(asyncio.run(Service(mind, settings).run()))
