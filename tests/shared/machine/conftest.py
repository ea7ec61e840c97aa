"""What the machine's tests stand on."""

import pytest

from tests.shared.machine.live import Live


@pytest.fixture
async def live(servers):
    """An installation of the test's own, without a member yet."""
    found = Live(await servers.fresh_installation())
    yield found
    await found.stop()
