"""The API's own page, drawn from its OpenAPI document: nothing is loaded from elsewhere, and nothing runs in the browser."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from services.console.api.door import known_query
from services.console.pages.drawing import drawn

router = APIRouter(include_in_schema=False, dependencies=[Depends(known_query)])
Document = Mapping[str, Any]
METHODS = ("get", "post")
NULL = {"type": "null"}


@router.get("/docs")
async def documents(request: Request) -> HTMLResponse:
    """What can be asked over HTTP."""
    document = request.app.openapi()
    address = str(request.base_url).rstrip("/")
    operations = [_operation(path, method, said, address) for path, method, said in _operations(document)]
    return drawn("documents.html", about=document["info"]["description"], operations=operations, shapes=_shapes(document))


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield path, method, methods[method]


def _operation(path: str, method: str, said: Document, address: str) -> Document:
    body: Document = said.get("requestBody", {})
    content: Document = body["content"]["application/json"] if body else {}
    return {
        "id": f"{method}{path}".replace("/", "-"), "method": method.upper(), "path": path, "about": said.get("description", ""),
        "parameters": [
            {**one, "takes": takes(one["schema"]), "about": one.get("description") or one["schema"].get("description", "")}
            for one in said.get("parameters", ())
        ],
        "body": body and {"about": body["description"].split("\n"), "shape": takes(content["schema"])},
        "answers": [(status, answer["description"], takes(_schema(answer))) for status, answer in sorted(said["responses"].items())],
        "curl": _curl(path, method, content, address),
    }  # fmt: skip


def _schema(answer: Document) -> Document:
    """The shape of an answer, whatever its media type."""
    return next((one.get("schema", {}) for one in answer.get("content", {}).values()), {})


def _curl(path: str, method: str, content: Document, address: str) -> str:
    words = ["curl", *(["-X", method.upper(), "-H", "Content-Type: application/json", "-H", "Prefer: wait=5"] if content else [])]
    words += ["-d", json.dumps(content["example"])] if content else []
    return f"{shlex.join(words)} {shlex.quote(address + path)}"


def takes(schema: Document) -> str:
    """What a field takes, in a few words; another shape by its name."""
    if reference := schema.get("$ref"):
        return str(reference.rsplit("/", 1)[1])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(takes(one) for one in schema["anyOf"] if one != NULL))
    if schema.get("type") == "array":
        return f"list of {takes(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "")


def _shapes(document: Document) -> list[Document]:
    """All that is sent and answered, by name, field by field."""
    return [
        {
            "name": name, "about": schema.get("description", ""),
            "fields": [
                {
                    "name": field, "takes": takes(of), "about": of.get("description", ""), "needed": field in schema.get("required", ()),
                    "personal": bool(of.get("x-personal")) or any(one.get("x-personal") for one in of.get("anyOf", ())),
                }
                for field, of in schema.get("properties", {}).items()
            ],
        }
        for name, schema in sorted(document["components"]["schemas"].items())
    ]  # fmt: skip
