"""What the API answers, as it is published in its OpenAPI."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

Where = Literal["own", "fix", "deliver", "retrain", "settled"]


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
    parked: int
    received_at: datetime
    updated_at: datetime


class Page(BaseModel):
    """A page of the list."""

    complaints: list[Listed]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last one.")


class Complaint(Listed):
    """A complaint, whole."""

    generation: int
    narrative: str | None
    issue: str | None
    channel: str | None
    customer_kind: str | None
    customer_ref: str | None
    customer_name: str | None
    found_by: str | None
    occurred_at: datetime | None
    reported_at: datetime | None
    accepted: bool
    need: str | None
    verdict: str | None
    objection_until: datetime | None
    promises: dict[UUID, datetime] = Field(description="The open ones, and when each is due.")
    kept: int
    outcome: str | None
    repeats: int
    conflicts: int
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
    why: str | None = Field(description="Of a refusal: what was wrong.")
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

    command: str = Field(description="As in `Deliver`, or in full, `resolution.Deliver.v1`.", max_length=200, examples=["Deliver"])
    service: Literal["intake", "resolution", "rootcause"] | None = Field(
        None, description="Where more than one has a command of this name. Absent: whichever stage is open."
    )
    data: dict[str, Any] = Field(default_factory=dict, description="The command's fields.")


class Answer(BaseModel):
    """What became of a command."""

    message_id: UUID
    status: Literal["accepted", "refused", "parked", "waiting", "pending"]
    url: str = Field(description="Where to ask again.")
    complaint: UUID | None = None
    events: list[Happened] = []


class Counts(BaseModel):
    """How many complaints there are, and what is the matter with them."""

    complaints: int
    by_stage: dict[Where, int]
    held: int = Field(description="With a misunderstanding raised.")
    with_refusals: int
    with_conflicts: int
    with_parked: int = Field(description="With inputs that somebody must see to.")
    parked: int = Field(description="Parked inputs altogether, those that belong to no complaint among them.")
    refusals: int
