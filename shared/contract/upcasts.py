"""Old versions of events, read as the newest: upcast on read, never rewritten.

An entry says what a stored type name has become and how its body, as plain JSON, is carried over. Steps chain: v1 → v2 → v3. The bytes that
are stored and hashed stay as they were.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import from_json

from shared.contract.said import Event, decode

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Upcast:
    """What an old version has become."""

    becomes: str
    """The stored type name of the next version."""
    carry: Callable[[dict[str, Any]], dict[str, Any]]
    """The next version's body, from the old one's. Pure."""


UPCASTS: Mapping[str, Upcast] = {}
"""By old stored type name. Empty: every event is in its first version."""


def newest(type_name: str, upcasts: Mapping[str, Upcast] = UPCASTS) -> str:
    """The stored type name under which an event of this name is read today."""
    while type_name in upcasts:
        type_name = upcasts[type_name].becomes
    return type_name


def read_event(type_name: str, body: bytes, catalogue: Mapping[str, type[E]], upcasts: Mapping[str, Upcast] = UPCASTS) -> E:
    """A stored event as its newest version.

    Raises:
        KeyError: where the catalogue has no event of that name, old or new.
        pydantic.ValidationError: where the body is not one of that type.
    """
    if type_name not in upcasts:
        return decode(catalogue[type_name], body)
    fields = from_json(body)
    while type_name in upcasts:
        step = upcasts[type_name]
        type_name, fields = step.becomes, step.carry(fields)
    return catalogue[type_name].model_validate(fields)
