"""What can be asked, in words, and a command's fields put together from what somebody typed.

All from the published schemas, and the shipped policy.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from shared.contract.catalogue import COMMANDS, schema_of, service_of, version_of
from shared.contract.envelope import SERVICES
from shared.contract.said import Command, short_name
from shared.policy.loader import shipped
from shared.policy.model import Policy

Schema = Mapping[str, Any]
OF_POLICY = re.compile(r"the policy's `(\w+)`")
"""How the contract says that a field takes one of a policy's list."""
TRUE, FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})


class NoSuchValue(ValueError):
    """A field that there is not, or a value that can't be one; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a command; one of a part of it is called `proof.ref`, of the parts of a list `remedies[].what`."""

    name: str
    needed: bool
    kind: str
    """What it takes, and its limits."""
    about: str


def askable() -> list[type[Command]]:
    """The commands that anybody may give, in their newest version, by service and in the order of their stages."""
    newest: dict[str, type[Command]] = {}
    for type_name, command in sorted(COMMANDS.items(), key=lambda one: version_of(one[0])):
        if service_of(type_name) in SERVICES and not command.internal:
            newest[type_name.rpartition(".")[0]] = command
    order = list(COMMANDS)
    return sorted(newest.values(), key=lambda command: (SERVICES.index(service_of(command.type)), order.index(command.type)))


def named(name: str, service: str | None = None) -> list[type[Command]]:
    """The commands that are called so, by their short names or in full: more than one where more than one service has it."""
    return [
        command
        for command in askable()
        if name.lower() in {command.type.lower(), short_name(command.type).lower()} and service in {None, service_of(command.type)}
    ]


def about(command: type[Command]) -> str:
    """What it is for, in a sentence or two."""
    return " ".join((command.__doc__ or "").split())


def fields(command: type[Command]) -> list[Field]:
    """What it takes. What a policy lists is as the shipped one has it."""
    schema = schema_of(command)
    return [_by_policy(field) for field in _fields(schema, schema.get("$defs", {}), "", _docs(command))]


def _by_policy(field: Field) -> Field:
    """A field whose values are one of the policy's lists, with the list."""
    found = OF_POLICY.search(field.about)
    if found is None or found[1] not in Policy.model_fields:
        return field
    return replace(field, kind=f"{' | '.join(getattr(shipped(), found[1]))} (as the shipped policy has it)")


def _fields(schema: Schema, defs: Schema, prefix: str, docs: Mapping[str, str]) -> Iterator[Field]:
    needed = frozenset(schema.get("required", ()))
    for name, inner in schema.get("properties", {}).items():
        kinds = _kinds(inner, defs)
        yield Field(prefix + name, name in needed, _in_words(kinds, defs), docs.get(name, "") if not prefix else "")
        for kind in kinds:
            if kind.get("type") == "object":
                yield from _fields(kind, defs, f"{prefix}{name}.", {})
            for item in _kinds(kind.get("items", {}), defs) if kind.get("type") == "array" else ():
                if item.get("type") == "object":
                    yield from _fields(item, defs, f"{prefix}{name}[].", {})


def _kinds(schema: Schema, defs: Schema) -> Sequence[Schema]:
    """What a field may be, references filled in, without null."""
    if reference := schema.get("$ref"):
        return _kinds(defs[reference.rsplit("/", 1)[1]], defs)
    found = [kind for branch in schema.get("anyOf", ()) for kind in _kinds(branch, defs)] or [schema]
    return [kind for kind in found if kind and kind.get("type") != "null"]


def _in_words(kinds: Sequence[Schema], defs: Schema) -> str:
    return " or ".join(dict.fromkeys(_one_in_words(kind, defs) for kind in kinds)) or "anything"


