"""The pages, first cut: the list of complaints, and what happened to one. Drawn by the server, without scripts, from nothing but here."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from services.console.api import reading
from services.console.api.door import known_query, ready
from services.console.api.reading import WHERES, Filters
from services.console.pages.drawing import drawn
from services.console.pages.next_step import TO_FILL, next_line

READ = ["GET", "HEAD"]
router = APIRouter(include_in_schema=False, dependencies=[Depends(known_query), Depends(ready)])


@router.api_route("/", methods=READ)
@router.api_route("/complaints", methods=READ)
async def complaints(request: Request, filters: Annotated[Filters, Query()]) -> HTMLResponse:
    """The list, with a link to each complaint."""
    page = await reading.complaints(request, filters)
    given = filters.model_dump(exclude_defaults=True, exclude={"after"}, mode="json")
    return drawn(
        "complaints.html", page=page, counts=await reading.counts(request), stages=WHERES, filters=filters, given=given,
        more=_query(given, page.next),
    )  # fmt: skip


@router.api_route("/complaints/{complaint_id}", methods=READ)
async def complaint(request: Request, complaint_id: UUID) -> HTMLResponse:
    """One complaint, and all that happened to it."""
    card = await reading.card_of(request.app.state.pool, complaint_id)
    history = await reading.history(request, complaint_id, reading.HISTORY_MAX, None)
    line = next_line(complaint_id, card)
    return drawn(
        "complaint.html", one=reading.whole(complaint_id, card), history=history, next_line=line, to_fill=line and TO_FILL.search(line)
    )


def problem(status: int, name: str, detail: str) -> HTMLResponse:
    """What is wrong, for somebody with a browser."""
    response = drawn("problem.html", status=status, name=name.replace("_", " "), detail=detail)
    response.status_code = status
    return response


def _query(given: Mapping[str, Any], after: str | None) -> str | None:
    return urlencode({**given, "after": after}, doseq=True) if after else None
