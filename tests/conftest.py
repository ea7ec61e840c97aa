import pytest
import structlog

structlog.configure(
    processors=[structlog.stdlib.add_log_level, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
)

LONGEST = ("tests/faults/test_chaos.py", "tests/faults/", "tests/journeys/", "tests/docs/", "tests/simulation/")
"""Where the tests are that take longest. They come first, so that no process waits for another's at the end."""


def pytest_collection_modifyitems(items):
    """Puts the longest first; otherwise the order stays."""
    items.sort(key=lambda item: next((n for n, place in enumerate(LONGEST) if item.nodeid.startswith(place)), len(LONGEST)))


@pytest.fixture(scope="session")
def servers():
    """Kafka and PostgreSQL, real ones, for the whole session; nothing is installed in them (tests/servers.py)."""
    from tests.servers import started  # noqa: PLC0415 - most tests need none of it

    with started() as found:
        yield found
