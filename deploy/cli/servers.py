"""`makegood install` and `makegood run`: for servers of one's own."""

import asyncio
import os
import sys
from typing import Annotated, NoReturn

import asyncpg
import typer
from aiokafka.errors import KafkaError

from deploy.cli import output
from deploy.cli.exits import Exit, stop
from deploy.cli.options import AsJson, Home
from deploy.cli.place import outside, settings, stack_of
from deploy.database import NOTHING_THERE, connected, installation
from deploy.install import InstallationDiffers, Installed, install
from deploy.local.stack import PYTHON
from deploy.migrate import MigrationsDiffer
from deploy.roles import PROCESSES
from deploy.topics import TopicsDiffer

NOT_NAMED = (
    "Name your servers first: MAKEGOOD_KAFKA (host:port) and MAKEGOOD_DATABASE (postgresql://…, as the owner). "
    "Without any, `makegood up` brings its own."
)


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command("install")(install_)
    app.command("run")(run_)


def install_(*, as_json: AsJson = False) -> None:
    """Install on servers of your own, or bring them up to date.

    Makes roles, schemas, tables and topics on the servers that MAKEGOOD_KAFKA and MAKEGOOD_DATABASE name. Done twice it changes
    nothing. The number of shards (MAKEGOOD_SHARDS) is fixed the first time. Of an older release the tables are brought up to date.

    Example: MAKEGOOD_KAFKA=kafka:9092 MAKEGOOD_DATABASE=postgresql://owner@db/makegood makegood install
    """
    if not outside():
        stop(NOT_NAMED, Exit.USAGE)
    told = settings()
    try:
        done: Installed = asyncio.run(install(told.database, told.kafka, told))
    except (InstallationDiffers, TopicsDiffer, MigrationsDiffer) as differs:
        stop(f"{str(differs)[:1].upper()}{str(differs)[1:]}", Exit.CONFLICT)
    except (ConnectionError, TimeoutError, KafkaError, asyncpg.PostgresError) as error:
        stop(f"It could not be installed: {str(error) or type(error).__name__}. What was done so far stays; install again.")
    found = {name: getattr(done, name) for name in ("generation", "tenant", "shards", "cluster_id", "migrations", "topics")}
    if as_json:
        output.show_json(found)
        return
    output.fields(found | {"migrations": ", ".join(done.migrations) or "none new", "topics": ", ".join(done.topics) or "none new"})
    output.say(f"Next: `makegood run SERVICE`, for each of {', '.join(PROCESSES)}.", style="dim")


def run_(*, service: Annotated[str, typer.Argument(metavar="SERVICE", help=", ".join(PROCESSES) + ".")], home: Home = None) -> NoReturn:
    """Run one service in the foreground.

    It logs in to PostgreSQL with its own role and takes its share of the shards; start it as often as there are machines. Where it
    answers: MAKEGOOD_PORT (with the console: its pages, too). It ends when told to by SIGTERM or Ctrl-C.

    Example: MAKEGOOD_PORT=8000 makegood run console
    """
    if service not in PROCESSES:
        stop(f"There is no service {service}: say one of {', '.join(PROCESSES)}.", Exit.USAGE)
    found = stack_of(home)
    environment = {
        **os.environ,
        "MAKEGOOD_KAFKA": found.kafka,
        "MAKEGOOD_DATABASE": found.role_dsn(service),
        "MAKEGOOD_HOME": str(found.home),
    }
    if service == "console" and not settings().port:
        stop("The console needs a port to answer on: set MAKEGOOD_PORT, as in MAKEGOOD_PORT=8000.", Exit.USAGE)
    asyncio.run(_check(found.role_dsn(service), service))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(PYTHON[0], [*PYTHON, f"services.{service}"], environment)  # noqa: S606 - it becomes the service


async def _check(dsn: str, service: str) -> None:
    """Ends the command where the service could wait for ever: nothing is installed, or its role is not let in.

    A PostgreSQL that does not answer is what services wait for themselves.
    """
    try:
        async with connected(dsn) as connection:
            await installation(connection)
    except (*NOTHING_THERE, asyncpg.InsufficientPrivilegeError):
        stop(f"Nothing is installed for {service} in this database: run `makegood install` first, as the database's owner.")
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        stop(
            f"PostgreSQL does not let {service} in ({error}): run `makegood install` first, as the database's owner. It makes the "
            "services' roles, with the password in MAKEGOOD_ROLE_PASSWORD where there is one; `makegood run` needs the same one."
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        output.say(f"PostgreSQL does not answer yet ({str(error) or type(error).__name__}); {service} waits for it.")
