"""Asking a service for something: the command goes to Kafka, and what the service says comes back through the projection."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError

from services.console.api.answers import Answers
from services.console.api.door import json_object, known_query, ready
from services.console.api.message import Manner, Message, answered, message_id_of, seconds_in, within
from services.console.api.models import Answer, Asked, Service
from services.console.api.problems import Problem, ProblemBody
from services.console.api.published import OF_A_COMPLAINT, body_of_asked, body_of_settling, body_of_submission
from services.console.api.reading import stage_of
from shared.contract.catalogue import COMMANDS, by_short_name
from shared.contract.envelope import SUBMISSIONS, complaint_id, stream_id
from shared.contract.in_words import in_words, named, said
from shared.contract.intake import ReportFinding, SubmitComplaint
from shared.contract.machine import SETTLING, DiscardParked, Entry, RetryParked, Shard
from shared.contract.said import Command
from shared.machine.told import SHARD

C = TypeVar("C", bound=Command)
How = Annotated[Manner, Depends()]
Body = Annotated[dict[str, Any], Depends(json_object)]

router = APIRouter(
    prefix="/api",
    tags=["asking"],
    dependencies=[Depends(known_query), Depends(ready)],
    responses={
        200: {"model": Answer, "description": "Its outcome."},
        202: {"model": Answer, "description": "It was sent; ask at `url` what became of it."},
        409: {"model": ProblemBody, "description": "Refused: the problem names the rule."},
        422: {"model": ProblemBody, "description": "What was asked makes no sense."},
        503: {"model": ProblemBody, "description": "Kafka or PostgreSQL does not answer. Ask again with the same key."},
    },
)
BODY: dict[int | str, dict[str, Any]] = {
    400: {"model": ProblemBody, "description": "The body is no JSON."},
    413: {"model": ProblemBody, "description": "The body is larger than Kafka takes."},
    415: {"model": ProblemBody, "description": "The body is not said to be JSON."},
}
"""What can be wrong with a body."""
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": ProblemBody, "description": "There is nothing under this id."}}


@router.post("/complaints", openapi_extra=body_of_submission(), responses=BODY)
async def submit(request: Request, body: Body, how: How) -> Response:
    """Submits a complaint: the fields of a `SubmitComplaint`. The same reference of the same source is the same complaint."""
    command = _validated(SubmitComplaint, body)
    stream = complaint_id(command.source, command.ref)
    return await Message(request, command, stream, how, actor=f"source:{command.source}", topic=SUBMISSIONS).ask()


@router.post("/complaints/{complaint}/commands", openapi_extra=body_of_asked(OF_A_COMPLAINT), responses=BODY | UNKNOWN)
async def ask_about_complaint(request: Request, complaint: UUID, body: Body, how: How) -> Response:
    """Asks something about a complaint: `StartFix`, `Deliver` and the like.

    Answers at once with 202 and where to ask for the outcome, or with `Prefer: wait=5` with the outcome itself; a refusal is 409.
    """
    asked = _asked(body)
    command_type = await _command_type(request, complaint, asked, how)
    command = _validated(command_type, asked.data)
    if isinstance(command, SubmitComplaint | ReportFinding) and (own := complaint_id(command.source, command.ref)) != complaint:
        what = f"source {command.source} and ref {command.ref} make the complaint {own}, not {complaint}: ask under that id"
        raise Problem(422, "another_complaint", f"{what}, or submit it to /api/complaints.", makes=own, asked=complaint)
    return await Message(request, command, complaint, how).ask()


@router.post("/problems/{problem_id}/commands", openapi_extra=body_of_asked({"problem"}), responses=BODY)
async def ask_about_problem(request: Request, problem_id: UUID, body: Body, how: How) -> Response:
    """Asks something about a problem, one cause behind many complaints: `OpenProblem` under an id of your choice, then the rest."""
    asked = _asked(body)
    command_type = _find(asked.command, asked.service)
    if command_type.stream != "problem":
        raise Problem(422, "wrong_address", f"{asked.command} is not asked of a problem")
    return await Message(request, _validated(command_type, asked.data), problem_id, how).ask()


@router.post("/parked/{service}/{shard}/{entry}/retry", openapi_extra=body_of_settling(RetryParked), responses=BODY | UNKNOWN)
async def retry_parked(request: Request, *, service: Service, shard: Shard, entry: Entry, body: Body, how: How) -> Response:
    """Has a parked input decided again, and then all that waits behind it: as it was received, or with the corrected body that is given.

    The outcome is that this was taken up, or why not. What comes of the input itself, its sender finds under the input's own id.
    """
    return await _settle(request, service, _about_parked(RetryParked, body, shard=shard, entry=entry), how)


@router.post("/parked/{service}/{shard}/{entry}/discard", openapi_extra=body_of_settling(DiscardParked), responses=BODY | UNKNOWN)
async def discard_parked(request: Request, *, service: Service, shard: Shard, entry: Entry, body: Body, how: How) -> Response:
    """Gives a parked input up, and has all that waits behind it decided. Whoever sent it is told so, and why."""
    return await _settle(request, service, _about_parked(DiscardParked, body, shard=shard, entry=entry), how)


async def _settle(request: Request, service: str, command: RetryParked | DiscardParked, how: Manner) -> Response:
    """It is asked of the shard in which the input lies."""
    if command.shard >= (shards := request.app.state.shards):
        raise Problem(404, "unknown_shard", f"there is no shard {command.shard}: this installation has the shards 0 to {shards - 1}")
    stream = stream_id(SHARD, f"{service}/{command.shard}")
    return await Message(request, command, stream, how, of=(service, command.shard)).ask()


@router.get("/commands/{message_id}", responses=UNKNOWN)
async def outcome(request: Request, message_id: UUID) -> Response:
    """What became of a command. With `Prefer: wait=5` it waits so many seconds until that is known."""
    answers: Answers = request.app.state.answers
    seconds = seconds_in(request.headers.getlist("prefer"))
    with answers.expected(message_id) as waiting:
        known = await answers.known(message_id)
        if known is None:
            if not await request.app.state.pool.fetchval("SELECT true FROM asked WHERE message_id = $1", message_id):
                raise Problem(404, "unknown_message", f"nothing was asked under {message_id}")
            known = await within(waiting, seconds or 0)
    return await answered(request, message_id, known, seconds)


def _asked(body: Mapping[str, Any]) -> Asked:
    if beside := [named(name) for name in body if name not in Asked.model_fields]:
        what = f"{', '.join(beside)}: not known beside {', '.join(Asked.model_fields)}; put the command's fields under data"
        raise Problem(422, "invalid_request", what, faults=[{"where": f"body.{name}", "what": "is not known"} for name in beside])
    try:
        return Asked.model_validate(body)
    except ValidationError as error:
        raise Problem(422, "invalid_request", in_words(error), faults=_faults(error)) from error


async def _command_type(request: Request, complaint: UUID, asked: Asked, how: Manner) -> type[Command]:
    """The command that is meant. Where both intake and resolution have one of this name, the stage that is open tells which.

    What was asked before under the same key is what it was then, whatever stage is open by now. The complaint must be there, unless this is
    what brings it: an id with a typing error in it is nobody's decision.
    """
    pool = request.app.state.pool
    both = [_try(asked.command, service) for service in ("intake", "resolution")]
    if asked.service or asked.command in COMMANDS or not all(both):
        found = _find(asked.command, asked.service)
        if found.stream not in OF_A_COMPLAINT:
            where = ": POST /api/problems/ID/commands" if found.stream == "problem" else ", and not over HTTP"
            if found.type in SETTLING:
                where = ": POST /api/parked/SERVICE/SHARD/ENTRY/retry, or …/discard"
            raise Problem(422, "wrong_address", f"{asked.command} is asked of a {found.stream}{where}")
        if not issubclass(found, SubmitComplaint | ReportFinding):
            await stage_of(pool, complaint)
        return found
    intake, resolution = both
    assert intake is not None and resolution is not None, "both have it"  # noqa: PT018
    stage = await stage_of(pool, complaint)
    if how.key:
        before = await pool.fetchval("SELECT type FROM asked WHERE message_id = $1", message_id_of(request, how.who, complaint, how.key))
        if before in {intake.type, resolution.type}:
            return COMMANDS[before]
    return intake if stage == "own" else resolution


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
        raise Problem(422, "invalid_command", in_words(error), faults=_faults(error), command=command_type.type) from error


def _about_parked(command_type: type[C], body: Mapping[str, Any], **place: int) -> C:
    if beside := [name for name in place if name in body]:
        raise Problem(422, "invalid_request", f"{' and '.join(beside)}: which input is meant stands in the address")
    return _validated(command_type, {**body, **place})


def _faults(error: ValidationError) -> list[dict[str, str]]:
    return [{"where": ".".join(str(part) for part in one["loc"]), "what": said(one)} for one in error.errors(include_url=False)]
