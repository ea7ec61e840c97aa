"""What is wrong, as `application/problem+json` (RFC 9457): which rule, why, and what to do. Somebody with a browser gets a page instead."""

from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from shared.contract.in_words import said

MEDIA_TYPE = "application/problem+json"
BASE = "https://makegood.example/problems/"
AWAY = (
    asyncpg.PostgresConnectionError, asyncpg.exceptions.OperatorInterventionError, asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.InterfaceError, asyncpg.InternalClientError, OSError,
)  # fmt: skip
"""What a database raises that does not answer, restarts, ends sessions or has no more to give."""
NO_DATABASE = "PostgreSQL does not answer: `makegood status` tells what runs. Try again in a moment."

Page = Callable[[int, str, str], Response]
"""Draws a problem for somebody with a browser: its status, its name, what is wrong."""
log = structlog.get_logger()


class ProblemBody(BaseModel):
    """The shape of every error."""

    type: str
    title: str
    status: int
    detail: str
    rule: str | None = Field(None, description="The rule that a command was refused by.")
    invariant: int | None = Field(None, description="The number of the invariant that the rule stands for, if it stands for one.")


class Problem(Exception):
    """Ends a request with a problem."""

    def __init__(self, status: int, name: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        """`name` is the last part of the problem's type; `more` is added to its body."""
        super().__init__(detail)
        self.status, self.name, self.detail, self.headers, self.more = status, name, detail, headers, more


def problem(status: int, name: str, detail: str, more: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A problem as a response."""
    body = {"type": BASE + name, "title": name.replace("_", " "), "status": status, "detail": detail, **more}
    return JSONResponse(jsonable_encoder(body), status, dict(headers or {}), media_type=MEDIA_TYPE)


def shown(
    request: Request,
    status: int,
    name: str,
    detail: str,
    *,
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as whoever asked can read it: a page where they accept HTML and no JSON."""
    accepted = request.headers.get("accept", "")
    if "text/html" not in accepted or "json" in accepted:
        return problem(status, name, detail, more or {}, headers)
    page: Page = request.app.state.problem_page
    response = page(status, name, detail)
    response.headers.update(headers or {})
    return response


def install(app: FastAPI, page: Page) -> None:
    """Makes every error of the app a problem; `page` draws it for a browser."""
    app.state.problem_page = page

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return shown(request, error.status, error.name, error.detail, more=error.more, headers=error.headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:  # noqa: PLR2004 - the number is the name
            return shown(request, 404, "unknown_address", "There is nothing at this address: /docs lists what there is.")
        if error.status_code == 405:  # noqa: PLR2004
            what = f"{request.method} is not answered here, but {(error.headers or {}).get('Allow', 'another method')} is: see /docs."
            return shown(request, 405, "wrong_method", what, headers=error.headers)
        return shown(request, error.status_code, "http", str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [{"where": ".".join(str(part) for part in one["loc"]), "what": said(one)} for one in error.errors()]
        detail = "; ".join(f"{one['where']} {one['what']}" for one in faults)
        return shown(request, 422, "invalid_request", detail, more={"faults": faults})

    @app.exception_handler(Exception)
    async def _failed(request: Request, _: Exception) -> Response:
        return shown(request, 500, "failed", "This is a fault of ours, and is in the console's log: logs/console.log in the home.")

    async def _away(request: Request, error: Exception) -> Response:
        if isinstance(error, ValueError):  # asyncpg's word for a value that PostgreSQL does not take
            raise error
        log.warning("postgresql_is_away", error=repr(error))
        return shown(request, 503, "database_away", NO_DATABASE)

    for away in AWAY:
        app.add_exception_handler(away, _away)
