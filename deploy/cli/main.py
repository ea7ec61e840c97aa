"""`makegood`: the command line. A command's module is loaded when it is asked for, so that help comes at once.

Help and usage errors are plain text: they fit any width, and are the same in a log.
"""

import importlib
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

RUN, ASK, PROVE = "Run it", "Tell it and ask it", "Look inside and prove"
MEND, OWN = "Make again what was lost", "On servers of your own"


@dataclass(frozen=True, slots=True)
class Later:
    """A command that is not loaded yet."""

    module: str
    """It has `register(app)`."""
    heading: str
    """Under which help lists it."""
    sentence: str
    """The first of the command's help."""


COMMANDS = {
    "up": Later("deploy.cli.up", RUN, "Start everything on this machine, and say where it is."),
    "down": Later("deploy.cli.up", RUN, "Stop everything. All that was told stays."),
    "status": Later("deploy.cli.status", RUN, "Show what runs, whether it is ready, and how far it is."),
    "doctor": Later("deploy.cli.doctor", RUN, "Look at everything that can be wrong, and say what to do."),
    "submit": Later("deploy.cli.submit", ASK, "Submit complaints from files."),
    "sample": Later("deploy.cli.sample", ASK, "Feed believable complaints, and people who work them."),
    "complaint": Later("deploy.cli.complaint", ASK, "See complaints: the list, one of them, its history, its trace."),
    "command": Later("deploy.cli.command", ASK, "Ask a service for something, and see what can be asked."),
    "parked": Later("deploy.cli.parked", ASK, "See the inputs that could not be decided, and settle them."),
    "follow": Later("deploy.cli.follow", PROVE, "Follow one input through the ten hops, with the code of each."),
    "verify": Later("deploy.cli.verify", PROVE, "Prove that every ledger is whole and unchanged."),
    "replay": Later("deploy.cli.replay", PROVE, "Decide the journals again, and compare with the ledgers."),
    "trace": Later("deploy.cli.trace", PROVE, "Send the traces of complaints to where traces are kept."),
    "topics": Later("deploy.cli.topics", MEND, "Make Kafka's topics again from the ledgers."),
    "projection": Later("deploy.cli.projection", MEND, "Make what the console shows again from the ledgers."),
    "install": Later("deploy.cli.servers", OWN, "Install on servers of your own, or bring them up to date."),
    "run": Later("deploy.cli.servers", OWN, "Run one service in the foreground."),
}
"""All commands, in the order in which help shows them."""
WIDEST = max(map(len, COMMANDS))
VALUE_ERROR = "Value error, "


class Commands(TyperGroup):
    """The commands, each of them a stand-in with its first sentence until it is asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, later in COMMANDS.items():
            self.add_command(TyperCommand(name, help=later.sentence))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is asked for, loaded."""
        if args and args[0] in COMMANDS:
            self.load(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command. What is wrong with an option is said without the library's own beginning."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as wrong:
            wrong.message = wrong.message.removeprefix(VALUE_ERROR)
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands in their groups, each with its whole sentence."""
        del ctx
        for heading, names in groupby(COMMANDS, key=lambda name: COMMANDS[name].heading):
            with formatter.section(heading):
                formatter.write_dl([(f"{name:{WIDEST}}", COMMANDS[name].sentence) for name in names])

    def load(self, name: str) -> None:
        """Puts a command in the place of its stand-in."""
        found = typer.Typer(rich_markup_mode=None)
        found.callback()(_nothing)
        importlib.import_module(COMMANDS[name].module).register(found)
        group = get_command(found)
        assert isinstance(group, TyperGroup), "with a callback it is a group"
        self.add_command(group.commands[name], name)


def _nothing() -> None:
    """So that a single command stays a command of a group."""


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from deploy.local.supervisor import release  # noqa: PLC0415 - help must come at once

        print(f"makegood {release()}")  # noqa: T201 - data goes to standard output
        raise typer.Exit


@app.callback()
def makegood(
    *,
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")] = False,
) -> None:
    """Complaints made good: owned, fixed, delivered, learned from.

    Begin with `makegood up`; it says what to try next. Every command has --help with an example, and every one that reads has --json:
    data on standard output, everything else on standard error. Where a command has no answer, standard output stays empty.

    Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by a rule, 5 proof failed.
    """
    del version


def everything() -> TyperGroup:
    """All commands, loaded: what the documentation is written from."""
    group = get_command(app)
    assert isinstance(group, Commands), "the app is made of them"
    for name in COMMANDS:
        group.load(name)
    return group


def main() -> None:
    """The `makegood` command."""
    app()
