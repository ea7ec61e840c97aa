"""How a page is drawn: from its template, and so that a browser loads nothing from anywhere else for it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
"""The content security policy of every page."""
MARKED = re.compile(r"`([^`]+)`|\[([^\]]+)\]\((/[^)\s]*)\)")
"""Of Markdown, what our own descriptions use: `code` and [links](/to/here)."""
_ENVIRONMENT = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def drawn(template: str, **shown: Any) -> HTMLResponse:
    """A page."""
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(**shown), headers={"Content-Security-Policy": NOTHING_ELSE})


def _at(at: datetime | None, to: str = "%Y-%m-%d %H:%M") -> str | Markup:
    """A moment, UTC; whoever points at it sees all of it."""
    if at is None:
        return "–"
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(utc.isoformat(), f"{utc:{to}}")


def _marked(text: str) -> Markup:
    """A description of ours, its code and links marked up."""

    def one(found: "re.Match[str]") -> str:
        code, words, address = found.groups()
        return Markup("<code>{}</code>").format(code) if code else Markup('<a href="{}">{}</a>').format(address, words)

    parts, end = [], 0
    for found in MARKED.finditer(text):
        parts += [escape(text[end : found.start()]), one(found)]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _name(name: str) -> Markup:
    """The name of a person, a source, a place: where it must be broken, it is broken between its parts."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[:./-])", name))


FILTERS: dict[str, Callable[..., Any]] = {
    "at": _at,
    "exactly": lambda at: _at(at, "%Y-%m-%d %H:%M:%S"),
    "number": lambda number: f"{number:,}",
    "sentence": lambda text: text[:1].upper() + text[1:].rstrip(".") + ".",
    "words": lambda name: (name.split(".")[1] if "." in name else name).replace("_", " "),
    "marked": _marked,
    "name": _name,
}
_ENVIRONMENT.filters |= FILTERS
