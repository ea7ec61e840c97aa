"""Findings, made; and shards in words."""

from collections.abc import Sequence

from deploy.doctor.seen import Finding, Level

RUN = 3
"""So many neighbours are told of as a range."""


def fine(about: str, what: str) -> Finding:
    """All is well with this."""
    return Finding(Level.FINE, about, what)


def note(about: str, what: str) -> Finding:
    """This is worth knowing."""
    return Finding(Level.NOTE, about, what)


def wrong(about: str, what: str, do: str, sql: str = "") -> Finding:
    """This is wrong, and that is to be done; `sql`: in the database, as its owner."""
    return Finding(Level.WRONG, about, what, do, sql)


def shards_in_words(shards: Sequence[int]) -> str:
    """`shard 3`, `shards 3 and 4`, `shards 0, 3 and 5 to 9`."""
    return _in_words("shard", shards)


def partitions_in_words(partitions: Sequence[int]) -> str:
    """The same of partitions."""
    return _in_words("partition", partitions)


def _in_words(name: str, numbers: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    found = [one for run in runs for one in ([f"{run[0]} to {run[-1]}"] if len(run) >= RUN else map(str, run))]
    return f"{name}{'s' if len(numbers) > 1 else ''} {' and '.join(filter(None, [', '.join(found[:-1]), found[-1]]))}"
