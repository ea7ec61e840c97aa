"""What a doctor looks at: facts, not judgements. What could not be looked at is None, with the reason."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deploy.database import Installation
from deploy.status import Status
from deploy.topics import topics_with
from shared.machine.head import Head

Shard = tuple[str, int]
"""A service and one of its shards."""
Partition = tuple[str, int]
NOT_INSTALLED = "nothing is installed in it"
"""Why a database could not be looked at that answers."""


class Level(enum.StrEnum):
    """How a finding is meant."""

    FINE = "fine"
    NOTE = "note"
    """Worth knowing; nothing need be done."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what is to be said about it."""

    level: Level
    about: str
    what: str
    do: str = ""
    """What to do; only of what is wrong."""
    sql: str = ""
    """What to do in the database, as its owner; after `do`."""


@dataclass(frozen=True)
class KafkaSeen:
    """What Kafka has."""

    cluster_id: str
    partitions: Mapping[str, int]
    """By topic; ours only."""
    ids: Mapping[str, str]
    """The topics' ids."""
    ranges: Mapping[Partition, tuple[int, int]]
    """The first offset that is there, and the one after the last."""
    configs: Mapping[str, Mapping[str, str]]
    """The topics' settings."""
    wanted: Mapping[str, Mapping[str, str]] = field(default_factory=topics_with)
    """The topics that there must be, with the settings they must have."""
    newest: Mapping[Shard, tuple[int, bytes]] = field(default_factory=dict)
    """The position and the hash of the last event that Kafka has of a ledger, where it has any."""
    members: Mapping[str, int] = field(default_factory=dict)
    """By service, and for the console: how many processes are at work."""


@dataclass(frozen=True)
class Behind:
    """How far a reader of a ledger is, and since when it is not further."""

    position: int
    oldest_at: datetime | None
    """When the first event that it has not was decided; None where it has all."""


@dataclass(frozen=True)
class DatabaseSeen:
    """What the database has."""

    installation: Installation
    heads: Mapping[str, Sequence[Head]]
    """By service, in the order of the shards."""
    relayed: Mapping[Shard, Behind]
    placed: Mapping[Shard, Behind]
    """How far the console is."""
    parked: Mapping[str, Mapping[str, int]]
    """By service, how many inputs by the cause for which they are parked; `waiting` for those behind them."""
    policies: Mapping[str, str]
    """Names and versions, by digest."""
    settings: Mapping[str, str]
    """PostgreSQL's own."""
    clock: datetime
    clock_apart: timedelta
    """How far PostgreSQL's clock is ahead of this machine's."""
    migrations: Mapping[str, str]
    """By schema: what does not fit this release, in words; empty where all fits."""
    damaged: Sequence[str] = ()
    """What is stored and is not what was written, in words."""


@dataclass(frozen=True)
class Seen:
    """All that was looked at."""

    home: str
    outside: bool
    """Whether the servers are somebody else's to run."""
    status: Status
    kafka: KafkaSeen | None = None
    kafka_silence: str = ""
    """Why Kafka could not be looked at."""
    database: DatabaseSeen | None = None
    database_silence: str = ""
    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    running_release: str = ""
    installed_release: str = ""
