"""`make simulate SEEDS=n`, `make simulate SEED=n`, `make guards`."""

import argparse
import os
import secrets
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.guards import GUARDS
from tests.simulation.seeds import missed, run, run_all

SHORTENED = 40


def main() -> int:
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--seed", type=int, help="run this one, with its trace")
    said.add_argument("--seeds", type=int, default=2_000, help="how many")
    said.add_argument("--first", type=int, help="where to begin; new ones every time, if it is left out")
    said.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    said.add_argument("--without", choices=sorted(GUARDS), default="", help="with this guard taken away")
    said.add_argument("--guards", action="store_true", help="take each guard away, and count the seeds until it is missed")
    told = said.parse_args()
    if told.seed is not None:
        return one(told.seed, told.without)
    if told.guards:
        return guards(told.jobs, told.seeds)
    first = told.first if told.first is not None else secrets.randbelow(10**9)
    return many(first, told.seeds, told.jobs, told.without)


def one(seed: int, without: str) -> int:
    ran = run(seed, trace=True, without=without)
    print("\n".join(ran.trace))
    print(ran.failure or f"seed {seed}: all held, digest {ran.digest[:16]}, {ran.inputs} inputs, {ran.seconds:.0f} s simulated")
    return 1 if ran.failure else 0


def many(first: int, count: int, jobs: int, without: str) -> int:
    print(f"{count} seeds from {first}, by {jobs} processes")
    began, ran, inputs, seconds = time.monotonic(), 0, 0, 0.0
    for one_of_them in run_all(range(first, first + count), jobs, without):
        ran, inputs, seconds = ran + 1, inputs + one_of_them.inputs, seconds + one_of_them.seconds
        if one_of_them.failure:
            print("\n".join(run(one_of_them.seed, trace=True, without=without).trace[-SHORTENED:]))
            # Last: of a long log, its end is shown.
            print(f"\nseed {one_of_them.seed}: {one_of_them.failure}\nagain, with what happened: make simulate SEED={one_of_them.seed}")
            return 1
        if ran % 1_000 == 0:
            print(f"  {ran} seeds, {ran / (time.monotonic() - began):.0f} a second", flush=True)
    took = time.monotonic() - began
    print(f"{ran} seeds, {inputs} inputs, {seconds / 3600:.1f} h simulated, in {took:.0f} s: all that must hold held in every one")
    return 0


def guards(jobs: int, most: int) -> int:
    print(f"{'guard':32} {'seeds':>6}  what gave its absence away")
    unmissed = 0
    with ProcessPoolExecutor(jobs) as pool:
        for name, seeds, failure in pool.map(missed, GUARDS, [most] * len(GUARDS)):
            unmissed += not failure
            print(f"{name:32} {seeds:6}  {failure[:150] or 'NOTHING: nobody would notice'}", flush=True)
    return 1 if unmissed else 0


if __name__ == "__main__":
    sys.exit(main())
