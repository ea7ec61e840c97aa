"""Rows read in a thread of their own, a bounded number ahead, and handed on as they come: nobody waits for a pipe that is silent."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from deploy.feed.reading import Line

ROWS_MAX = 500
"""Read and not yet taken, at most."""


class Ahead:
    """Reads on while others work. Used as a context, in the loop that takes; whoever leaves it early does not wait for the next row."""

    def __init__(self, lines: Iterator[Line]) -> None:
        """`lines`: all rows; they are read in the thread alone."""
        self._lines = lines
        self._read: deque[Line] = deque()
        self._room = threading.Semaphore(ROWS_MAX)
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._ended = self._left = False
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        """Begins to read."""
        threading.Thread(target=self._run, name="reading", daemon=True).start()  # a read from a pipe cannot be interrupted
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Reads no further."""
        self._left = True
        self._room.release()

    async def taken(self) -> Sequence[Line]:
        """What has been read since, at least a row; empty at the end. Raises what reading raises, after the rows before it."""
        while True:
            ended = self._ended  # asked first: what was read before the end is there then
            if self._read:
                break
            if ended:
                if self._error:
                    raise self._error
                return ()
            self._changed.clear()
            if not self._read and not self._ended:
                await self._changed.wait()
        found = [self._read.popleft() for _ in range(len(self._read))]
        self._room.release(len(found))
        return found

    def _run(self) -> None:
        try:
            for line in self._lines:
                self._room.acquire()
                if self._left:
                    return
                self._read.append(line)
                self._tell()
        except Exception as error:  # noqa: BLE001 - whoever takes the rows is told
            self._error = error
        finally:
            self._ended = True
            self._tell()

    def _tell(self) -> None:
        if not self._changed.is_set():
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                self._loop.call_soon_threadsafe(self._changed.set)
