"""How a command ends: its exit code, and for whoever reads it, a sentence."""

import enum
from typing import NoReturn

import typer

from deploy.cli.output import say


class Exit(enum.IntEnum):
    """The exit codes. Scripts rely on them; they are the same for every command."""

    DONE = 0
    FAILED = 1
    """It could not be done, or not all is well: the message says what to do."""
    USAGE = 2
    """What was asked for makes no sense."""
    NOT_FOUND = 3
    CONFLICT = 4
    """Refused by a rule, or something else was asked under the same key."""
    PROOF_FAILED = 5
    """A ledger is not what it must be."""


def stop(sentence: str, code: Exit = Exit.FAILED) -> NoReturn:
    """Says what is wrong and what to do, and ends."""
    say(sentence, style="bold")
    raise typer.Exit(code)
