"""A deciding service's figures for Prometheus, and whether it is ready: read off its shards when somebody asks."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.machine.group import Group
from shared.machine.worker import Worker

Rows = tuple[tuple[str, str, Callable[[Worker], float]], ...]
"""A figure: its name, what it counts, and how it is read off a worker."""
COUNTERS: Rows = (
    ("makegood_inputs", "Journal rows written by this process.", lambda shard: shard.watch.inputs),
    ("makegood_events", "Ledger rows written by this process.", lambda shard: shard.watch.events),
    ("makegood_batches", "Transactions committed by this process.", lambda shard: shard.watch.batches),
    ("makegood_batch_seconds", "Seconds spent in batches.", lambda shard: shard.watch.seconds),
)
GAUGES: Rows = (
    ("makegood_ledger_position", "Last position of the shard's ledger.", lambda shard: shard.watch.position),
    ("makegood_relayed_position", "Last position that Kafka acknowledged.", lambda shard: shard.relayed),
    ("makegood_shard_owned", "1 where this process decides for the shard.", lambda shard: int(shard.watch.owned)),
    ("makegood_shard_troubled", "1 where the shard can't go on: /readyz says why.", lambda shard: int(shard.trouble is not None)),
)


class Figures(Collector):
    """The figures of one process."""

    def __init__(self, service: str) -> None:
        """`service`: whose."""
        self.service = service
        self.group: Group | None = None
        """The process's share of the shards, once it has joined."""
        self.waits = ""
        """What it waits for before that, where it is known."""
        self.registry = CollectorRegistry()
        for also in (ProcessCollector, PlatformCollector, GCCollector):
            also(registry=self.registry)
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All figures, a sample for each shard of this process."""
        workers = list(self.group.workers.values()) if self.group else []
        for family, rows in ((CounterMetricFamily, COUNTERS), (GaugeMetricFamily, GAUGES)):
            for metric, words, of in rows:
                found = family(metric, words, labels=("service", "shard"))
                for worker in workers:
                    found.add_metric((self.service, str(worker.shard)), float(of(worker)))
                yield found
        outcomes = CounterMetricFamily("makegood_outcomes", "What became of the inputs.", labels=("service", "shard", "outcome"))
        fenced = CounterMetricFamily("makegood_fenced", "How often somebody else had a shard of this process.", labels=("service",))
        fenced.add_metric((self.service,), float(self.group.fenced if self.group else 0))
        lags = GaugeMetricFamily("makegood_lag", "Records that wait to be taken in.", labels=("service", "shard", "topic"))
        ages = GaugeMetricFamily("makegood_lag_seconds", "The age of the oldest of them.", labels=("service", "shard", "topic"))
        for worker in workers:
            for outcome, count in worker.watch.outcomes.items():
                outcomes.add_metric((self.service, str(worker.shard), outcome), float(count))
            for topic, lag in self.group.lags(worker).items() if self.group else ():
                lags.add_metric((self.service, str(worker.shard), topic), float(lag.records))
                ages.add_metric((self.service, str(worker.shard), topic), lag.seconds)
        yield from (outcomes, fenced, lags, ages)

    def wait(self, what: str) -> None:
        """It waits for this, before it joins; for nothing that is known, where it is empty."""
        self.waits = what

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether every shard that is ours is worked on, and what is the matter where one is not. How far behind it is, it says, too."""
        if self.group is not None and self.group.elsewhere:
            return False, {"service": self.service, "waits": f"for its own Kafka: {self.group.elsewhere}"}
        if self.group is None or not self.group.joined:
            return False, {"service": self.service, "waits": self.waits or "for PostgreSQL, Kafka or its share of the shards"}
        workers = sorted(self.group.workers.items())
        lags = [lag for _, worker in workers for lag in self.group.lags(worker).values()]
        behind = {"records": sum(lag.records for lag in lags), "seconds": round(max((lag.seconds for lag in lags), default=0.0), 1)}
        if silence := self.group.trouble:
            return False, {"service": self.service, "waits": f"for Kafka: {silence[1]}", "behind": behind}
        troubles = {str(shard): {"cause": trouble[0], "what": trouble[1]} for shard, worker in workers if (trouble := worker.trouble)}
        fine = not troubles and all(worker.watch.owned for _, worker in workers)
        return fine, {"service": self.service, "shards": [shard for shard, _ in workers], "behind": behind, "troubles": troubles}
