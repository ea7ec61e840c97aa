"""Writes docs/schemas/<type>.json for every command and event: `python -m deploy.schemas`.

What was published stays readable, and means the same: ledgers keep events for ever, and journals and `…Requested` rows keep commands.
So a schema may only gain optional fields. Anything else needs a new version of the command or event, and the writer refuses to overwrite
the old one. `--replace` overwrites all the same: only for what no installation has ever stored.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.contract.catalogue import schemas

PLACE = Path(__file__).parent.parent / "docs" / "schemas"
WORDS_ONLY = frozenset({"title", "description", "examples"})
"""What may change freely: it says nothing about which bodies are valid, nor about what they mean."""


def text_of(schema: Mapping[str, Any]) -> str:
    """A schema as it is written: indented, so that a change is easy to read in a diff."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """How a new schema fails bodies, or readers, of the old one; empty where it only gained optional fields."""
    before, after = plain(old), plain(new)
    had, has = before.get("properties", {}), after.get("properties", {})
    found = [f"the field {name} is gone" for name in had if name not in has]
    found += [f"the field {name} has changed" for name in had if name in has and had[name] != has[name]]
    needed, needs = set(before.get("required", ())), set(after.get("required", ()))
    found += [f"the field {name} was optional and is needed" for name in sorted(needs - needed) if name in had]
    found += [f"the new field {name} is not optional" for name in sorted(needs - needed) if name not in had]
    found += [f"the field {name} was needed and is optional" for name in sorted(needed - needs) if name in has]
    return found


def plain(schema: Mapping[str, Any]) -> Any:
    """A schema without its words and with its references filled in: what it says about bodies, and nothing else."""
    return _plain(schema, schema.get("$defs", {}))


def _plain(schema: Any, defs: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_plain(one, defs) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _plain(defs[schema["$ref"].rsplit("/", 1)[1]], defs)
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: _plain(inner, defs) for name, inner in value.items()}
        elif key == "required":
            found[key] = sorted(value)
        elif key != "$defs" and key not in WORDS_ONLY:
            found[key] = _plain(value, defs)
    return found


def broken(place: Path = PLACE) -> dict[str, list[str]]:
    """What the commands and events of today would break of the schemas that are written in `place`, by stored type name."""
    found: dict[str, list[str]] = {}
    new = schemas()
    for written in sorted(place.glob("*.json")):
        type_name = written.name.removesuffix(".json")
        if type_name in new:
            found[type_name] = breaks(json.loads(written.read_text(encoding="utf-8")), new[type_name])
        else:
            found[type_name] = ["it is gone, and old journals and ledgers hold it"]
    return {type_name: why for type_name, why in found.items() if why}


def stale(place: Path = PLACE) -> list[str]:
    """The schemas that are missing, out of date, or of something that is not said any more."""
    wanted = {f"{type_name}.json": text_of(schema) for type_name, schema in schemas().items()}
    written = {path.name: path.read_text(encoding="utf-8") for path in place.glob("*.json")}
    return sorted(name for name in wanted.keys() | written.keys() if wanted.get(name) != written.get(name))


def write(place: Path = PLACE) -> list[str]:
    """Write what is stale and remove what is not said any more; the names of the files touched."""
    touched = stale(place)
    place.mkdir(parents=True, exist_ok=True)
    found = schemas()
    for name in touched:
        type_name = name.removesuffix(".json")
        if type_name in found:
            (place / name).write_text(text_of(found[type_name]), encoding="utf-8")
        else:
            (place / name).unlink()
    return touched


def main(arguments: list[str]) -> int:
    """0 when written or up to date, 1 when that would break what was published or something is stale (`--check`), 2 for a wrong call."""
    if arguments not in ([], ["--replace"], ["--check"]):
        print("usage: python -m deploy.schemas [--replace | --check]", file=sys.stderr)  # noqa: T201
        return 2
    if arguments == ["--check"]:
        for name in stale():
            print(f"docs/schemas/{name} is not as the code has it: run `make docs`", file=sys.stderr)  # noqa: T201
        return 1 if stale() else 0
    if not arguments and (found := broken()):
        for type_name, why in found.items():
            print(f"{type_name}: {'; '.join(why)}. Give it a new version.", file=sys.stderr)  # noqa: T201
        return 1
    for name in write():
        print(name)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
