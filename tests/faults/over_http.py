"""A running console, asked what its OpenAPI document allows and what it does not: whatever it answers, it is no fault of its own.

`make fuzz-http REQUESTS=50000 SEED=1` says what it answered.
"""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.system import System, started

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
    for number, operation in enumerate(operations):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            left = requests - found.requests
            turns = 2 * (len(operations) - number) - (mode is GenerationMode.NEGATIVE)
            answers = found.answers.setdefault(_name(operation), Counter())
            _ask(operation, mode, left // turns, of_seed=of_seed, answers=answers, known=known)
        sys.stderr.write(f"{found.requests:,} requests so far, the last of {_name(operation)}\n")
    found.seconds = time.monotonic() - began
    return found


def _name(operation: Any) -> str:
    return f"{operation.method.upper()} {operation.path}"


def _ask(operation: Any, mode: GenerationMode, requests: int, *, of_seed: int, answers: Counter[int], known: list[str]) -> None:
    @seed(of_seed)
    @settings(
        max_examples=max(1, requests), suppress_health_check=list(HealthCheck), deadline=None, database=None, phases=[Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), about=st.sampled_from([None, *known]))
    def asks(case: Any, about: str | None) -> None:
        for name in ("complaint", "complaint_id"):
            if about is not None and name in (case.path_parameters or {}):
                case.path_parameters[name] = about
        answer = case.call(timeout=TIMEOUT_SECONDS)
        answers[answer.status_code] += 1
        what = f"{answer.status_code} to {case.as_curl_command()}: {answer.text[:500]}"
        assert answer.status_code < 500, what
        kind = answer.headers.get("content-type", [""])[0]
        assert answer.status_code < 400 or kind == PROBLEM or kind.startswith("text/html"), what

    try:
        asks()
    except Exception as error:
        if type(error).__name__ != "Unsatisfiable":  # there is nothing that it must not be asked
            raise


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
