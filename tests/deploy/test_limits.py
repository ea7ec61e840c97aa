"""Every limit has a name, and says what it bounds."""

import re

import pytest

from deploy.reference import limits

FOUND = [limit for room in limits.ROOMS for limit in limits.limits(room)]
UNBOUNDED = re.compile(r"asyncio\.Queue\(\)|queue\.(Simple)?Queue\(\)|asyncio\.(Lifo|Priority)Queue\(\)")
UNNAMED = re.compile(r"(sleep|timeout)\((?!0\))[0-9]|\b(timeout|wait_\w+)=[0-9]")
"""A pause, or a patience, that has no name."""


@pytest.mark.parametrize("limit", FOUND, ids=lambda limit: f"{limit.module}:{limit.name}")
def test_a_limit_says_what_it_bounds(limit):
    assert limit.about


def test_they_are_found_by_their_names():
    names = {f"{one.module}:{one.name}" for one in FOUND}
    assert {
        "shared.machine.worker:BATCH_BYTES",
        "shared.machine.worker:PAUSE_MAX_SECONDS",
        "services.console.api.crowd:REQUESTS_MAX",
        "shared.machine.tail:LOOKED_BACK",
        "shared.machine.patience:PAUSE_MAX_SECONDS",
        "deploy.rebuild.projections:TRIES",
        "deploy.cli.settling:SEND_SECONDS",
    } <= names


def test_they_are_all_of_them():
    """Each folder of the code is a room, lies in one, or bounds nothing."""
    files = [path for room in ("shared", "services", "deploy") for path in (limits.ROOT / room).rglob("*.py")]
    rooms = [limits.ROOT / room for room in (*limits.ROOMS, *limits.ELSEWHERE)]
    left_out = [path for path in files if path.name != "__init__.py" and not any(room in {path, *path.parents} for room in rooms)]
    assert left_out == []
    assert len(FOUND) == len({(one.module, one.name) for one in FOUND}), "none stands in two rooms"
    assert [path for path in files if "simulation" not in path.parts and UNNAMED.search(path.read_text())] == []


def test_no_queue_is_without_a_limit():
    places = [path for room in ("shared", "services", "deploy") for path in (limits.ROOT / room).rglob("*.py")]
    assert places
    assert [path.name for path in places if UNBOUNDED.search(path.read_text())] == []
