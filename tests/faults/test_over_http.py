"""Some hundreds of requests as no one should send them; `make fuzz-http` sends more."""

from tests.faults.over_http import ask

REQUESTS, SEED = 600, 20


def test_whatever_is_asked_it_is_no_fault_of_ours(system):
    found = ask(system, REQUESTS, SEED)
    assert found.requests >= REQUESTS // 2
    statuses = set().union(*(counts.keys() for counts in found.answers.values()))
    assert statuses >= {200, 202, 404, 422}, "some were understood, and some were not"
