"""A command on its way to a service, and what is answered when its outcome is known, or is not."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4, uuid5

import asyncpg
import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from fastapi import Header, Request, Response
from fastapi.responses import JSONResponse

from services.console.api.answers import Answers, Outcome
from services.console.api.door import BODY_MAX, TOO_LARGE
from services.console.api.models import Answer
from services.console.api.problems import AWAY, NO_DATABASE, Problem, problem
from services.console.api.reading import happened
from shared.contract.catalogue import service_of
from shared.contract.envelope import NAMESPACE, command_headers, commands_topic, key_of, shard_of
from shared.contract.said import Command
from shared.contract.values import ACTOR
from shared.machine.bytes import digest_of
from shared.machine.relay import RETRY_SECONDS, Outlet

SOURCE = "/console"
OPERATOR = "person:operator"
"""Who asks, until there are logins."""
WAIT_MAX_SECONDS = 30
"""The longest that a request waits for an outcome."""
SEND_SECONDS = 10.0
"""How long Kafka may take to acknowledge what is asked."""
PREFERENCES = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^",])+')
WAIT = re.compile(r"\s*wait\s*(?:=\s*(?P<word>[^\s;]*)\s*)?(?:;.*)?", re.IGNORECASE | re.DOTALL)
SECONDS = re.compile(r"0*([0-9]+)")
"""As RFC 7240 has it: preferences between commas, each a name, perhaps a word, perhaps parameters. `wait` has seconds, whole ones."""
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
AGAIN = "Ask again with the same Idempotency-Key: nothing happens twice."
NOT_TAKEN = f"Kafka did not take it in time; nobody knows whether it will. {AGAIN}"
MAYBE_TAKEN = f"{NO_DATABASE} It may have been accepted all the same. {AGAIN}"
KEY_USED = "This Idempotency-Key was used for something else: give this request a key of its own."
DONE = frozenset({"accepted", "repeated", "conflicting"})
"""Where there is nothing more to come."""

log = structlog.get_logger()


def seconds_in(prefer: Sequence[str]) -> int | None:
    """How long whoever asks would wait, in seconds: by the first such preference, and no longer than we would. None where it names none."""
    for preference in PREFERENCES.findall(",".join(prefer)):
        if found := WAIT.fullmatch(preference):
            told = SECONDS.fullmatch(found["word"] or "")
            return None if told is None else int(min(told[1], f"{WAIT_MAX_SECONDS}", key=lambda digits: (len(digits), digits)))
    return None


@dataclass(frozen=True)
class Manner:
    """How a command is asked: the request's headers."""

    key: Annotated[
        str | None, Header(alias="Idempotency-Key", max_length=200, description="Asked again with it, nothing happens twice.")
    ] = None
    prefer: Annotated[
        list[str] | None,
        Header(alias="Prefer", description=f"`wait=5`: wait so many seconds for the outcome, {WAIT_MAX_SECONDS} at most (RFC 7240)."),
    ] = None
    actor: Annotated[str | None, Header(alias="Makegood-Actor", description="Who asks, as in `person:anna`.")] = None
    traceparent: Annotated[str | None, Header(description="W3C trace context.")] = None

    @property
    def who(self) -> str:
        """Who asks. Raises Problem (422)."""
        if self.actor is not None and not ACTOR.fullmatch(self.actor):
            raise Problem(422, "invalid_request", "Makegood-Actor: write person:NAME, team:NAME or system:NAME, without spaces")
        return self.actor or OPERATOR

    @property
    def trace(self) -> str | None:
        """The trace that the request belongs to, where it names one."""
        return self.traceparent if self.traceparent and TRACEPARENT.fullmatch(self.traceparent) else None


def message_id_of(request: Request, actor: str, stream: UUID, key: str) -> UUID:
    """The id of what somebody asks about something under a key: for ever the same."""
    tenant = request.app.state.settings.tenant
    return uuid5(NAMESPACE, "\x1f".join((tenant, actor, "POST", str(stream), key)))


