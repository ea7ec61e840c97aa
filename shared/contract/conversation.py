"""What intake and resolution both say to and about the customer: promises, misunderstandings, replies.

Only the fields are here. Each service gives them its own stored names, since each decides for itself while it has the complaint.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared.contract.values import (
    LIST_MAX,
    At,
    Generation,
    Label,
    PersonalName,
    PersonalShort,
    PersonalText,
    PromiseTerms,
    Proof,
    Reference,
)

# ---- promises --------------------------------------------------------------------------------------------------------------


class PromiseAsked(BaseModel):
    """What is to be promised to the customer, and by when."""

    what: PersonalShort
    due_at: At


class KeepingAsked(BaseModel):
    """A promise is kept, and what shows it (invariant 17)."""

    promise_id: UUID
    by: Reference | None = None
    """The event that kept it, by its id (`g1/intake/3/1024`). It may be left out in the body, so that a rule can refuse it by name."""


class RenegotiationAsked(BaseModel):
    """Other terms that the customer agreed to, before the old ones were due."""

    promise_id: UUID
    what: PersonalShort | None = None
    """Absent: what was promised stays as it was."""
    due_at: At
    reason: PersonalText
    proof: Proof | None = None
    """The customer's agreement."""


class PromiseMadeFields(BaseModel):
    """The customer was promised something by a date."""

    promise: PromiseTerms


class PromiseKeptFields(BaseModel):
    """What was promised is there."""

    promise_id: UUID
    by: Reference
    """What kept it: the event's id as `KeepPromise` named it (`g1/intake/3/1024`), or where it was kept by delivering (`Deliver.keeps`)
    the `delivery_id` of that `Delivered`, whose own id is not known yet while it is decided."""


class PromiseRenegotiatedFields(BaseModel):
    """The customer agreed to other terms: the old promise has ended, a new one stands in its place."""

    promise_id: UUID
    becomes: PromiseTerms
    reason: PersonalText
    proof: Proof


class PromiseBrokenFields(BaseModel):
    """The date came and what was promised was not there."""

    promise_id: UUID
    due_at: At


# ---- misunderstandings -----------------------------------------------------------------------------------------------------


class MisunderstandingFields(BaseModel):
    """What they understood, and what we meant."""

    understood: PersonalText
    meant: PersonalText


class ClearingAsked(BaseModel):
    """The customer says that it is cleared up."""

    now_understood: PersonalText | None = None
    """What is understood by both from here on."""
    proof: Proof | None = None


class ClearedFields(BaseModel):
    """It is cleared up: stages may move again."""

    now_understood: PersonalText | None = None
    proof: Proof


# ---- replies ---------------------------------------------------------------------------------------------------------------


class ReplyAsked(BaseModel):
    """What the customer said to us."""

    text: PersonalText
    channel: Label | None = None
    ref: PersonalName | None = None
    """The message's own reference. With it, the same reply is not recorded twice."""
    said_at: At | None = None


class ReplyFields(BaseModel):
    """The customer said something. Other facts may name it as proof of the customer's word."""

    reply_id: UUID
    generation: Generation
    """Of the complaint, when it was received: it shows the customer's word of nothing that came up in a later one."""
    text: PersonalText
    channel: Label | None = None
    ref: PersonalName | None = None
    said_at: At | None = None
    received_at: At


KEPT_AT_ONCE_MAX = 1000
"""Most promises that one delivery can be said to keep. Any others are kept one by one."""
Promises = Annotated[tuple[PromiseTerms, ...], Field(max_length=LIST_MAX)]
KeptAtOnce = Annotated[tuple[UUID, ...], Field(max_length=KEPT_AT_ONCE_MAX)]
PromiseIds = tuple[UUID, ...]
"""Those that one stream holds, in facts of ours. Each generation of a complaint can add to what is open, and what is so must be sayable:
a limit here would leave the case with no way on and none out."""
ReplyIds = Annotated[tuple[UUID, ...], Field(max_length=LIST_MAX)]
CustomerKind = Literal["external", "internal"]
