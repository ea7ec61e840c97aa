"""The clocks of this process: the one place of the machine that reads them. A simulation gives each of its processes others."""

import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Protocol

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""It goes on while the machine sleeps."""


class Clocks(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """The machine's wall clock. It may be wrong, and be set."""

    def passed(self) -> float:
        """Seconds since some moment, the same for the process's life: never set, and not stopped by the machine's sleep."""


class _System:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def passed(self) -> float:
        return time.clock_gettime(_SINCE_BOOT)


_SYSTEM = _System()
CLOCKS: ContextVar[Clocks] = ContextVar("clocks", default=_SYSTEM)
"""Those of the process that asks."""


def now() -> datetime:
    """What the wall clock says."""
    return CLOCKS.get().now()


def passed() -> float:
    """Seconds since some moment: for how long something takes."""
    return CLOCKS.get().passed()