class Message:
    """A command on its way. Its id follows from who asks, about what, and the key: asked again, it is the same message."""

    def __init__(
        self, request: Request, command: Command, stream: UUID, manner: Manner, *, actor: str = "", topic: str = "",
        of: tuple[str, int] | None = None,
    ) -> None:  # fmt: skip
        """`actor`, `topic` and `of`, a service and its shard: where they do not follow from the manner, the command and the stream."""
        self.request, self.command, self.stream, self.manner = request, command, stream, manner
        self.actor = actor or manner.who
        self.service = of[0] if of else None
        self.shard = of[1] if of else shard_of(stream, request.app.state.shards)
        self.topic = topic or commands_topic(self.service or service_of(command.type))
        self.key = manner.key or str(uuid4())
        self.message_id = message_id_of(request, self.actor, stream, self.key)
        self.body = command.to_bytes()

    async def ask(self) -> Response:
        """Sends it, unless its outcome is known, and waits as long as is preferred."""
        answers: Answers = self.request.app.state.answers
        seconds = seconds_in(self.manner.prefer or ())
        keyed = {"Idempotency-Key": self.key}
        try:
            with answers.expected(self.message_id) as waiting:
                known = await answers.known(self.message_id) if await self._was_asked() else None
                if known is None:
                    await self._send()
                    known = await within(waiting, seconds or 0)
            response = await answered(self.request, self.message_id, known, seconds)
        except AWAY as error:
            if isinstance(error, ValueError):
                raise
            log.warning("postgresql_is_away", message_id=str(self.message_id), error=repr(error))
            raise Problem(503, "database_away", MAYBE_TAKEN, keyed, key=self.key) from error
        response.headers.update(keyed)
        return response

    async def _was_asked(self) -> bool:
        """Whether the key was used before; then it must be for the same thing."""
        pool: asyncpg.Pool = self.request.app.state.pool
        digest = digest_of(self.command.type.encode() + b"\n" + self.body)
        first = await pool.fetchval(
            "INSERT INTO asked (message_id, body, actor, type, stream, service) VALUES ($1, $2, $3, $4, $5, $6)"
            " ON CONFLICT DO NOTHING RETURNING true",
            self.message_id, digest, self.actor, self.command.type, self.stream, self.service,
        )  # fmt: skip
        if not first and await pool.fetchval("SELECT body FROM asked WHERE message_id = $1", self.message_id) != digest:
            raise Problem(422, "key_used_before", KEY_USED)
        return not first

    async def _send(self) -> None:
        outlet: Outlet = self.request.app.state.outlet
        headers = command_headers(
            self.command.type, str(self.message_id), stream=self.stream, source=SOURCE, actor=self.actor,
            sent_at=datetime.now(UTC).isoformat(), traceparent=self.manner.trace,
        )  # fmt: skip
        try:
            async with asyncio.timeout(SEND_SECONDS):
                producer = await outlet.producer()
                while True:
                    try:
                        await producer.send_and_wait(self.topic, self.body, key=key_of(self.stream), partition=self.shard, headers=headers)
                    except MessageSizeTooLargeError as error:
                        raise Problem(413, "too_large", TOO_LARGE, limit_bytes=BODY_MAX) from error
                    except (KafkaError, OSError) as error:
                        log.warning("sending_again", message_id=str(self.message_id), error=repr(error))
                        await asyncio.sleep(RETRY_SECONDS)
                        producer = await outlet.producer(broken=producer)
                    else:
                        return
        except TimeoutError as error:
            raise Problem(503, "not_taken", NOT_TAKEN, {"Idempotency-Key": self.key}, key=self.key) from error


async def within(waiting: "asyncio.Future[Outcome]", seconds: float) -> Outcome | None:
    """The outcome, if it comes in so many seconds."""
    done, _ = await asyncio.wait({waiting}, timeout=seconds)
    return waiting.result() if done else None


async def answered(request: Request, message_id: UUID, known: Outcome | None, seconds: int | None) -> Response:
    """Taken: 200. Refused: 409, with the rule. Not known yet, parked or waiting: 202. `seconds`: how long it was asked to wait."""
    url = f"/api/commands/{message_id}"
    applied = {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}
    headers = {"Location": url, **applied}
    if known is None:
        answer = Answer(message_id=message_id, status="pending", url=url)
        return JSONResponse(answer.model_dump(mode="json"), 202, headers)
    rows = await request.app.state.pool.fetch(
        "SELECT * FROM story WHERE shard = $1 AND service = $2 AND position BETWEEN $3 AND $4 AND message_id = $5 ORDER BY position",
        known.shard, known.service, known.first, known.last, str(message_id),
    )  # fmt: skip
    events = [happened(row, request.app.state.generation) for row in rows]
    if known.outcome == "refused":
        refused = events[0]
        more = {"rule": refused.rule, "invariant": refused.invariant, "details": refused.data.get("details")}
        return problem(409, refused.rule or "refused", refused.why or "", {**more, "message_id": message_id, "url": url}, applied)
    about = rows[0]["complaint"] if rows else None
    answer = Answer.model_validate({"message_id": message_id, "status": known.outcome, "url": url, "complaint": about, "events": events})
    return JSONResponse(answer.model_dump(mode="json"), 200 if known.outcome in DONE else 202, headers)
