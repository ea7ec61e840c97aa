"""What is there: the list, a complaint, its history, and counts. All from the projections."""

import base64
import binascii
import json
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, TypeAdapter
from pydantic.config import JsonDict
from pydantic_core import from_json

from services.console.api.door import known_query, ready
from services.console.api.models import Complaint, Counts, Happened, History, Listed, Page, Where
from services.console.api.problems import Problem, ProblemBody
from services.console.api.saying import in_a_line
from services.console.projections.card import CARD, Card
from shared.contract.envelope import event_id
from shared.contract.machine import CommandRefused, InputParked, InputTakenUp
from shared.contract.values import REFERENCE_MAX, At, printable

PAGE_MAX = 500
"""Complaints on a page of the list, at most."""
POSITION_MAX = 2**63 - 1
"""What PostgreSQL's bigint holds."""
SHARD_MAX = 2**31 - 1
"""What PostgreSQL's integer holds."""
HISTORY_MAX = 1_000
"""Events on a page of a history, at most."""
LISTED = ", ".join(Listed.model_fields)
"""The columns that the list shows: they are called as it calls them."""
PARKED_BEFORE = b'"before":"parked"'
"""What the event of an input says that had been parked already: that it is so still, or no more."""
WHERES = ("own", "fix", "deliver", "retrain", "settled")
COUNTS: tuple[Literal["kept", "broken", "refusals", "parked", "events"], ...] = ("kept", "broken", "refusals", "parked", "events")

router = APIRouter(
    prefix="/api", tags=["reading"], dependencies=[Depends(known_query), Depends(ready)],
    responses={422: {"model": ProblemBody, "description": "What was asked makes no sense."}, 503: {"model": ProblemBody}},
)  # fmt: skip
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": ProblemBody, "description": "There is no such complaint."}}
PRINTABLE: JsonDict = {"pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"}
Word = Annotated[str, StringConstraints(max_length=REFERENCE_MAX), AfterValidator(printable), Field(json_schema_extra=PRINTABLE)]
"""What something may be called: PostgreSQL takes no other."""


class Filters(BaseModel):
    """What the list can be narrowed by. Several stages may be given."""

    stage: list[Where] = Field(default_factory=list)
    owner: Word | None = Field(None, description="As in `person:anna`; `-` for those without one.")
    product: Word | None = None
    source: Word | None = Field(None, description="The upstream's name.")
    ref: Word | None = Field(None, description="The upstream's own number.")
    severity: Word | None = None
    defect_kind: Word | None = None
    ending: Word | None = Field(None, description="`confirmed`, `assumed` or `withdrawn`.")
    held: bool | None = Field(None, description="Whether a misunderstanding is raised.")
    refused: bool | None = Field(None, description="Whether anything was ever refused.")
    conflicting: bool | None = Field(None, description="Whether its upstream told us two things under one reference.")
    parked: bool | None = Field(None, description="Whether an input of it must be seen to.")
    received_from: At | None = Field(None, description="From this moment on.")
    received_until: At | None = Field(None, description="Before this moment.")
    limit: int = Field(50, ge=1, le=PAGE_MAX, description=f"Of a page; {PAGE_MAX} at most.")
    after: str | None = Field(None, max_length=200, description="The `next` of the page before.")


@router.get("/complaints", response_description="A page of them.")
async def complaints(request: Request, filters: Annotated[Filters, Query()]) -> Page:
    """The complaints, the last received first."""
    where, values = _where(filters)
    if filters.after:
        values += _cursor(filters.after, RECEIVED)
        where.append(f"(received_at, id) < (${len(values) - 1}, ${len(values)})")
    values.append(filters.limit + 1)
    rows = await _pool(request).fetch(
        f"SELECT {LISTED} FROM complaints WHERE {' AND '.join(where)} ORDER BY received_at DESC, id DESC LIMIT ${len(values)}",  # noqa: S608
        *values,
    )
    found = [Listed.model_validate(dict(row)) for row in rows[: filters.limit]]
    last = found[-1] if len(rows) > filters.limit else None
    return Page(complaints=found, next=_token(last.received_at, last.id) if last else None)


