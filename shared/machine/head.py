"""The head of a shard: where everything stands. One row; whoever holds its lock decides."""

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.machine.bytes import GENESIS

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Outcome(enum.StrEnum):
    """What became of an input."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    REPEATED = "repeated"
    """Its message was answered before."""
    PARKED = "parked"
    WAITING = "waiting"
    """An earlier input of its stream is parked."""
    IGNORED = "ignored"
    """No concern of ours, or seen before under another offset."""
    PASSED_ON = "passed_on"
    """It belongs to another shard, which was asked."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last ledger row of another shard or service that was taken in."""

    position: int = 0
    hash: bytes = GENESIS
    """Of requests that were passed on: empty, since they lie between rows that we do not read."""


@dataclass(slots=True)
class Head:
    """Where a shard stands: all that the next batch begins with."""

    shard: int
    epoch: int = 0
    """Raised by whoever takes the shard over: an older owner finds it and stops."""
    entry: int = 0
    """The last journal entry."""
    journal_hash: bytes = GENESIS
    position: int = 0
    """The last ledger position."""
    hash: bytes = GENESIS
    now: datetime = LONG_AGO
    """Of the last batch: time never runs backwards within a shard."""
    policy: str = ""
    """The digest of the policy in force; empty before the first entry."""
    rules: int = 0
    """The version of the rules in force, the mind's and the machine's."""
    offsets: dict[str, int] = field(default_factory=dict)
    """The next offset of each input topic."""
    incarnations: dict[str, str] = field(default_factory=dict)
    """The topic ids that the offsets belong to."""
    seen: dict[str, Seen] = field(default_factory=dict)
    """By `service/shard`."""
    attempts: int = 0
    """How often a batch was tried since the last one that was committed."""
    trying: str = ""
    """The record that is being tried alone, and how often by now, as in `intake.commands/3/17#2`; empty for none."""
    sealed_at: datetime = LONG_AGO
    """When the journal's hash was last written into the ledger."""


class Stopped(Exception):
    """The shard can't go on until somebody or something changes: `cause` is a word, the message says what to do."""

    def __init__(self, cause: str, what: str) -> None:
        super().__init__(what)
        self.cause = cause


class Fenced(Exception):
    """Another process has the shard now."""
