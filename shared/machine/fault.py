"""What a proof finds: where the ledger, the journal or what was made from them is not what it must be."""

from dataclasses import dataclass


class ProofFailed(Exception):
    """The first thing that is not as it must be; `fault` says where."""

    def __init__(self, fault: "Fault") -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Fault:
    """Where, and what."""

    service: str
    shard: int | None
    """None for what all shards of the service share."""
    what: str
    position: int | None = None
    """In the ledger."""
    entry: int | None = None
    """In the journal."""

    def __str__(self) -> str:
        """As people read it: `intake, shard 3, position 17: …`."""
        where = [self.service]
        where += [f"shard {self.shard}"] if self.shard is not None else []
        where += [f"position {self.position}"] if self.position is not None else []
        where += [f"journal entry {self.entry}"] if self.entry is not None else []
        return f"{', '.join(where)}: {self.what}"
