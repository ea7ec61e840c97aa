"""What every service's machine says, whatever its stage: refusals, parked inputs, timers, the policy, sealed journals."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from shared.contract.said import Command, Event, by_type
from shared.contract.values import PERSONAL, At, Generation, Label, Reference, ShortText

CORRECTED_MAX = 500_000
"""Of a corrected body, in characters."""
Shard = Annotated[int, Field(ge=0, le=1_000_000)]
Entry = Annotated[int, Field(ge=1, le=10**18)]
"""A place in a shard's journal."""
Before = Literal["parked", "waiting"]
"""What an input was before it was decided again."""


class TimerDue(Command):
    """A timer came due. An input like any other: journalled with the `now` that made it due."""

    type: ClassVar[str] = "machine.TimerDue.v1"
    stream: ClassVar[str] = "*"
    internal: ClassVar[bool] = True

    timer: Label
    due_at: At
    generation: Generation = 1


class PublishPolicy(Command):
    """A policy, as an input of every shard. `policy` is the whole document; decisions from here on use it."""

    type: ClassVar[str] = "machine.PublishPolicy.v1"
    stream: ClassVar[str] = "shard"

    policy: dict[str, Any]


class RetryParked(Command):
    """Decide a parked input again, then those that wait behind it, in order. A person answers for it. Sent to the shard's own partition."""

    type: ClassVar[str] = "machine.RetryParked.v1"
    stream: ClassVar[str] = "shard"

    shard: Shard
    entry: Entry
    """The journal entry of the parked input."""
    reason: ShortText
    """Names nobody: it concerns the fault."""
    body: Annotated[str, Field(min_length=1, max_length=CORRECTED_MAX, json_schema_extra=PERSONAL)] | None = None
    """What the input should have said, whole; absent, it is decided as it was received. Its key and headers stay."""


class DiscardParked(Command):
    """Give a parked input up: whoever sent it is told so, with the reason; those that wait behind it are decided, in order."""

    type: ClassVar[str] = "machine.DiscardParked.v1"
    stream: ClassVar[str] = "shard"

    shard: Shard
    entry: Entry
    """The journal entry of the parked input."""
    reason: ShortText
    """Names nobody: whoever sent it is told it, too."""


class CommandRefused(Event):
    """A command was refused. Whoever asked gets this answer; the audit shows what was tried."""

    type: ClassVar[str] = "machine.CommandRefused.v1"

    command: Reference
    """The stored type name of what was asked."""
    rule: Label
    why: Annotated[str, Field(max_length=2000)]
    invariant: int | None = None
    details: dict[str, Any] | None = None


class NothingChanged(Event):
    """A command was accepted and had nothing to do: what it asks for is so already."""

    type: ClassVar[str] = "machine.NothingChanged.v1"

    command: Reference


class MessageRepeated(Event):
    """This message was answered before: the answer stands where this says. Nothing happens twice."""

    type: ClassVar[str] = "machine.MessageRepeated.v1"

    command: Reference
    entry: int
    """The journal entry of the first one."""
    first_position: int
    """The ledger position of its first event; 0 where nothing came of it yet (it is parked or waits)."""
    events: int


class InputParked(Event):
    """An input could not be decoded, or a mind failed on it. Its bytes are in the journal at `entry`; nothing of them is here.

    Decided again in vain, it stays parked under the same entry: `before` says what it was until then.
    """

    type: ClassVar[str] = "machine.InputParked.v1"

    entry: int
    topic: Reference
    partition: int
    offset: int
    cause: Literal["undecodable", "mind_failed", "process_died", "misplaced", "out_of_turn"]
    """`out_of_turn`: decided again, it would belong to another stream, or to one that waits for another parked input."""
    reason: Annotated[str, Field(max_length=2000)]
    before: Before | None = None


class InputWaiting(Event):
    """An earlier input of this stream is parked; this one waits behind it, in order."""

    type: ClassVar[str] = "machine.InputWaiting.v1"

    entry: int
    behind: int
    """The journal entry of the parked input; 0 where that one is settled, and those that waited are being decided."""


class InputTakenUp(Event):
    """An input that was parked, or waited, was decided: its other events, before this one, say how."""

    type: ClassVar[str] = "machine.InputTakenUp.v1"

    entry: int
    """Where it lies in the journal, as it was received."""
    before: Before


class ParkedRetried(Event):
    """Somebody had a parked input decided again. What came of it stands in the events that follow, under its own message id."""

    type: ClassVar[str] = "machine.ParkedRetried.v1"

    entry: int
    reason: ShortText
    corrected: bool
    """Whether another body took the place of its own; both are in the journal."""


class ParkedDiscarded(Event):
    """Somebody gave a parked input up. Whoever sent it is told so by the event that follows, under its own message id."""

    type: ClassVar[str] = "machine.ParkedDiscarded.v1"

    entry: int
    reason: ShortText


class PolicyAdopted(Event):
    """From here on this shard decides under this policy."""

    type: ClassVar[str] = "machine.PolicyAdopted.v1"

    name: Label
    version: int
    digest: Reference
    """SHA-256 of the policy's document, in hex."""


class JournalSealed(Event):
    """The journal's hash as of an entry, written into the ledger, so that the ledger's chain vouches for the journal's too."""

    type: ClassVar[str] = "machine.JournalSealed.v1"

    entry: int
    hash: ShortText


MACHINE_EVENTS = by_type((
    CommandRefused, NothingChanged, MessageRepeated, InputParked, InputWaiting, InputTakenUp, ParkedRetried, ParkedDiscarded, PolicyAdopted,
    JournalSealed,
))  # fmt: skip
SETTLING: Mapping[str, type[RetryParked | DiscardParked]] = {RetryParked.type: RetryParked, DiscardParked.type: DiscardParked}
"""What an operator asks of a shard, whatever the service, by stored type name."""

NOT_TAKEN: Mapping[str, Literal["refused", "parked", "waiting"]] = {
    CommandRefused.type: "refused",
    InputParked.type: "parked",
    InputWaiting.type: "waiting",
}
"""What became of an input of which nothing came, by the event that says so."""
