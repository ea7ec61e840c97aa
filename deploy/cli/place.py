"""Where things are: the home, and the Kafka, PostgreSQL and console of this installation."""

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from deploy.cli.exits import Exit, stop
from deploy.local.stack import Stack, running
from shared.contract.envelope import SERVICES
from shared.settings import Settings, load

OUTSIDE = ("MAKEGOOD_KAFKA", "MAKEGOOD_DATABASE")
"""What names servers from outside: both, or neither."""
VALUE_ERROR = "Value error, "
"""What pydantic puts before a sentence of ours."""


def settings() -> Settings:
    """The settings in force. Ends the command where one of them can't be."""
    try:
        return load()
    except ValidationError as error:
        wrong = "; ".join(
            f"MAKEGOOD_{str(one['loc'][0]).upper()}: {str(one['msg']).removeprefix(VALUE_ERROR)}" for one in error.errors(include_url=False)
        )
        stop(f"A setting in the environment can't be: {wrong}.", Exit.USAGE)


def home_of(given: Path | None) -> Path:
    """The home: what was given, else the settings'. Absolute. Ends the command where a setting can't be, whichever it is."""
    told = settings()
    return (given or told.home).expanduser().absolute()


def outside() -> bool:
    """Whether servers from outside are named. Ends the command where only one of them is: it would mix two installations."""
    named = [name for name in OUTSIDE if name in os.environ]
    if len(named) == 1:
        [other] = set(OUTSIDE) - set(named)
        stop(f"{named[0]} is set, but {other} is not: set both, to use servers of your own, or neither.", Exit.USAGE)
    return bool(named)


def stack_of(given: Path | None) -> Stack:
    """Where this installation's parts are. Ends the command where nothing runs."""
    outside()
    home = home_of(given)
    if (found := running(home)) is None:
        stop(f"Nothing runs in {home}. Start it with `makegood up`; where it is elsewhere, name it: --home FOLDER.")
    return found


def minds(service: str | None) -> Iterable[str]:
    """The deciding services, or the one that is named. Ends the command where there is none of that name."""
    if service is not None and service not in SERVICES:
        stop(f"There is no service {service} with a ledger: say one of {', '.join(SERVICES)}.", Exit.USAGE)
    return (service,) if service else SERVICES
