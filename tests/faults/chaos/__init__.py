"""Chaos: real processes on a real broker and database, killed, frozen and cut off while load runs; then everything is checked.

    make chaos MINUTES=30            or, with a seed: .venv/bin/python -m tests.faults.chaos 30 --seed 7

`fleet` has the processes; `plan` draws the load from the seed and `load` sends it, noting what Kafka acknowledged and what was answered
over HTTP; `faults` does the damage, at random in a storm and one by one where the recovery is timed; `checks` and what it calls look at
what is left when all has caught up by itself. Whatever is not as it must be is a violation: the run ends with 1 and its folder stays.
"""
