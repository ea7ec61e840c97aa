"""The pages, first cut: the list of complaints, and what happened to one. Drawn by the server, without scripts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.console.api import reading
from services.console.api.reading import WHERES, Filters

router = APIRouter(include_in_schema=False)
_ENVIRONMENT = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
_ENVIRONMENT.filters["at"] = lambda at: f"{at:%Y-%m-%d %H:%M:%S}" if at else "–"
_ENVIRONMENT.filters["number"] = lambda number: f"{number:,}"
_ENVIRONMENT.filters["sentence"] = lambda text: text[:1].upper() + text[1:].rstrip(".") + "."
_ENVIRONMENT.filters["words"] = lambda name: name.split(".")[1] if "." in name else name


def _page(name: str, **shown: Any) -> HTMLResponse:
    return HTMLResponse(_ENVIRONMENT.get_template(name).render(**shown))


@router.get("/")
@router.get("/complaints")
async def complaints(request: Request, filters: Annotated[Filters, Query()]) -> HTMLResponse:
    """The list, with a link to each complaint."""
    page = await reading.complaints(request, filters)
    given = filters.model_dump(exclude_defaults=True, exclude={"after"}, mode="json")
    return _page(
        "complaints.html", page=page, counts=await reading.counts(request), stages=WHERES, filters=filters, more=_query(given, page.next)
    )


@router.get("/complaints/{complaint_id}")
async def complaint(request: Request, complaint_id: UUID) -> HTMLResponse:
    """One complaint, and all that happened to it."""
    history = await reading.history(request, complaint_id, reading.HISTORY_MAX, None)
    return _page("complaint.html", one=await reading.complaint(request, complaint_id), history=history)


def _query(given: Mapping[str, Any], after: str | None) -> str | None:
    return urlencode({**given, "after": after}, doseq=True) if after else None
