"""Asking a service for something: the command goes to Kafka, and what the service says comes back through the projection."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError

from services.console.api.answers import Answers
from services.console.api.message import Manner, Message, answered, within
from services.console.api.models import Answer, Asked
from services.console.api.problems import Problem, ProblemBody
from services.console.api.reading import card_of
from shared.contract.catalogue import by_short_name
from shared.contract.envelope import SUBMISSIONS, complaint_id
from shared.contract.in_words import in_words
from shared.contract.intake import SubmitComplaint
from shared.contract.said import Command

OF_A_COMPLAINT = frozenset({"complaint", "case", "learning"})
"""The streams that have a complaint's id."""

C = TypeVar("C", bound=Command)
How = Annotated[Manner, Depends()]

router = APIRouter(
    prefix="/api",
    tags=["asking"],
    responses={
        200: {"model": Answer},
        202: {"model": Answer, "description": "It was sent; ask at `url` what became of it."},
        404: {"model": ProblemBody},
        409: {"model": ProblemBody, "description": "Refused: the problem names the rule."},
        422: {"model": ProblemBody},
        503: {"model": ProblemBody, "description": "Kafka did not take it in time. Ask again with the same key."},
    },
)


@router.post("/complaints")
async def submit(request: Request, body: dict[str, Any], how: How) -> Response:
    """Submits a complaint: the fields of a `SubmitComplaint`. The same reference of the same source is the same complaint."""
    command = _validated(SubmitComplaint, body)
    stream = complaint_id(command.source, command.ref)
    return await Message(request, command, stream, how, actor=f"source:{command.source}", topic=SUBMISSIONS).ask()


@router.post("/complaints/{complaint}/commands")
async def ask_about_complaint(request: Request, complaint: UUID, asked: Asked, how: How) -> Response:
    """Asks something about a complaint: `StartFix`, `Deliver`, … What it may be is in `/schemas`.

    Answers at once with 202 and where to ask for the outcome, or with `Prefer: wait=5` with the outcome itself; a refusal is 409.
    """
    command_type = await _command_type(request, complaint, asked)
    if command_type.stream not in OF_A_COMPLAINT:
        where = f"POST /api/{command_type.stream}s/ID/commands"
        raise Problem(422, "wrong_address", f"{asked.command} is asked of a {command_type.stream}: {where}")
    return await Message(request, _validated(command_type, asked.data), complaint, how).ask()


@router.post("/problems/{problem_id}/commands")
async def ask_about_problem(request: Request, problem_id: UUID, asked: Asked, how: How) -> Response:
    """Asks something about a problem, one cause behind many complaints: `OpenProblem` under an id of your choice, then the rest."""
    command_type = _find(asked.command, asked.service)
    if command_type.stream != "problem":
        raise Problem(422, "wrong_address", f"{asked.command} is not asked of a problem")
    return await Message(request, _validated(command_type, asked.data), problem_id, how).ask()


@router.get("/commands/{message_id}")
async def outcome(request: Request, message_id: UUID, how: How) -> Response:
    """What became of a command."""
    answers: Answers = request.app.state.answers
    with answers.expected(message_id) as waiting:
        known = await answers.known(message_id)
        if known is None:
            if not await request.app.state.pool.fetchval("SELECT true FROM asked WHERE message_id = $1", message_id):
                raise Problem(404, "unknown_message", f"nothing was asked under {message_id}")
            known = await within(waiting, how.seconds)
    return await answered(request, message_id, known)


async def _command_type(request: Request, complaint: UUID, asked: Asked) -> type[Command]:
    """The command that is meant. Where both intake and resolution have one of this name, the stage that is open tells which."""
    both = [_try(asked.command, service) for service in ("intake", "resolution")]
    if asked.service or not all(both):
        return _find(asked.command, asked.service)
    card = await card_of(request.app.state.pool, complaint)
    intake, resolution = both
    found = intake if card.stage == "own" else resolution
    assert found is not None, "both have it"
    return found


def _try(name: str, service: str) -> type[Command] | None:
    try:
        return by_short_name(name, service)
    except LookupError:
        return None


def _find(name: str, service: str | None) -> type[Command]:
    try:
        return by_short_name(name, service)
    except LookupError as error:
        raise Problem(422, "unknown_command", f"{error}. What there is stands at /schemas") from error


def _validated(command_type: type[C], data: Mapping[str, Any]) -> C:
    try:
        return command_type.model_validate(data)
    except ValidationError as error:
        faults = [{"where": ".".join(str(part) for part in one["loc"]), "what": one["msg"]} for one in error.errors(include_url=False)]
        raise Problem(422, "invalid_command", in_words(error), faults=faults, command=command_type.type) from error