def _one_in_words(kind: Schema, defs: Schema) -> str:
    if "enum" in kind:
        return " | ".join(map(str, kind["enum"]))
    if "const" in kind:
        return str(kind["const"])
    match kind.get("type"):
        case "string" if kind.get("format") == "date-time":
            return "moment with its zone, as in 2026-03-04T10:15:00+01:00"
        case "string" if kind.get("format") == "uuid":
            return "id (UUID)"
        case "string":
            return f"text, at most {kind['maxLength']:,} characters" if "maxLength" in kind else "text"
        case "integer":
            return "whole number"
        case "number":
            return "number"
        case "boolean":
            return "true | false"
        case "array":
            most = f", at most {kind['maxItems']}" if "maxItems" in kind else ""
            return f"list{most}, of: {_in_words(_kinds(kind.get('items', {}), defs), defs)}"
        case "object" if "properties" in kind:
            return f"has {', '.join(kind['properties'])}"
        case "object":
            return "names with texts"
        case _:
            return "anything"


@cache
def _docs(command: type[Command]) -> Mapping[str, str]:
    """What stands beneath a field where it is declared."""
    found: dict[str, str] = {}
    for one in reversed(command.__mro__):
        if not one.__module__.startswith("shared.contract"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef), "a command is a class"
        for field, beneath in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(beneath, ast.Expr):
                text = ast.get_docstring(ast.Module([beneath], []))
                found[field.target.id] = " ".join((text or "").split())
    return found


# ---- fields as they are typed ----------------------------------------------------------------------------------------------


def with_values(data: Mapping[str, Any], typed: Sequence[str], candidates: Sequence[type[Command]]) -> dict[str, Any]:
    """A command's data with what was typed as `field=value` put in.

    A part is named with dots (`proof.kind=reply`); a list grows with each value, or is given whole as JSON.

    Raises:
        NoSuchValue: Where there is no such field, or it can't have that value.
    """
    found: dict[str, Any] = json.loads(json.dumps(data))
    for pair in typed:
        path, is_there, text = pair.partition("=")
        if not is_there or not path:
            raise NoSuchValue(f"--set takes FIELD=VALUE, not {pair}")
        _put(found, path.strip().split("."), text, _place(path.strip(), candidates))
    return found


Place = tuple[Sequence[Schema], Schema]
"""What a field may be, and the definitions that it refers to."""


def _place(path: str, candidates: Sequence[type[Command]]) -> Place:
    """What the field at `path` may be. The same field is the same in every service."""
    for command in candidates:
        schema = schema_of(command)
        defs = schema.get("$defs", {})
        kinds: Sequence[Schema] = [schema]
        for part in path.split("."):
            kinds = [inner for kind in kinds for inner in _part(kind, part, defs)]
        if kinds:
            return kinds, defs
    names = ", ".join(field.name for field in fields(candidates[0])) or "none"
    raise NoSuchValue(f"{short_name(candidates[0].type)} has no field {path}; its fields are: {names}")


def _part(kind: Schema, part: str, defs: Schema) -> Sequence[Schema]:
    if part in kind.get("properties", {}):
        return _kinds(kind["properties"][part], defs)
    free = [kind.get("additionalProperties"), *kind.get("patternProperties", {}).values()]
    return [inner for one in free if isinstance(one, Mapping) for inner in _kinds(one, defs)]


def _put(data: dict[str, Any], path: Sequence[str], text: str, place: Place) -> None:
    *above, last = path
    for part in above:
        inner = data.setdefault(part, {})
        if not isinstance(inner, dict):
            raise NoSuchValue(f"{part} is given whole already: leave out --set {'.'.join(path)}")
        data = inner
    value = _value(".".join(path), text, *place)
    before = data.get(last)
    data[last] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value


def _value(name: str, text: str, kinds: Sequence[Schema], defs: Schema) -> Any:
    """A text as the value that the field takes: a text stays one, whatever it looks like."""
    types = {kind.get("type") for kind in kinds}
    if "string" in types or any("enum" in kind for kind in kinds):
        return text
    if "array" in types:
        if text.lstrip().startswith("["):
            return _json(name, text)
        items = [item for kind in kinds for item in _kinds(kind.get("items", {}), defs)]
        return [_value(name, text, items, defs)]
    if "boolean" in types:
        if text.lower() not in TRUE | FALSE:
            raise NoSuchValue(f"{name} is true or false, not {text}")
        return text.lower() in TRUE
    return _json(name, text)


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise NoSuchValue(f"{name} must be JSON here, and {text} is none: {error}") from error
