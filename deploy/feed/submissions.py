"""Submitting rows and hearing what became of each: a bounded number of them is under way at any time.

The counts are the system's own answers, read from intake's events. What no answer came for is safe in Kafka where Kafka has
acknowledged it; of the rest nobody knows. The same file submitted again is answered as repeated or accepted, whatever happened.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from pydantic import ValidationError

from deploy.feed.ahead import Ahead
from deploy.feed.answers import answer_in
from deploy.feed.listener import Listener
from deploy.feed.reading import Line
from deploy.feed.sender import Outgoing, Sender, TooLarge
from deploy.feed.tally import BadLine, Tally
from shared.contract.envelope import SUBMISSIONS, command_headers, complaint_id, events_topic, key_of, text_headers
from shared.contract.in_words import in_words
from shared.contract.intake import ANSWERS, SubmissionRepeated, SubmitComplaint
from shared.contract.machine import NOT_TAKEN

UNDER_WAY_MAX = 10_000
"""Rows sent and not yet answered, at most."""
INTAKE_EVENTS = events_topic("intake")

Progress = Callable[[int, int], None]
"""Is told how many rows were read and how many are accounted for."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a submission is made."""

    kafka: str
    timeout_seconds: float = 120.0
    """How long to wait while no answer comes at all."""
    wait: bool = True
    """Whether answers are waited for."""
    actor: str = "person:operator"


def validated(line: Line, columns: dict[str, str]) -> SubmitComplaint | BadLine:
    """A row as the complaint it submits, or why it cannot be one."""
    if line.fields is None:
        return BadLine(line.file, line.number, line.bad)
    try:
        return SubmitComplaint.model_validate(line.fields)
    except ValidationError as error:
        return BadLine(line.file, line.number, in_words(error, columns))


def outgoing(complaint: SubmitComplaint, message_id: str, sent_at: str, actor: str | None = None) -> Outgoing:
    """A complaint as the record that submits it, keyed so that it needs no hop."""
    stream = complaint_id(complaint.source, complaint.ref)
    headers = command_headers(
        SubmitComplaint.type, message_id, stream=stream, source="/cli/submit", actor=actor or f"source:{complaint.source}", sent_at=sent_at
    )
    return Outgoing(SUBMISSIONS, key_of(stream), complaint.to_bytes(), headers)


def validate_only(lines: Iterator[Line], columns: dict[str, str], tally: Tally) -> None:
    """A dry run: every row is read, mapped and validated, nothing is sent. Good rows are counted as `valid`."""
    for line in lines:
        found = validated(line, columns)
        if isinstance(found, BadLine):
            tally.bad(found)
        else:
            tally.outcomes["valid"] += 1


async def submit(lines: Iterator[Line], columns: dict[str, str], terms: Terms, tally: Tally, progress: Progress) -> None:
    """Sends every row and waits until each is answered, or `tally.unanswered` says how many are not.

    Args:
        lines: The rows, read as they are needed.
        columns: Field → column, for the words about bad rows.
        terms: Where to, and how long to wait.
        tally: Is filled.
        progress: Is told now and then.

    Raises:
        KafkaConnectionError: Where nobody answers at the start.
        LookupError: Where Kafka has no such topics.
    """
    began = time.monotonic()
    async with Sender(terms.kafka) as sender:
        places = [(INTAKE_EVENTS, await sender.partitions(INTAKE_EVENTS))] if terms.wait else []
        async with Listener(terms.kafka, places) as listener:
            submission = _Submission(sender, listener, columns, terms, tally=tally, progress=progress)
            await submission.run(lines)
    tally.seconds = time.monotonic() - began


class _Submission:
    """One run: what is under way, and who waits for it."""

    def __init__(
        self, sender: Sender, listener: Listener, columns: dict[str, str], terms: Terms, *, tally: Tally, progress: Progress
    ) -> None:
        self.sender, self.listener, self.columns, self.terms, self.tally, self.progress = sender, listener, columns, terms, tally, progress
        self.run_id = uuid4()
        self.under_way: dict[str, tuple[str, int]] = {}
        self.sending = ""
        """The message that is being handed over."""
        self.read = 0
        self.reading = True
        self.answered_at = time.monotonic()
        self.changed = asyncio.Event()

    async def run(self, lines: Iterator[Line]) -> None:
        """Feeds and hears side by side, until all is answered or there has been no answer for too long."""
        tasks = {asyncio.create_task(self.feed(lines))}
        if self.terms.wait:
            tasks.add(asyncio.create_task(self.hear()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.tally.unanswered = len(self.under_way)
            self.tally.unacknowledged = len(self.under_way.keys() & self.unacknowledged())
            self.tally.cut_short = self.reading
            self.progress(self.read, self.tally.rows)

    async def feed(self, lines: Iterator[Line]) -> None:
        """Sends every row, and ends when all are answered."""
        with Ahead(lines) as ahead:
            while rows := await ahead.taken():
                for line in rows:
                    await self.send(line)
                self.progress(self.read, self.tally.rows)
        self.reading = False
        if not self.terms.wait:
            async with asyncio.timeout(self.terms.timeout_seconds):
                await self.sender.flushed()
        while self.under_way:
            await self.some_answered()

    def unacknowledged(self) -> set[str]:
        """The messages of which nobody knows whether Kafka has them."""
        return {text_headers(record.headers)["ce_id"] for record in self.sender.unacknowledged} | {self.sending}

    async def some_answered(self) -> None:
        """Waits until something was heard, or a moment has passed."""
        self.changed.clear()
        await self.changed.wait()

    async def send(self, line: Line) -> None:
        """Sends a row, or counts it as bad."""
        self.read += 1
        found = validated(line, self.columns)
        if isinstance(found, BadLine):
            self.tally.bad(found)
            return
        while len(self.under_way) >= UNDER_WAY_MAX:
            await self.some_answered()
        message_id = f"{self.run_id}/{self.read}"
        if self.terms.wait:
            if not self.under_way:
                self.answered_at = time.monotonic()
            self.under_way[message_id] = (line.file, line.number)
        self.sending = message_id
        try:
            await self.sender.send(outgoing(found, message_id, datetime.now(UTC).isoformat()))
        except TooLarge as error:
            self.under_way.pop(message_id, None)
            self.tally.bad(BadLine(line.file, line.number, f"too large: {error}"))
            return
        self.sending = ""
        if not self.terms.wait:
            self.tally.outcomes["sent"] += 1

    async def hear(self) -> None:
        """Matches answers to rows. Ends where no answer has come for too long."""
        while True:
            records = await self.listener.heard()
            for record in records:
                answer = answer_in(record)
                if answer is None or answer.to not in self.under_way:
                    continue
                if answer.type in ANSWERS:
                    self.under_way.pop(answer.to)
                    self.tally.outcomes[ANSWERS[answer.type]] += 1
                    if answer.type == SubmissionRepeated.type and answer.value("update"):
                        self.tally.updates += 1
                elif answer.type in NOT_TAKEN:
                    self.tally.bad(BadLine(*self.under_way.pop(answer.to), answer.reason()))
                else:
                    continue
                self.answered_at = time.monotonic()
            if self.under_way and time.monotonic() - self.answered_at > self.terms.timeout_seconds:
                return
            self.changed.set()
            if records:
                self.progress(self.read, self.tally.rows)
                await asyncio.sleep(0)
