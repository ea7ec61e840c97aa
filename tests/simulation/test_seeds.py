"""Seeds of trouble, lived through in simulated time: the same seed is the same to the byte, and no guard is there in vain."""

import os
import subprocess
import sys

SEEDS, MOST_SECONDS = 60, 280
DECISIVE = 200
"""Within so many seeds the absence of each guard is noticed."""


def simulated(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *map(str, args)]
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=MOST_SECONDS, check=False
    )  # fmt: skip


def test_new_seeds_are_lived_through():
    ran = simulated("--seeds", SEEDS)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert f"{SEEDS} seeds" in ran.stdout


def test_the_same_seed_is_the_same_story_to_the_byte_in_every_process():
    first, again = (simulated("--seed", 7, PYTHONHASHSEED=hashes) for hashes in ("1", "2"))
    assert first.returncode == 0, first.stdout[-4000:] + first.stderr[-2000:]
    assert "digest" in first.stdout.splitlines()[-1]
    assert first.stdout == again.stdout


def test_each_guard_that_is_taken_away_is_missed():
    ran = simulated("--guards", "--seeds", DECISIVE)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]


def test_a_seed_that_fails_says_how_to_see_it_again():
    ran = simulated("--seeds", DECISIVE, "--first", 0, "--jobs", 1, "--without", "message_ids")
    assert ran.returncode == 1
    assert "again, with what happened: make simulate SEED=" in ran.stdout
