"""What may be said of an error: its kind and where it happened. Its words may quote what somebody wrote, or a password."""

import traceback
from collections.abc import Iterator

import asyncpg


def place_of(error: BaseException) -> str:
    """In one line, the innermost place: `KeyError in complaint.py:17 (decide)`."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} in {last.filename.rpartition('/')[2]}:{last.lineno} ({last.name})"


def kind_of(error: BaseException) -> str:
    """Its kind, and its words where those are a server's or the system's about itself."""
    quiet = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
    spoken = isinstance(error, (asyncpg.PostgresError, OSError)) and not isinstance(error, quiet)
    words = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {words}" if spoken and words else type(error).__name__


def places_of(error: BaseException) -> list[str]:
    """The whole way there, the outermost first, through every error that it was raised from."""
    return [line for one in _raised_from(error) for line in (type(one).__name__, *_frames(one))]


def _raised_from(error: BaseException) -> Iterator[BaseException]:
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    for one in reversed(chain):
        yield one
        if isinstance(one, BaseExceptionGroup):
            for inner in one.exceptions:
                yield from _raised_from(inner)


def _frames(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {frame.filename}:{frame.lineno} ({frame.name})"
