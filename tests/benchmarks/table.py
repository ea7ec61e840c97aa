"""What a run has found: one table, a line as soon as it is known."""

import statistics
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Table:
    """Lines, each a figure and what it is held against."""

    began: float = field(default_factory=time.monotonic)

    def head(self) -> None:
        print(f"{'':44}{'':>16}  {'ratio':>6}  against, and more", flush=True)

    def line(self, name: str, figure: str, ratio: float | None = None, more: str = "") -> None:
        print(f"{name:44}{figure:>16}  {'' if ratio is None else format(ratio, '6.2f'):>6}  {more}", flush=True)

    def say(self, what: str) -> None:
        """To whoever waits."""
        print(f"[{time.monotonic() - self.began:4.0f} s] {what}", file=sys.stderr, flush=True)


def percentiles(seconds: list[float]) -> str:
    """p50/p95/p99 in milliseconds."""
    cut = statistics.quantiles(seconds, n=100, method="inclusive")
    return "/".join(f"{1000 * cut[at - 1]:.0f}" for at in (50, 95, 99)) + " ms"
