"""The options that many commands share, and who answers for what is done."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.exits import Exit, stop
from shared.contract.values import ACTOR
from shared.machine.held import PERSON

OPERATOR = f"{PERSON}operator"
"""Who answers, where nobody is named."""

Home = Annotated[
    Path | None,
    typer.Option("--home", metavar="FOLDER", help="Where the embedded stack keeps everything [default: MAKEGOOD_HOME, else .makegood]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
ComplaintId = Annotated[
    str,
    typer.Argument(metavar="ID", help="The complaint: its id, the first six or more characters of it, or SOURCE:REF, as in shop:4711."),
]
Service = Annotated[str | None, typer.Option("--service", metavar="NAME", help="Only this one: intake, resolution or rootcause.")]
ShardNumber = Annotated[int | None, typer.Option("--shard", min=0, metavar="N", help="Only this one.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why. It is kept for ever: name nobody.", show_default=False)]
Actor = Annotated[str, typer.Option("--actor", metavar="WHO", help="Who answers for it: a person, as in person:anna.")]


def must_be_a_person(actor: str) -> None:
    """Ends the command where who answers for it is not named, or is none who could."""
    if not ACTOR.fullmatch(actor) or not actor.startswith(PERSON):
        stop("A person answers for this: --actor person:NAME, without spaces.", Exit.USAGE)
