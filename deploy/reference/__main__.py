"""Writes docs/reference, or says what of it is stale."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.reference import apis, catalogue, commands, limits, settings, tables

PLACE = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "events.md": catalogue.events,
    "refusals.md": catalogue.refusals,
    "topics.md": catalogue.topics,
    "settings.md": settings.page,
    "limits.md": limits.page,
    "command-line.md": commands.page,
    "tables.md": tables.page,
    "openapi.json": apis.openapi,
    **{f"asyncapi-{service}.json": apis.asyncapi_of(service) for service in apis.SERVICES},
}


def stale(place: Path = PLACE) -> dict[str, str]:
    """The pages that are missing or not as the code has it, with what they should say."""
    wanted = {name: write() for name, write in PAGES.items()}
    there = {path.name: path.read_text(encoding="utf-8") for path in place.glob("*") if path.is_file()}
    return {name: text for name, text in wanted.items() if there.get(name) != text}


def gone(place: Path = PLACE) -> list[Path]:
    """Pages that nothing writes any more."""
    return [path for path in place.glob("*") if path.name not in PAGES]


def main(arguments: list[str]) -> int:
    """0 when all is as the code has it, 1 when something is stale (`--check`), 2 for a wrong call."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m deploy.reference [--check]", file=sys.stderr)  # noqa: T201
        return 2
    found = stale()
    if arguments:
        for name in [*found, *(path.name for path in gone())]:
            print(f"docs/reference/{name} is not as the code has it: run `make docs`", file=sys.stderr)  # noqa: T201
        return 1 if found or gone() else 0
    PLACE.mkdir(parents=True, exist_ok=True)
    for name, text in found.items():
        (PLACE / name).write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}")  # noqa: T201
    for path in gone():
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
