"""Where this installation's Kafka is."""

import os

from shared.settings import load


def kafka_address() -> str:
    """The bootstrap servers: `MAKEGOOD_KAFKA` where it is set, else those of the embedded stack if it runs, else the default."""
    settings = load()
    if "MAKEGOOD_KAFKA" in os.environ:
        return settings.kafka
    from deploy.local.stack import running  # noqa: PLC0415 - the stack is not needed where Kafka is elsewhere

    found = running(settings.home)
    return found.kafka if found else settings.kafka