def _where(filters: Filters) -> tuple[list[str], list[Any]]:
    """The conditions, and the values that they name. Columns are named here alone, never by who asks."""
    where, values = ["received_at IS NOT NULL"], []

    def add(condition: str, value: Any) -> None:
        values.append(value)
        where.append(condition.format(f"${len(values)}"))

    if filters.stage:
        add("stage = ANY({})", filters.stage)
    if filters.owner == "-":
        where.append("owner IS NULL")
    elif filters.owner:
        add("owner = {}", filters.owner)
    for column in ("product", "source", "ref", "severity", "defect_kind", "ending"):
        if value := getattr(filters, column):
            add(f"{column} = {{}}", value)
    if filters.held is not None:
        add("held = {}", filters.held)
    for name, column in (("refused", "refusals"), ("conflicting", "conflicts"), ("parked", "parked")):
        if (value := getattr(filters, name)) is not None:
            where.append(f"{column} {'>' if value else '='} 0")
    if filters.received_from:
        add("received_at >= {}", filters.received_from)
    if filters.received_until:
        add("received_at < {}", filters.received_until)
    return where, values


@router.get("/complaints/{complaint_id}", response_description="The complaint.", responses=UNKNOWN)
async def complaint(request: Request, complaint_id: UUID) -> Complaint:
    """One complaint, whole."""
    return whole(complaint_id, await card_of(_pool(request), complaint_id))


@router.get("/complaints/{complaint_id}/history", response_description="A page of its history.", responses=UNKNOWN)
async def history(
    request: Request,
    complaint_id: UUID,
    limit: Annotated[int, Query(ge=1, le=HISTORY_MAX, description="Of a page.")] = HISTORY_MAX,
    after: Annotated[str | None, Query(max_length=200, description="The `next` of the page before.")] = None,
) -> History:
    """Every event and refusal, in the order of time: who, when, what, why, and where it stands in which ledger."""
    since = _cursor(after, PLACE) if after else (None, "", 0, 0)
    rows = await _pool(request).fetch(
        "SELECT * FROM story WHERE complaint = $1 AND ($2::timestamptz IS NULL OR (at, service, shard, position) > ($2, $3, $4, $5))"
        " ORDER BY at, service, shard, position LIMIT $6",
        complaint_id, *since, limit + 1,
    )  # fmt: skip
    if not rows and not after:
        raise Problem(404, "unknown_complaint", f"nothing is known of a complaint {complaint_id}")
    generation = request.app.state.generation
    last = rows[limit - 1] if len(rows) > limit else None
    return History(
        id=complaint_id,
        events=[happened(row, generation) for row in rows[:limit]],
        next=_token(last["at"], last["service"], last["shard"], last["position"]) if last else None,
    )


@router.get("/counts", response_description="The counts.")
async def counts(request: Request) -> Counts:
    """How many complaints there are in each stage, and what is the matter with them."""
    rows = await _pool(request).fetch(
        "SELECT stage, count(*) AS complaints, count(*) FILTER (WHERE held) AS held, count(*) FILTER (WHERE refusals > 0) AS refused,"
        " count(*) FILTER (WHERE conflicts > 0) AS conflicting, count(*) FILTER (WHERE parked > 0) AS parked"
        " FROM complaints WHERE received_at IS NOT NULL GROUP BY stage"
    )
    told = await _pool(request).fetch(
        "SELECT type, count(*) AS rows, count(*) FILTER (WHERE position($2::bytea IN body) > 0) AS parked_before FROM story"
        " WHERE type = ANY($1) GROUP BY type",
        [CommandRefused.type, InputParked.type, InputTakenUp.type], PARKED_BEFORE,
    )  # fmt: skip
    by_type = {row["type"]: row["rows"] for row in told}
    before = {row["type"]: row["parked_before"] for row in told}
    parked = by_type.get(InputParked.type, 0) - before.get(InputParked.type, 0) - before.get(InputTakenUp.type, 0)
    by_stage = dict.fromkeys(WHERES, 0) | {row["stage"]: row["complaints"] for row in rows}
    return Counts(
        complaints=sum(by_stage.values()), by_stage=by_stage, held=sum(row["held"] for row in rows),
        with_refusals=sum(row["refused"] for row in rows), with_conflicts=sum(row["conflicting"] for row in rows),
        with_parked=sum(row["parked"] for row in rows), parked=parked,
        refusals=by_type.get(CommandRefused.type, 0),
    )  # fmt: skip


