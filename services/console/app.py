"""The console as a process: its share of the shards, projected, and the API and pages that answer from what is projected."""

import asyncio
import sys
from collections.abc import Mapping

import asyncpg
from fastapi import FastAPI

from services.console import pages
from services.console.api import asking, problems, published, reading
from services.console.api.answers import Answers
from services.console.api.crowd import Crowd
from services.console.api.door import LoopbackOnly
from services.console.pages import documents
from services.console.projections.kept import PROJECTIONS
from shared import loop, telemetry
from shared.kafka import Kafka
from shared.machine import store
from shared.machine.figures import Figures
from shared.machine.group import Group
from shared.machine.installed import installation
from shared.machine.projecting import TOPICS, Projector
from shared.machine.relay import Outlet
from shared.settings import Settings, load

NAME = "console"
CONNECTIONS = 10
"""Connections to PostgreSQL, for the projections and for whoever asks."""
VERSION = "1"

API = """
What operations ask and do, over HTTP. It is answered from projections, which follow the services' events within milliseconds; commands
go to the services, which accept them or refuse them by name. Loopback only, until there are logins.
"""


def make_app(settings: Settings, figures: Figures) -> FastAPI:
    """The application; `work` gives it what it answers from."""
    app = FastAPI(title="makegood", version=VERSION, description=API, docs_url=None, redoc_url=None)
    app.openapi = lambda: published.openapi_of(app)  # type: ignore[method-assign]  # as FastAPI's documentation has it
    app.state.settings = settings
    problems.install(app, pages.problem)
    app.add_middleware(Crowd)
    app.add_middleware(LoopbackOnly)
    app.router.routes.extend(telemetry.health_routes(figures.registry, figures.ready))
    for router in (reading.router, asking.router, published.router, pages.router, documents.router):
        app.include_router(router)
    return app


async def work(settings: Settings, figures: Figures, app: FastAPI) -> None:
    """Projects until cancelled. Waits for PostgreSQL and Kafka as long as it takes. Raises Torn where the process must end."""
    kafka, pool = Kafka(settings.kafka), await store.connect(settings.database, NAME, CONNECTIONS)
    outlet = Outlet(kafka)
    try:
        there = await installation(pool, figures.wait)
        kafka.only(there.cluster)
        answers = Answers(pool)
        give(app, {"pool": pool, "outlet": outlet, "generation": there.generation, "shards": there.shards, "answers": answers})
        group = Group(
            kafka, NAME, tuple(TOPICS), settings.session_timeout_ms,
            lambda shard, feed: Projector(shard, feed, settings.batch_records, pool, PROJECTIONS),
            instance=settings.instance,
        )  # fmt: skip
        figures.group = group
        async with asyncio.TaskGroup() as together:
            together.create_task(answers.run())
            together.create_task(group.run())
    finally:
        await outlet.close()
        pool.terminate()


def give(app: FastAPI, what: Mapping[str, asyncpg.Pool | Outlet | Answers | str | int]) -> None:
    """Gives the application what it answers from; `answers` last: with it, it is ready."""
    for name, value in what.items():
        setattr(app.state, name, value)


def main() -> None:
    """The process, with the settings of its environment."""
    settings = load()
    telemetry.log_to_stderr(settings.log_level, NAME)
    figures = Figures(NAME)
    app = make_app(settings, figures)
    sys.exit(loop.run(telemetry.serve(work(settings, figures, app), app, settings.bind, settings.port)))
