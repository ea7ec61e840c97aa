"""Waiting for PostgreSQL to come back: what passes by itself is tried again, for as long as it takes."""

import asyncpg
import stamina

PASSING = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What a database that restarts, ends sessions or is out of connections raises."""

patiently = stamina.retry(on=PASSING, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.1)
"""Decorates an async function that only reads, or whose writing may be repeated."""
