"""A policy: the numbers and lists an organisation decides on, as data. It reaches a mind as an input, never as a file.

Every field is bounded, so that whatever is published, no mind overflows by it: a moment and a window added stay a moment that can be
stored, and what a refusal lists fits into it.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.contract.values import LIST_MAX, Label

DAY = 86_400
"""In seconds."""
VERSION_MAX = 2**31 - 1
"""What a column of four bytes holds."""
OBJECTION_MAX_SECONDS = 366 * DAY
"""A year."""
REOPEN_MAX_SECONDS = 3_660 * DAY
"""Ten years."""

Kinds = Annotated[tuple[Label, ...], Field(min_length=1, max_length=LIST_MAX)]


class Policy(BaseModel):
    """One version of one policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label
    version: Annotated[int, Field(strict=True, ge=1, le=VERSION_MAX)]
    objection_seconds: Annotated[int, Field(strict=True, ge=1, le=OBJECTION_MAX_SECONDS)] = 5 * DAY
    """How long the customer may object to a delivery before silence is taken as an answer (`DeliveryAssumed`), in seconds."""
    reopen_seconds: Annotated[int, Field(strict=True, ge=1, le=REOPEN_MAX_SECONDS)] = 30 * DAY
    """How long after the customer's ending a complaint may be reopened, in seconds."""
    defect_kinds: Kinds
    cause_kinds: Kinds

    @property
    def objection_window(self) -> timedelta:
        """The objection window as a duration."""
        return timedelta(seconds=self.objection_seconds)

    @property
    def reopen_window(self) -> timedelta:
        """The reopening window as a duration."""
        return timedelta(seconds=self.reopen_seconds)
