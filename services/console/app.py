"""The console as a process: its share of the shards, projected, and the API and pages that answer from what is projected."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import asyncpg
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from services.console import pages
from services.console.api import asking, problems, reading
from services.console.api.answers import Answers
from services.console.projections.outcomes import Outcomes
from services.console.projections.queue import Queue
from services.console.projections.story import Story
from shared import telemetry
from shared.contract.catalogue import schemas
from shared.machine import store
from shared.machine.figures import Figures
from shared.machine.group import Group
from shared.machine.projecting import TOPICS, Projector
from shared.machine.relay import Outlet
from shared.settings import Settings, load

NAME = "console"
CONNECTIONS = 10
VERSION = "1"

API = """
What operations ask and do, over HTTP. It is answered from projections, which follow the services' events within milliseconds; commands
go to the services, which accept them or refuse them by name. Loopback only, until there are logins.
"""


def make_app(settings: Settings, figures: Figures) -> FastAPI:
    """The application; `work` gives it what it answers from."""
    app = FastAPI(title="makegood", version=VERSION, description=API, docs_url="/docs", redoc_url=None)
    app.state.settings = settings
    problems.install(app)
    app.router.routes.extend(telemetry.health_routes(figures.registry, figures.ready))
    app.include_router(reading.router)
    app.include_router(asking.router)
    app.include_router(pages.router)
    published = schemas()

    @app.get("/schemas", tags=["schemas"])
    def index() -> list[str]:
        """The stored type names of all that can be asked and can have happened."""
        return list(published)

    @app.get("/schemas/{type_name}.json", tags=["schemas"], responses={404: {"model": problems.ProblemBody}})
    def schema(type_name: str) -> JSONResponse:
        """The JSON Schema of a command or an event."""
        if type_name not in published:
            raise problems.Problem(404, "unknown_schema", f"nothing is called {type_name}: /schemas lists what there is")
        return JSONResponse(published[type_name], media_type="application/schema+json")

    @app.middleware("http")
    async def not_yet(request: Any, call_next: Any) -> Any:
        if not hasattr(app.state, "answers") and request.url.path.startswith(("/api", "/complaints")):
            return problems.problem(503, "not_ready", "PostgreSQL does not answer yet", {})
        return await call_next(request)

    return app


async def work(settings: Settings, figures: Figures, app: FastAPI) -> None:
    """Projects until cancelled. Waits for PostgreSQL and Kafka as long as it takes. Raises Torn where the process must end."""
    pool = await store.connect(settings.database, NAME, CONNECTIONS)
    outlet = Outlet(settings.kafka)
    try:
        generation, _, shards = await store.installation(pool)
        answers = Answers(pool)
        _give(app, {"pool": pool, "outlet": outlet, "generation": generation, "shards": shards, "answers": answers})
        group = Group(
            settings.kafka, NAME, tuple(TOPICS), settings.session_timeout_ms,
            lambda shard, feed: Projector(shard, feed, settings.batch_records, pool, (Story(), Queue(), Outcomes())),
        )  # fmt: skip
        figures.group = group
        async with asyncio.TaskGroup() as together:
            together.create_task(answers.run())
            together.create_task(group.run())
    finally:
        await outlet.close()
        pool.terminate()


def _give(app: FastAPI, what: Mapping[str, asyncpg.Pool | Outlet | Answers | str | int]) -> None:
    for name, value in what.items():
        setattr(app.state, name, value)


def main() -> None:
    """The process, with the settings of its environment."""
    settings = load()
    telemetry.log_to_stderr(settings.log_level, NAME)
    figures = Figures(NAME)
    app = make_app(settings, figures)
    sys.exit(asyncio.run(telemetry.serve(work(settings, figures, app), app, settings.bind, settings.port)))
