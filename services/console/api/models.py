"""What the API answers, as it is published in its OpenAPI."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Where = Literal["own", "fix", "deliver", "retrain", "settled"]
Service = Literal["intake", "resolution", "rootcause"]
Personal = Annotated[str | None, Field(json_schema_extra={"x-personal": True})]
"""Tells who somebody is, or what they wrote."""


class Listed(BaseModel):
    """A complaint in the list."""

    id: UUID
    stage: Where
    source: str | None
    ref: str | None
    summary: str | None = Field(description="What it is about, in a line: the summary, else the issue, else the narrative's beginning.")
    product: str | None
    severity: str | None
    defect_kind: str | None
    owner: str | None
    ending: str | None
    held: bool = Field(description="Whether a misunderstanding is raised: nothing moves until it is cleared.")
    next_promise_at: datetime | None = Field(description="When the first open promise is due.")
    broken: int = Field(description="Promises that were broken.")
    refusals: int
    conflicts: int = Field(description="How often its upstream told us something else under the same reference.")
    parked: int = Field(description="Inputs that can't be decided: they wait for somebody to see to them.")
    received_at: datetime
    updated_at: datetime


class Page(BaseModel):
    """A page of the list."""

    complaints: list[Listed]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last one.")


class Promised(BaseModel):
    """What the customer was promised, and what became of it."""

    promise_id: UUID
    what: str
    due_at: datetime
    made_at: str = Field(description="The stage in which it was promised, or `sale`.")
    state: Literal["open", "kept", "broken", "renegotiated", "released"]


class Complaint(Listed):
    """A complaint, whole."""

    generation: int
    narrative: Personal
    issue: str | None
    channel: str | None
    customer_kind: str | None
    customer_ref: Personal = Field(description="How the upstream knows them.")
    customer_name: Personal = Field(description="Who complained.")
    customer_contact: Personal = Field(description="How to reach them.")
    found_by: str | None
    occurred_at: datetime | None
    reported_at: datetime | None
    accepted: bool = Field(description="Whether the owner accepted it.")
    asked: str | None = Field(description="Who was asked to own it and has not accepted yet.")
    need: Personal
    verdict: str | None = Field(description="What was decided; null before.")
    objection_until: datetime | None
    promises: list[Promised] = Field(description="All of them, those due first in front; of those that have ended, the newest.")
    kept: int
    outcome: str | None
    repeats: int
    events: int


class Happened(BaseModel):
    """An event or a refusal: who, when, what, and where it stands."""

    id: str = Field(description="As on Kafka: generation, service, shard and position.")
    service: str
    shard: int
    position: int = Field(description="In the shard's ledger.")
    kind: str = Field(description="The kind of stream.")
    stream: UUID
    version: int = Field(description="The place in the stream.")
    type: str = Field(description="The stored type name.")
    at: datetime
    actor: str
    cause: str = Field(description="The id of the message that led to it; empty for the clock.")
    trace_id: str
    refused: bool
    why: str | None = Field(
        description="What it says, in a line: the reasons, the promise and its date, the reply; of a refusal, what was wrong."
    )
    rule: str | None = Field(description="Of a refusal: the rule's name.")
    invariant: int | None = None
    asks: UUID | None = Field(description="Of a request to another stream: which one.")
    hash: str
    data: dict[str, Any]


class History(BaseModel):
    """All that happened to a complaint, in order."""

    id: UUID
    events: list[Happened]
    next: str | None = Field(description="Give it as `after` to get what follows; null where there is no more.")


class Asked(BaseModel):
    """A command to a complaint or a problem."""

    model_config = ConfigDict(extra="forbid")

    command: str = Field(description="As in `Deliver`, or in full, `resolution.Deliver.v1`.", max_length=200, examples=["Deliver"])
    service: Service | None = Field(None, description="Where more than one has a command of this name. Absent: whichever stage is open.")
    data: dict[str, Any] = Field(default_factory=dict, description="The command's fields.")


class Answer(BaseModel):
    """What became of a command."""

    message_id: UUID
    status: Literal["accepted", "repeated", "conflicting", "parked", "waiting", "pending"] = Field(
        description="Of a submission, `repeated`: it is known already, or an update of its upstream's; `conflicting`: its upstream told us"
        " something else under the same reference, and both are kept. `parked`: somebody must see to it; `waiting`: an earlier input of the"
        " same complaint is parked; `pending`: not known yet. What is refused is a problem (409)."
    )
    url: str = Field(description="Where to ask again.")
    complaint: UUID | None = None
    events: list[Happened] = []


class Counts(BaseModel):
    """How many complaints there are, and what is the matter with them."""

    complaints: int
    by_stage: dict[Where, int]
    held: int = Field(description="With a misunderstanding raised.")
    with_refusals: int = Field(description="Complaints of which anything was ever refused.")
    with_conflicts: int = Field(description="Complaints whose upstream told us two things under one reference.")
    with_parked: int = Field(
        description="Complaints with an input that can't be decided. It can be 0 where `parked` is not: what can't be read at all names no"
        " complaint."
    )
    parked: int = Field(
        description="Inputs that can't be decided, altogether: those of complaints and those that could not be read, and so belong to none."
        " `makegood parked list` shows them."
    )
    refusals: int = Field(description="Refusals, altogether: of complaints, of problems, and of what does not exist.")
