"""Reading records whose header names are not UTF-8.

Kafka's protocol says that they are, and no broker checks it: a client in C may write anything. aiokafka's reader fails on such a record
before anybody has seen it, and the partition would stand still for ever. Once one was met, the process reads with aiokafka's pure Python
reader, slower, in which such a name is kept byte for byte (`surrogateescape`), so that the record can be parked.
"""

from typing import Any

import structlog
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

MAGIC_OFFSET = 16
NEWEST = 2
"""The record format since Kafka 0.11; older ones have no headers."""

log = structlog.get_logger()


class _Bytes(bytearray):
    """Bytes that decode whatever they are."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Bytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:  # noqa: ARG002 - they decode whatever they are
        return super().decode(encoding, "surrogateescape")


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]  # the library has no types
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _Bytes):
            self._buffer = _Bytes(self._buffer)


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self) -> Any:
        next_slice = self._next_slice
        if next_slice is None or next_slice[MAGIC_OFFSET] < NEWEST:
            return super().next_batch()
        self._cache_next()
        return _Batch(next_slice)


def read_leniently() -> None:
    """From now on this process reads records of any header names."""
    if fetcher.MemoryRecords is not _Records:
        log.warning("reading_leniently", why="a record has a header name that is not UTF-8")
        fetcher.MemoryRecords = _Records
