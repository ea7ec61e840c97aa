"""A policy: the numbers and lists an organisation decides on, as data. It reaches a mind as an input, never as a file."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

DAY_SECONDS = 86_400


class Policy(BaseModel):
    """One version of one policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    version: Annotated[int, Field(ge=1)]
    objection_seconds: Annotated[int, Field(ge=1)] = 5 * DAY_SECONDS
    """How long the customer may object to a delivery before silence is taken as an answer (`DeliveryAssumed`), in seconds."""
    reopen_seconds: Annotated[int, Field(ge=1)] = 30 * DAY_SECONDS
    """How long after the customer's ending a complaint may be reopened, in seconds."""
    defect_kinds: tuple[str, ...]
    cause_kinds: tuple[str, ...]

    @property
    def objection_window(self) -> timedelta:
        """The objection window as a duration."""
        return timedelta(seconds=self.objection_seconds)

    @property
    def reopen_window(self) -> timedelta:
        """The reopening window as a duration."""
        return timedelta(seconds=self.reopen_seconds)
