"""Two minutes of chaos, as CI runs it: `make chaos MINUTES=30` is the same for longer."""

import pytest

from tests.faults.chaos.__main__ import chaos

SEED = 1
RATE = 4.0
"""Complaints a second: half of what a longer run has, since other tests run beside it."""


@pytest.mark.timeout(900)
async def test_killed_frozen_and_cut_off_at_random_nothing_is_lost_doubled_or_told_wrongly():
    report = await chaos(2, SEED, RATE)
    assert report.counts["fences fired"] > 0
    assert report.counts["service killed"] >= 3
