"""What is published of all that can be said: its JSON Schemas, by stored type name, and what of them the OpenAPI document needs."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic.json_schema import models_json_schema

from services.console.api import problems
from services.console.api.door import known_query
from services.console.api.models import Asked
from services.console.api.problems import Problem, ProblemBody
from shared.contract.catalogue import COMMANDS, SCHEMA_PLACE, schemas, service_of
from shared.contract.envelope import SERVICES, requested
from shared.contract.intake import SubmitComplaint
from shared.contract.said import Command, short_name

OF_A_COMPLAINT = frozenset({"complaint", "case", "learning"})
"""The streams that have a complaint's id."""
PROBLEM = {"$ref": "#/components/schemas/ProblemBody"}
SUFFIX = ".json"


class SchemaResponse(JSONResponse):
    """A JSON Schema."""

    media_type = "application/schema+json"


router = APIRouter(prefix="/schemas", tags=["schemas"], dependencies=[Depends(known_query)], responses={422: {"model": ProblemBody}})


def published() -> Mapping[str, Mapping[str, Any]]:
    """All schemas, those of `…Requested` rows among them: they are on Kafka, and name their schema as every event does."""
    found: dict[str, Mapping[str, Any]] = {}
    for type_name, schema in schemas().items():
        found[type_name] = schema
        if type_name in COMMANDS and service_of(type_name) in SERVICES:
            found[requested(type_name)] = _of_request(type_name, schema)
    return found


def _of_request(type_name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = requested(type_name)
    about = (
        f"{short_name(type_name)}, on its way to the stream that it is for: asked of it by another stream, or passed on by the shard to"
        f" which it came. The body is exactly the command's ({type_name}): {schema['description']}"
    )
    return {**schema, "$id": f"{SCHEMA_PLACE}/{name}.json", "title": short_name(name), "description": about}


PUBLISHED = published()


@router.get("")
@router.get("/", include_in_schema=False)
def index() -> list[str]:
    """The stored type names of all that can be asked and can have happened."""
    return list(PUBLISHED)


@router.get(
    "/{type_name}",
    response_description="The schema.",
    responses={404: {"model": ProblemBody}},
    response_class=SchemaResponse,
)
def schema(type_name: str) -> SchemaResponse:
    """The JSON Schema of a command or an event, by its stored type name, with `.json` behind it or without."""
    name = type_name.removesuffix(SUFFIX)
    if name not in PUBLISHED:
        raise Problem(404, "unknown_schema", f"nothing is called {name}: /schemas lists what there is")
    return SchemaResponse(PUBLISHED[name])


# ---- for the OpenAPI document ----------------------------------------------------------------------------------------------


def body_of_submission() -> dict[str, Any]:
    """What an operation says of its body, where that is a submission."""
    example = {"source": "shop", "ref": "4711", "narrative": "The bread was wet.", "product": "bread", "customer": {"name": "Bo Li"}}
    return _body(SubmitComplaint.__name__, example, f"The fields of a [SubmitComplaint](/schemas/{SubmitComplaint.type}.json).")


def body_of_asked(streams: Collection[str]) -> dict[str, Any]:
    """What an operation says of its body, where that is a command to one of these streams."""
    names: dict[str, list[str]] = {}
    for type_name, command in COMMANDS.items():
        if command.stream in streams and not command.internal:
            names.setdefault(short_name(type_name), []).append(type_name)
    lines = [
        f"- `{name}` ({', '.join(f'[{service_of(of)}](/schemas/{of}.json)' for of in types)}): {_about(types[0])}"
        for name, types in names.items()
    ]
    first = COMMANDS[next(iter(names.values()))[-1]]
    example = {"command": "Deliver", "data": {"what": "A dry loaf.", "how": "by hand", "evidence": "signed for"}}
    if "problem" in streams:
        example = {"command": short_name(first.type), "data": {"title": "Wet", "symptom": "The bread is wet.", "defect_kind": "product"}}
    return _body(Asked.__name__, example, "\n".join(["A command, with its fields under `data`:", "", *lines]))


def body_of_settling(command: type[Command]) -> dict[str, Any]:
    """What an operation says of its body, where that is a command about a parked input: which one, its address says."""
    schema = command.model_json_schema()
    fields = {name: of for name, of in schema["properties"].items() if name not in {"shard", "entry"}}
    schema |= {"properties": fields, "required": [name for name in schema["required"] if name in fields]}
    return _body(
        schema, {"reason": "sent again as shop/4712"}, f"The other fields of a [{short_name(command.type)}](/schemas/{command.type}.json)."
    )


def _about(type_name: str) -> str:
    return " ".join((COMMANDS[type_name].__doc__ or "").split())


def _body(schema: str | Mapping[str, Any], example: Mapping[str, Any], about: str) -> dict[str, Any]:
    named = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    content = {"schema": named, "example": example}
    return {"requestBody": {"required": True, "description": about, "content": {"application/json": content}}}


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The app's OpenAPI document, with the schemas of bodies that the app reads by itself."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, bodies = models_json_schema(
            [(SubmitComplaint, "validation"), (Asked, "validation")], ref_template="#/components/schemas/{model}"
        )
        found["components"]["schemas"] |= bodies["$defs"]
        for content in _contents(found):
            for media_type in [name for name, of in content.items() if of.get("schema") == PROBLEM]:
                content[problems.MEDIA_TYPE] = content.pop(media_type)
        app.openapi_schema = found
    return app.openapi_schema


def _contents(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The contents of all answers."""
    for methods in document["paths"].values():
        for operation in methods.values():
            yield from (answer["content"] for answer in operation["responses"].values() if "content" in answer)
