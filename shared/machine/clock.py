"""The time of a batch: the database's clock, believed only as far as the other clocks bear it out.

One bad clock must not poison a shard for ever: what it decided in a future that never was could not be taken back. So a shard waits where
the clocks differ, and where time has leapt it waits until Kafka's clock says the same.
"""

from datetime import UTC, datetime, timedelta

from shared import clock
from shared.machine.head import LONG_AGO, Stopped

DIFFER_MAX = timedelta(minutes=5)
"""So far may clocks be apart."""
LEAP_MAX = timedelta(hours=1)
"""So far may the database's clock go beyond the time that has passed."""


class Clock:
    """One shard's."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def now(self, head: datetime, database: datetime, kafka: datetime | None) -> datetime:
        """The batch's time.

        Args:
            head: Of the last batch.
            database: PostgreSQL's clock.
            kafka: When Kafka appended the newest of the batch's records; None where it has none, or their times are their senders'.

        Raises:
            Stopped: where the clocks can't all be right.
        """
        if abs(database - self._own()) > DIFFER_MAX:
            raise Stopped("clock", f"PostgreSQL's clock says {_said(database)}, this machine's is 5 minutes off or more: set both")
        if head != LONG_AGO and head - database > DIFFER_MAX:
            raise Stopped(
                "clock", f"PostgreSQL's clock says {_said(database)}, but this shard decided at {_said(head)} already: set it right"
            )
        if kafka is not None and kafka - database > DIFFER_MAX:
            raise Stopped("clock", f"Kafka's clock says {_said(kafka)}, PostgreSQL's only {_said(database)}: set both")
        if self._leapt(database) and (kafka is None or database - kafka > DIFFER_MAX):
            what = f"PostgreSQL's clock leapt to {_said(database)}: set it right. Where it is right, the next message or a restart shows it"
            raise Stopped("clock", what)
        return max(head, database)

    def committed(self, now: datetime) -> None:
        """A batch of this time was committed."""
        self._last = now, self._passed()

    def _leapt(self, database: datetime) -> bool:
        if self._last is None:
            return False
        now, passed = self._last
        return database - now > timedelta(seconds=self._passed() - passed) + LEAP_MAX

    def _own(self) -> datetime:
        return clock.now()

    def _passed(self) -> float:
        """Seconds since the machine was started."""
        return clock.passed()


def _said(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
