import pytest
import structlog

structlog.configure(
    processors=[structlog.stdlib.add_log_level, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
)


@pytest.fixture(scope="session")
def servers():
    """Kafka and PostgreSQL, real ones, for the whole session; nothing is installed in them (tests/servers.py)."""
    from tests.servers import started  # noqa: PLC0415 - most tests need none of it

    with started() as found:
        yield found
