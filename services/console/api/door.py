"""What every request has to pass before anybody looks at what it asks: whom it was meant for, its query, its body."""

import re
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console.api.problems import Problem, shown
from shared.contract.in_words import named

BODY_MAX = 1024 * 1024
"""Bytes of a body: what Kafka takes."""
TOO_LARGE = f"This is larger than {BODY_MAX:,} bytes, which is the most that Kafka takes: send less of it."
JSON_FIRST = "send Content-Type: application/json"
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@]+)(:\d{1,5})?", re.IGNORECASE)


class LoopbackOnly:
    """Answers nothing that was asked of another host than this one.

    There are no logins: whoever reaches the port may ask. A page in somebody's browser could, by a name of its own that leads to this
    machine (DNS rebinding); but then the name stands in the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        """`app`: what answers the others."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if not is_loopback(host):
                what = f"This answers under loopback names alone: ask http://127.0.0.1 or http://localhost, not {named(host) or 'no host'}"
                await shown(Request(scope), 421, "not_for_this_host", what)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine to itself, whatever the port."""
    found = HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].strip("[]").lower()
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


async def ready(request: Request) -> None:
    """Refuses while there is nothing to answer from yet. Raises Problem (503)."""
    if not hasattr(request.app.state, "answers"):
        raise Problem(
            503, "not_ready", "There is nothing to answer from yet: `makegood status` tells what this waits for. Try again in a moment."
        )


async def known_query(request: Request) -> None:
    """Refuses what is not asked for in a query: a typing error must not be silently dropped. Raises Problem (422)."""
    known: list[str] = []
    for field in request.scope["route"].dependant.query_params:
        of = field.field_info.annotation
        known += of.model_fields if isinstance(of, type) and issubclass(of, BaseModel) else [field.alias]
    if unknown := sorted(set(request.query_params) - set(known)):
        near = get_close_matches(unknown[0], known, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        there = f"there are {', '.join(known)}" if known else "there are none here"
        what = f"There is no query parameter {', '.join(map(named, unknown))}: {there}.{meant}"
        raise Problem(422, "invalid_request", what, faults=[{"where": f"query.{named(name)}", "what": "is not known"} for name in unknown])


async def json_object(request: Request) -> dict[str, Any]:
    """The body, where it is a JSON object. Raises Problem (400, 413, 415, 422)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "not_json", f"{f'{named(kind)} is not taken here' if kind else 'The body has no type'}: {JSON_FIRST}.")
    body = await _body(request)
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        where = error if body else "it is empty"
        raise Problem(400, "broken_json", f"The body is no JSON: {where}.") from error
    if not isinstance(found, dict):
        raise Problem(422, "invalid_request", 'The body must be a JSON object, as in {"command": "StartFix"}.')
    return found


async def _body(request: Request) -> bytes:
    """The body; no more of it is read than is taken."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > BODY_MAX:
        raise Problem(413, "too_large", TOO_LARGE, limit_bytes=BODY_MAX)
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_MAX:
            raise Problem(413, "too_large", TOO_LARGE, limit_bytes=BODY_MAX)
    return bytes(found)
