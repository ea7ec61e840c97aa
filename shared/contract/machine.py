"""What every service's machine says, whatever its stage: refusals, parked inputs, timers, the policy, sealed journals."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from shared.contract.said import Command, Event, by_type
from shared.contract.values import At, Generation, Label, Reference, ShortText


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
    """An input could not be decoded, or a mind failed on it. Its bytes are in the journal at `entry`; nothing of them is here."""

    type: ClassVar[str] = "machine.InputParked.v1"

    entry: int
    topic: Reference
    partition: int
    offset: int
    cause: Literal["undecodable", "mind_failed", "process_died", "misplaced"]
    reason: Annotated[str, Field(max_length=2000)]


class InputWaiting(Event):
    """An earlier input of this stream is parked; this one waits behind it, in order."""

    type: ClassVar[str] = "machine.InputWaiting.v1"

    entry: int
    behind: int
    """The journal entry of the parked input."""


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


MACHINE_EVENTS = by_type((CommandRefused, NothingChanged, MessageRepeated, InputParked, InputWaiting, PolicyAdopted, JournalSealed))

NOT_TAKEN: Mapping[str, Literal["refused", "parked", "waiting"]] = {
    CommandRefused.type: "refused",
    InputParked.type: "parked",
    InputWaiting.type: "waiting",
}
"""What became of an input of which nothing came, by the event that says so."""
