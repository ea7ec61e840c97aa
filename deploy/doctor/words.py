"""Findings, made; and shards in words."""

from collections.abc import Sequence

from deploy.doctor.seen import Finding, Level


def fine(about: str, what: str) -> Finding:
    """All is well with this."""
    return Finding(Level.FINE, about, what)


def note(about: str, what: str) -> Finding:
    """This is worth knowing."""
    return Finding(Level.NOTE, about, what)


def wrong(about: str, what: str, do: str) -> Finding:
    """This is wrong, and that is to be done."""
    return Finding(Level.WRONG, about, what, do)


def shards_in_words(shards: Sequence[int]) -> str:
    """`shard 3`, `shards 3 and 4`, `shards 0, 3 and 4`."""
    names = [str(shard) for shard in sorted(shards)]
    return f"shard {names[0]}" if len(names) == 1 else f"shards {', '.join(names[:-1])} and {names[-1]}"
