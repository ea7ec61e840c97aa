"""The ten hops of an input through the system, and the code of each: what ARCHITECTURE tells, and `makegood follow` shows for a real one.

A test imports every name that stands here.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop."""

    name: str
    code: str
    """`module:function`. Of the hops that are a mind's, intake's stand for all."""
    does: str


HOPS = (
    Hop("record", "shared.machine.worker:Worker.offer", "A record on Kafka reaches the process that has its shard."),
    Hop("decode", "shared.machine.told:Reader.record", "It is read as far as it can be read: which command, for which stream, from whom."),
    Hop("lock head", "shared.machine.store:lock_head", "The shard's one row is locked: whoever holds it decides, and nobody else."),
    Hop("decide", "services.intake.complaint:decide", "The mind is asked: the stream's state and the command give events, or a refusal."),
    Hop("evolve", "services.intake.complaint:evolve", "The events give the stream's next state."),
    Hop("append", "shared.machine.rows:Rows.write", "One row in the journal for what was told, one in the ledger for each event, chained."),
    Hop("commit", "shared.machine.store:write", "Journal, ledger, state, timers and offsets, in one transaction: all of it, or nothing."),
    Hop("relay", "shared.machine.relay:Relay.run", "The ledger's rows go to Kafka, in order; the ledger is the outbox."),
    Hop("project", "services.console.projections.queue:Queue.project", "The console takes the events in, each once, its chain checked."),
    Hop("page", "services.console.pages:complaint", "Somebody looks at it."),
)

MINDS: Mapping[str, str] = {
    "complaint": "services.intake.complaint",
    "case": "services.resolution.case",
    "learning": "services.rootcause.learning",
    "problem": "services.rootcause.problem",
}
"""Where each kind of stream is decided."""


def code_of(hop: Hop, kind: str) -> str:
    """The code of a hop for a stream of this kind; the machine's own where no mind was asked."""
    module, _, function = hop.code.partition(":")
    if module != MINDS["complaint"]:
        return hop.code
    return f"{MINDS[kind]}:{function}" if kind in MINDS else "shared.machine.deciding:Batch.take"
