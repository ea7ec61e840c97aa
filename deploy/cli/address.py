"""Where Kafka is, for what needs nothing else of an installation."""

import os
from pathlib import Path

from deploy.cli.place import settings, stack_of


def kafka_address(home: Path | None) -> str:
    """The bootstrap servers: those that `MAKEGOOD_KAFKA` names, else those of the stack in this home. Ends the command where none runs."""
    return settings().kafka if "MAKEGOOD_KAFKA" in os.environ else stack_of(home).kafka
