"""What a process remembers of a shard between batches. It can't lie: it is used only while the head is the one that it wrote itself."""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

from shared.machine.deciding import Batch
from shared.machine.head import Head
from shared.machine.held import Key
from shared.machine.rows import Live

STREAMS_MAX = 20_000
"""Most streams remembered of one shard."""


class Cache:
    """One shard's streams, as last committed."""

    def __init__(self) -> None:
        self.streams: OrderedDict[Key, Live] = OrderedDict()
        self.next_due: datetime | None = None
        """When the next timer is due; None for never."""
        self._seen: tuple[int, int, bytes] | None = None

    def forget(self) -> None:
        """Something is unknown: a commit that gave no answer, a lost connection, a new epoch."""
        self.streams.clear()
        self.next_due = None
        self._seen = None

    def holds(self, head: Head) -> bool:
        """Whether this is the head that was last seen committed. Where it is not, all is forgotten."""
        if self._seen == (head.epoch, head.entry, head.journal_hash):
            return True
        self.forget()
        return False

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Those of these streams that are not remembered, each once."""
        return [key for key in dict.fromkeys(keys) if key not in self.streams]

    def committed(self, batch: Batch, loaded: dict[Key, Live], next_due: datetime | None) -> None:
        """A batch was committed: what it touched, and what it had to read, is as it left it. The longest unused are forgotten."""
        for key, live in (loaded | batch.touched).items():
            self.streams[key] = live
            self.streams.move_to_end(key)
            if _is_done(batch, live):
                self.streams.move_to_end(key, last=False)
        while len(self.streams) > STREAMS_MAX:
            self.streams.popitem(last=False)
        head = batch.head
        self.next_due = next_due
        self._seen = head.epoch, head.entry, head.journal_hash


def _is_done(batch: Batch, live: Live) -> bool:
    """Whether the stream's mind says that it may be forgotten first."""
    stream = batch.mind.streams.get(live.kind)
    return stream is not None and stream.is_closed(live.state)