# ---- shapes ----------------------------------------------------------------------------------------------------------------


def _pool(request: Request) -> asyncpg.Pool:
    pool: asyncpg.Pool = request.app.state.pool
    return pool


async def stage_of(pool: asyncpg.Pool, complaint_id: UUID) -> str:
    """Where a complaint is. Raises Problem (404)."""
    stage: str | None = await pool.fetchval("SELECT stage FROM complaints WHERE id = $1 AND received_at IS NOT NULL", complaint_id)
    if stage is None:
        raise _unknown(complaint_id)
    return stage


async def card_of(pool: asyncpg.Pool, complaint_id: UUID) -> Card:
    """A complaint's card. Raises Problem (404)."""
    body = await pool.fetchval("SELECT card FROM complaints WHERE id = $1 AND received_at IS NOT NULL", complaint_id)
    if body is None:
        raise _unknown(complaint_id)
    return CARD.validate_json(body)


def _unknown(complaint_id: UUID) -> Problem:
    what = f"There is no complaint {complaint_id}: submit it first, or look its id up (GET /api/complaints?source=…&ref=…)."
    return Problem(404, "unknown_complaint", what)


def whole(ident: UUID, card: Card) -> Complaint:
    """A card as a complaint."""
    own, case, received = card.own, card.case, card.own.received
    assert received is not None, "what was not received is not shown"
    told = ("source", "ref", "narrative", "issue", "channel", "found_by", "occurred_at", "reported_at")
    book = [{"promise_id": key, **asdict(one)} for key, one in sorted(card.book.items(), key=lambda item: item[1].due_at)]
    return Complaint.model_validate({
        **{name: getattr(received, name) for name in told},
        "id": ident, "stage": card.stage, "generation": own.generation, "summary": card.summary,
        "product": own.product, "severity": own.severity, "defect_kind": own.defect_kind, "owner": own.owner,
        "accepted": own.accepted, "asked": own.asked,
        "need": own.need, "customer_kind": received.customer.kind, "customer_ref": received.customer.ref,
        "customer_name": received.customer.name, "customer_contact": received.customer.contact, "verdict": case.verdict,
        "objection_until": case.objection_until, "ending": card.ending, "outcome": card.outcome, "held": card.held,
        "promises": book, "next_promise_at": card.next_promise_at, "repeats": own.repeats,
        "conflicts": own.conflicts, "received_at": card.received_at, "updated_at": card.updated_at,
        **{name: card.sum_of(name) for name in COUNTS},
    })  # fmt: skip


def happened(row: "asyncpg.Record", generation: str) -> Happened:
    """A row of the story."""
    data = from_json(row["body"])
    refused = row["type"] == CommandRefused.type
    return Happened(
        id=event_id(generation, row["service"], row["shard"], row["position"]), service=row["service"], shard=row["shard"],
        position=row["position"], kind=row["kind"], stream=row["stream"], version=row["version"], type=row["type"], at=row["at"],
        actor=row["actor"], cause=row["message_id"], trace_id=row["complaint"].hex, refused=refused,
        why=in_a_line(row["type"], row["body"]), rule=data.get("rule") if refused else None,
        invariant=data.get("invariant") if refused else None, asks=row["target"], hash=row["hash"].hex(), data=data,
    )  # fmt: skip


# ---- places in a list ------------------------------------------------------------------------------------------------------


RECEIVED = TypeAdapter(tuple[At, UUID])
"""The place of a complaint in the list."""
PLACE = TypeAdapter(
    tuple[
        At,
        Literal["intake", "resolution", "rootcause"],
        Annotated[int, Field(ge=0, le=SHARD_MAX)],
        Annotated[int, Field(ge=0, le=POSITION_MAX)],
    ]
)
"""The place of an event in a history."""


def _token(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values, default=str).encode()).decode().rstrip("=")


def _cursor(token: str, kind: TypeAdapter[Any]) -> tuple[Any, ...]:
    try:
        found: tuple[Any, ...] = kind.validate_json(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error) as error:
        raise Problem(422, "invalid_request", "after: this is not the `next` of a page; begin without it") from error
    return found
