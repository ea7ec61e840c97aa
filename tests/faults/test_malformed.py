"""A few thousand records as no one should send them; `make fuzz` sends more."""

from collections import Counter

from tests.faults.fuzz import MIB, fuzz
from tests.faults.malformed import BUG, FAULTS, VALID, records

RECORDS, SEED, SHARDS = 2_000, 20, 4
MEMORY_MAX = 300 * MIB
"""By so much may the process grow meanwhile: it holds what is under way, and streams that it remembers."""


def test_the_same_seed_makes_the_same_records_and_every_fault_has_its_turn():
    made = [list(records(seed, 20_000, SHARDS)) for seed in (SEED, SEED, SEED + 1)]
    assert made[0] == made[1] != made[2]
    assert {record.fault for record in made[0]} == {*FAULTS, VALID}


async def test_each_is_accounted_for_byte_for_byte_and_none_stops_its_neighbours(servers):
    found = await fuzz(await servers.fresh_installation(shards=SHARDS), SEED, RECORDS)
    assert len(found.sent) + found.not_taken.total() == RECORDS
    ended = sum(found.outcomes.values(), start=Counter())
    assert ended.keys() >= {"accepted", "refused", "repeated", "parked", "passed_on"}
    assert found.causes.keys() == {"undecodable", "mind_failed"}, found.causes
    assert found.outcomes[VALID].keys() <= {"accepted", "passed_on"}
    assert found.outcomes[BUG].keys() & {"parked", "passed_on"}
    assert max(found.memory) - found.memory[0] < MEMORY_MAX
