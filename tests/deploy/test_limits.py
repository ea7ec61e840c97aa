"""Every limit has a name, and says what it bounds."""

import re

import pytest

from deploy.reference import limits

FOUND = [limit for room in limits.ROOMS for limit in limits.limits(room)]
UNBOUNDED = re.compile(r"asyncio\.Queue\(\)|queue\.(Simple)?Queue\(\)|asyncio\.(Lifo|Priority)Queue\(\)")


@pytest.mark.parametrize("limit", FOUND, ids=lambda limit: f"{limit.module}:{limit.name}")
def test_a_limit_says_what_it_bounds(limit):
    assert limit.about


def test_they_are_found_by_their_names():
    names = {f"{one.module}:{one.name}" for one in FOUND}
    assert {
        "shared.machine.worker:BATCH_BYTES",
        "shared.machine.worker:PAUSE_MAX_SECONDS",
        "services.console.api.crowd:REQUESTS_MAX",
    } <= names


def test_no_queue_is_without_a_limit():
    places = [path for room in ("shared", "services", "deploy") for path in (limits.ROOT / room).rglob("*.py")]
    assert places
    assert [path.name for path in places if UNBOUNDED.search(path.read_text())] == []
