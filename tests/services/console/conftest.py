import asyncio

import asyncpg
import pytest

from tests.services.console.beside import stood_beside
from tests.system import system  # noqa: F401 - a fixture


@pytest.fixture
async def beside(system):  # noqa: F811
    """A console in this process, beside the system's own, which projects for both (beside.py)."""
    async with stood_beside(system) as found:
        yield found


@pytest.fixture
async def console_tables(system):  # noqa: F811
    """A connection to the console's tables. What it writes is gone when the test ends."""
    connection = await asyncpg.connect(system.stack.owner_dsn, server_settings={"search_path": "console"})
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await asyncio.wait_for(connection.close(), 5)
