"""Everything that can be said, in one place: the commands and events of the services and of the machine, by stored type name."""

from collections.abc import Mapping
from typing import Any

from shared.contract.intake import INTAKE_COMMANDS, INTAKE_EVENTS
from shared.contract.machine import MACHINE_EVENTS, SETTLING, PublishPolicy, TimerDue
from shared.contract.resolution import RESOLUTION_COMMANDS, RESOLUTION_EVENTS
from shared.contract.rootcause import ROOTCAUSE_COMMANDS, ROOTCAUSE_EVENTS
from shared.contract.said import Command, Event, Said, by_type, short_name

MACHINE_COMMANDS = by_type((TimerDue, PublishPolicy, *SETTLING.values()))

COMMANDS: Mapping[str, type[Command]] = {**MACHINE_COMMANDS, **INTAKE_COMMANDS, **RESOLUTION_COMMANDS, **ROOTCAUSE_COMMANDS}
"""All that can be asked, internal ones too."""
EVENTS: Mapping[str, type[Event]] = {**MACHINE_EVENTS, **INTAKE_EVENTS, **RESOLUTION_EVENTS, **ROOTCAUSE_EVENTS}
"""All that can have happened. `…Requested` rows are not among them: they carry a command."""

SCHEMA_PLACE = "https://makegood.example/schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def service_of(type_name: str) -> str:
    """Whose it is: `resolution.Deliver.v1` → `resolution`; `machine` for what every service says."""
    return type_name.split(".", maxsplit=1)[0]


def by_short_name(name: str, service: str | None = None) -> type[Command]:
    """The command that people call by this name, in its newest version.

    Args:
        name: As in `Deliver`, or in full, as in `resolution.Deliver.v1`.
        service: Which service is meant, where more than one has a command of this name.

    Raises:
        LookupError: Where there is no such command, or more than one and no service was named.
    """
    if name in COMMANDS and service in {None, service_of(name)}:
        return COMMANDS[name]
    newest = {
        service_of(type_name): said
        for type_name, said in sorted(COMMANDS.items(), key=lambda item: version_of(item[0]))
        if short_name(type_name) == name and service in {None, service_of(type_name)}
    }
    if not newest:
        raise LookupError(f"there is no command {name}" + (f" of {service}" if service else ""))
    if len(newest) > 1:
        raise LookupError(f"more than one service has a command {name}: say which of {', '.join(sorted(newest))}")
    return next(iter(newest.values()))


def version_of(type_name: str) -> int:
    """`resolution.Deliver.v1` → 1."""
    return int(type_name.rsplit(".v", 1)[1])


def schema_of(said: type[Said]) -> dict[str, Any]:
    """The JSON Schema of a command or event: its own, with where it is published and who may say it."""
    found: dict[str, Any] = {"$schema": DIALECT, "$id": f"{SCHEMA_PLACE}/{said.type}.json", **said.model_json_schema()}
    if issubclass(said, Command):
        found |= {"x-stream": said.stream, "x-internal": said.internal}
    return found


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas of all commands and events, by stored type name."""
    return {type_name: schema_of(said) for type_name, said in sorted({**COMMANDS, **EVENTS}.items())}
