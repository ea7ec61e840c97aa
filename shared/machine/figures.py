"""A deciding service's figures for Prometheus, and whether it is ready: read off its shards when somebody asks."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.machine.shard import Shard

if TYPE_CHECKING:
    from shared.machine.service import Service

COUNTERS = (
    ("makegood_inputs", "Journal rows written by this process.", lambda shard: shard.watch.inputs),
    ("makegood_events", "Ledger rows written by this process.", lambda shard: shard.watch.events),
    ("makegood_batches", "Transactions committed by this process.", lambda shard: shard.watch.batches),
    ("makegood_batch_seconds", "Seconds spent in batches.", lambda shard: shard.watch.seconds),
)
GAUGES = (
    ("makegood_ledger_position", "Last position of the shard's ledger.", lambda shard: shard.watch.position),
    ("makegood_relayed_position", "Last position that Kafka acknowledged.", lambda shard: shard.relayed),
    ("makegood_shard_owned", "1 where this process decides for the shard.", lambda shard: int(shard.watch.owned)),
    ("makegood_shard_troubled", "1 where the shard can't go on: /readyz says why.", lambda shard: int(shard.watch.trouble is not None)),
)


class Figures(Collector):
    """The figures of one process."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self.registry = CollectorRegistry()
        for also in (ProcessCollector, PlatformCollector, GCCollector):
            also(registry=self.registry)
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All figures, a sample for each shard of this process."""
        name = self._service.mind.service
        shards: list[Shard] = list(self._service.shards.values())
        for family, rows in ((CounterMetricFamily, COUNTERS), (GaugeMetricFamily, GAUGES)):
            for metric, words, of in rows:
                found = family(metric, words, labels=("service", "shard"))
                for shard in shards:
                    found.add_metric((name, str(shard.shard)), of(shard))
                yield found

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether every shard that is ours is decided upon, and what is the matter where one is not."""
        shards = self._service.shards
        troubles = {
            str(number): {"cause": shard.watch.trouble[0], "what": shard.watch.trouble[1]}
            for number, shard in sorted(shards.items())
            if shard.watch.trouble
        }
        fine = self._service.joined and not troubles and all(shard.watch.owned for shard in shards.values())
        return fine, {"service": self._service.mind.service, "shards": sorted(shards), "troubles": troubles}
