"""Waiting for PostgreSQL to come back: what passes by itself is tried again, for as long as it takes."""

import asyncio

import asyncpg
import stamina

PASSING = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What a database that restarts, ends sessions or is out of connections raises."""


def is_told_to_end() -> bool:
    """Whether the running task was cancelled.

    A connection that is lost while its user is cancelled raises what was lost, not that it was cancelled: who only looked at the error
    would try again, for ever, and whoever waits for the task's end would wait as long.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_worth_waiting(error: Exception) -> bool:
    return isinstance(error, PASSING) and not is_told_to_end()


patiently = stamina.retry(on=_is_worth_waiting, attempts=None, timeout=None, wait_initial=0.1, wait_max=0.2, wait_jitter=0.05)
"""Decorates an async function that only reads, or whose writing may be repeated."""
