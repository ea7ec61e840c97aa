"""Waiting for PostgreSQL to come back: what passes by itself is tried again, for as long as it takes."""

import asyncio

import asyncpg
import stamina

PASSING = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What a database that restarts, ends sessions or is out of connections raises."""
PAUSE_FIRST_SECONDS = 0.1
"""Before PostgreSQL is asked again; then twice as long,"""
PAUSE_MAX_SECONDS = 0.2
"""Up to so long, and a quarter of it by chance: it is asked often whether it is back, since that costs it little."""


def is_told_to_end() -> bool:
    """Whether the running task was cancelled.

    A connection that is lost while its user is cancelled raises what was lost, not that it was cancelled: who only looked at the error
    would try again, for ever, and whoever waits for the task's end would wait as long.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_worth_waiting(error: Exception) -> bool:
    return isinstance(error, PASSING) and not is_told_to_end()


patiently = stamina.retry(
    on=_is_worth_waiting, attempts=None, timeout=None, wait_initial=PAUSE_FIRST_SECONDS, wait_max=PAUSE_MAX_SECONDS,
    wait_jitter=PAUSE_MAX_SECONDS / 4,
)  # fmt: skip
"""Decorates an async function that only reads, or whose writing may be repeated."""
