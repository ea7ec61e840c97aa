"""Which complaint is meant: by its id, the beginning of it, or how its source knows it."""

import re
from typing import NoReturn
from uuid import UUID

from deploy.cli.database import run
from deploy.cli.exits import Exit, stop
from deploy.database import connected
from deploy.local.stack import Stack
from shared.contract.envelope import complaint_id

BEGINNING_MIN = 6
BEGINNING = re.compile(rf"[0-9a-f]{{{BEGINNING_MIN},32}}")
CANDIDATES_MAX = 5
"""So many complaints are named where the beginning of an id fits more than one."""
SHOWN = 8
"""So many characters of an id are shown in a list: enough to tell it from others."""
FORMS = "write the whole id, its first six or more characters, or SOURCE:REF, as in shop:4711"


def complaint_of(given: str, stack: Stack) -> UUID:
    """The complaint that is meant. Ends the command where none can be, or more than one."""
    text = given.strip().lower()
    try:
        return UUID(text)
    except ValueError:
        pass
    if (found := reference(given)) is not None:
        return _by_reference(given.strip(), found, stack)
    digits = text.replace("-", "")
    if not BEGINNING.fullmatch(digits):
        stop(f"{given or 'An empty word'} is no complaint's id: {FORMS}.", Exit.USAGE)
    return _by_beginning(digits, stack)


def reference(given: str) -> tuple[str, str] | None:
    """The source and its reference, where the complaint is named so. Ends the command where one of the two is missing."""
    source, colon, ref = given.strip().partition(":")
    if not colon:
        return None
    if not source or not ref:
        stop(f"SOURCE:REF needs both: {FORMS}.", Exit.USAGE)
    return source, ref


def _by_reference(text: str, found: tuple[str, str], stack: Stack) -> UUID:
    """A source may have a colon in its name: where there is more than one, the complaint that there is tells which of them it ends at."""
    parts = text.split(":")
    names = [(":".join(parts[:cut]), ":".join(parts[cut:])) for cut in range(2, len(parts))]
    others = [complaint_id(*name) for name in names if all(name)]
    first = complaint_id(*found)
    if not others:
        return first

    async def there() -> set[UUID]:
        async with connected(stack.owner_dsn, "console") as connection:
            return {row["id"] for row in await connection.fetch("SELECT id FROM complaints WHERE id = ANY($1)", [first, *others])}

    known = run(there())
    return first if first in known else next((one for one in others if one in known), first)


def unknown(given: object) -> NoReturn:
    """Ends the command: there is no such complaint. It is named as it was typed."""
    stop(f"There is no complaint {given}: submit it first. `makegood complaint list` shows which there are.", Exit.NOT_FOUND)


def _by_beginning(digits: str, stack: Stack) -> UUID:
    lowest, highest = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))

    async def candidates() -> list[UUID]:
        async with connected(stack.owner_dsn, "console") as connection:
            query = "SELECT id FROM complaints WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3"
            return [row["id"] for row in await connection.fetch(query, lowest, highest, CANDIDATES_MAX + 1)]

    found = run(candidates())
    if not found:
        stop(f"No complaint's id begins with {digits}. `makegood complaint list` shows which there are.", Exit.NOT_FOUND)
    if len(found) > 1:
        some = ", ".join(map(str, found[:CANDIDATES_MAX])) + (", …" if len(found) > CANDIDATES_MAX else "")
        stop(f"More than one complaint's id begins with {digits}: {some}. Write more of it.", Exit.USAGE)
    return found[0]
