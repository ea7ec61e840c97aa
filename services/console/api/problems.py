"""What is wrong, as `application/problem+json` (RFC 9457): which rule, why, and what to do."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
BASE = "https://makegood.example/problems/"


class ProblemBody(BaseModel):
    """The shape of every error."""

    type: str
    title: str
    status: int
    detail: str
    rule: str | None = None
    """The rule that a command was refused by."""
    invariant: int | None = None
    """The number of the invariant that the rule stands for, if it stands for one."""


class Problem(Exception):
    """Ends a request with a problem."""

    def __init__(self, status: int, name: str, detail: str, **more: Any) -> None:
        """`name` is the last part of the problem's type; `more` is added to its body."""
        super().__init__(detail)
        self.status, self.name, self.detail, self.more = status, name, detail, more


def problem(status: int, name: str, detail: str, more: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A problem as a response."""
    body = {"type": BASE + name, "title": name.replace("_", " "), "status": status, "detail": detail, **more}
    return JSONResponse(jsonable_encoder(body), status, dict(headers or {}), media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return problem(error.status, error.name, error.detail, error.more)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, "http", str(error.detail), {}, error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [{"where": ".".join(str(part) for part in one["loc"]), "what": one["msg"]} for one in error.errors()]
        detail = "; ".join(f"{one['where']}: {one['what']}" for one in faults)
        return problem(422, "invalid_request", detail, {"faults": faults})
