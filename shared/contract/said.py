"""What can be said: the base of every command and every event, and the names under which they are stored for ever.

A type name (`resolution.FixCompleted.v1`) is written out in each class, never derived from it: renaming a class must not
rename what is stored. A class's fields *are* the storage format.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict


class Said(BaseModel):
    """Anything said aloud: frozen, validated once, serialised once."""

    model_config = ConfigDict(frozen=True)

    type: ClassVar[str]

    def to_bytes(self) -> bytes:
        """The one serialisation: UTF-8 JSON, fields in the order of the class, absent ones left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class Command(Said):
    """A request, in the imperative. What is not known is refused: a typing error must not be silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: ClassVar[str]
    """The kind of stream that decides it: `complaint`, `case`, `learning`, …"""
    internal: ClassVar[bool] = False
    """Only our own services may say it (by `translate` or `react`); from anybody else it is refused."""


class Event(Said):
    """A fact, in the past tense. Unknown fields are ignored: a newer process may have written it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


S = TypeVar("S", bound=Said)


def by_type(classes: Iterable[type[S]]) -> Mapping[str, type[S]]:
    """The catalogue of some classes by their stored names. Raises ValueError where two share a name."""
    found: dict[str, type[S]] = {}
    for said in classes:
        if said.type in found:
            raise ValueError(f"two classes are stored as {said.type}: {found[said.type].__name__} and {said.__name__}")
        found[said.type] = said
    return found


def decode(said: type[S], body: bytes) -> S:
    """The one validation. Raises pydantic.ValidationError."""
    return said.__pydantic_validator__.validate_json(body)  # type: ignore[no-any-return]


def short_name(type_name: str) -> str:
    """`resolution.FixCompleted.v1` as people say it: `FixCompleted`."""
    return type_name.split(".")[1]


def personal_fields(said: type[Said]) -> frozenset[str]:
    """The names of the fields marked as personal (`values.PERSONAL`), nested ones as `who.name`. They will be sealed."""
    return frozenset(_personal(said.model_json_schema(), said.model_json_schema().get("$defs", {}), ""))


def _personal(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Iterable[str]:
    if schema.get("x-personal"):
        yield path
        return
    if reference := schema.get("$ref"):
        yield from _personal(defs[reference.rsplit("/", 1)[1]], defs, path)
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(branch, Mapping):
            yield from _personal(branch, defs, path)
    for name, inner in schema.get("properties", {}).items():
        yield from _personal(inner, defs, f"{path}.{name}" if path else name)
