"""A running console, asked what its OpenAPI document allows and what it does not: whatever it answers, it is no fault of its own.

`make fuzz-http REQUESTS=50000 SEED=1` says what it answered.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from requests import Session
from schemathesis import GenerationMode

from tests.system import System, started

WAYS = 8
"""In so many ways each case is asked."""
HEADERS = {
    "Idempotency-Key": ["once", "twice", "x" * 200, "x" * 201, "\u00e9"],
    "Makegood-Actor": ["person:anna", "system:cron", "nobody", "person:a b", ""],
    "Prefer": ["wait=0", "wait=1", "wait=x", "respond-async", "wait=99999999999999999999"],
    "Accept": ["text/html", "application/json", "*/*", "image/png"],
    "Content-Type": ["application/json", "text/plain", "application/json; charset=utf-16"],
    "traceparent": ["00-" + "1" * 32 + "-" + "1" * 16 + "-01", "00-0-0-0"],
    "Host": ["localhost", "evil.example", "127.0.0.1:1"],
}
KNOWN = 5
"""So many complaints there are, which every other request about one is about."""
TIMEOUT_SECONDS = 60.0
PROBLEM = "application/problem+json"


@dataclass
class Asked:
    """What was answered."""

    answers: dict[str, Counter[int]] = field(default_factory=dict)
    """By operation, how often each status."""
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(counts.total() for counts in self.answers.values())


def ask(system: System, requests: int, of_seed: int) -> Asked:
    """Asks so many, about evenly of every operation, half of them as they should not be. Raises AssertionError at a fault of ours."""
    known = [str(system.submit()) for _ in range(KNOWN)]
    document: Any = schemathesis.openapi.from_url(f"{system.console}/openapi.json")
    operations = [one.ok() for one in document.get_all_operations()]
    found, began = Asked(), time.monotonic()
    with Session() as session:
        for number, operation in enumerate(operations):
            answers = found.answers.setdefault(f"{operation.method.upper()} {operation.path}", Counter())
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                turns = 2 * (len(operations) - number) - (mode is GenerationMode.NEGATIVE)
                cases = -(-(requests - found.requests) // turns // WAYS)
                _ask(operation.as_strategy(generation_mode=mode), max(1, cases), of_seed, partial(_each_way, session, known, answers))
            sys.stderr.write(f"{found.requests:,} requests so far\n")
    found.seconds = time.monotonic() - began
    return found


def _ask(cases: Any, count: int, of_seed: int, each: Callable[[Any, random.Random], None]) -> None:
    @seed(of_seed)
    @settings(max_examples=count, suppress_health_check=list(HealthCheck), deadline=None, database=None, phases=[Phase.generate])
    @given(case=cases, dice=st.randoms(use_true_random=False))
    def asks(case: Any, dice: random.Random) -> None:
        each(case, dice)

    with suppress(Unsatisfiable):  # there is nothing that it must not be asked
        asks()


def _each_way(session: Session, known: Sequence[str], answers: Counter[int], case: Any, dice: random.Random) -> None:
    """Asks it as it is, and then about complaints that there are, under keys that were used before, by others, in other words."""
    for way in range(WAYS):
        headers = {}
        if way:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = dice.choice((*known, case.path_parameters[name]))
            headers = {name: dice.choice(values) for name, values in HEADERS.items() if dice.random() < 0.3}
        answer = case.call(session=session, timeout=TIMEOUT_SECONDS, headers=headers)
        answers[answer.status_code] += 1
        what = f"{answer.status_code} to {case.as_curl_command()} with {headers}: {answer.text[:500]}"
        assert answer.status_code < 500, what
        kind = answer.headers.get("content-type", [""])[0]
        assert answer.status_code < 400 or kind == PROBLEM or kind.startswith("text/html"), what


def main(requests: int, of_seed: int) -> None:
    with started() as system:
        found = ask(system, requests, of_seed)
    width = max(map(len, found.answers))
    lines = [
        f"{found.requests:,} requests by seed {of_seed} in {found.seconds:.0f} s, none of them answered with 5xx",
        *(f"  {name:{width}}  {dict(sorted(counts.items()))}" for name, counts in sorted(found.answers.items())),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
