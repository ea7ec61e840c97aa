"""Settling a parked input from the command line: what it is and how it would be read, the command, and what came of it."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from pydantic import ValidationError
from pydantic_core import from_json

from deploy.cli import output
from deploy.cli.database import run
from deploy.cli.exits import Exit, stop
from deploy.cli.options import must_be_a_person
from deploy.cli.place import settings
from deploy.database import connected, installation
from deploy.local.stack import Stack
from shared.contract.envelope import command_headers, commands_topic, key_of
from shared.contract.in_words import in_words
from shared.contract.machine import DiscardParked, RetryParked
from shared.kafka import Kafka
from shared.machine import waiting
from shared.machine.bytes import JournalRow
from shared.machine.head import Outcome
from shared.machine.store import JOURNAL_COLUMNS
from shared.machine.stored import journal_row
from shared.machine.told import Reader

SOURCE = "/cli"
WAIT_MAX_SECONDS = 600
"""The longest that somebody waits for what comes of it: a thousand inputs may wait behind one."""
LOOK_SECONDS = 0.1
"""How often it is looked what came of it."""
SEND_SECONDS = 10.0
"""How long Kafka may take to acknowledge what is asked."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An input that is, or was, parked or waiting."""

    service: str
    row: JournalRow
    """Where many are listed: without key, headers and body."""
    again: Sequence[JournalRow]
    """The rows that decided it once more, in order."""
    behind: int
    """The entry for which its stream waits now; 0 for none."""
    held_behind: int = 0
    """How many inputs wait on its stream."""

    @property
    def place(self) -> str:
        """As people name it."""
        return f"{self.service}/{self.row.shard}/{self.row.entry}"

    @property
    def was_held(self) -> bool:
        """Whether it was ever parked, or waited."""
        return self.row.outcome in {Outcome.PARKED, Outcome.WAITING} and not self.row.again

    @property
    def state(self) -> str:
        """What it is now."""
        return self.again[-1].outcome if self.again else self.row.outcome

    @property
    def where(self) -> str:
        """Where it came from."""
        row = self.row
        return f"{row.topic}/{row.partition}/{row.offset}" if row.topic else "the machine itself"

    @property
    def why(self) -> str:
        """Why it is so."""
        last = self.again[-1] if self.again else self.row
        if last.outcome in {Outcome.PARKED, Outcome.WAITING}:
            behind = f"waits behind entry {self.behind}" if self.behind else "waits its turn"
            return last.reason or (behind if last.outcome == Outcome.WAITING else "")
        return f"settled on {output.moment(last.now)} in entry {last.entry}{f': {last.reason}' if last.reason else ''}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a parked input."""

    service: str
    shard: int
    entry: int
    reason: str
    actor: str
    corrected: str | None = None
    given_up: bool = False
    message_id: str = field(default_factory=lambda: str(uuid4()))

    def command(self) -> RetryParked | DiscardParked:
        """As it is asked. Raises ValidationError."""
        if self.given_up:
            return DiscardParked(shard=self.shard, entry=self.entry, reason=self.reason)
        return RetryParked(shard=self.shard, entry=self.entry, reason=self.reason, body=self.corrected)


async def held(connection: asyncpg.Connection, service: str, shards: Sequence[int], limit: int) -> list[Seen]:
    """What is parked, or waits, the newest first; without key, headers and body, of which each may have a mebibyte."""
    which = f"{waiting.IS_HELD} AND input.shard = ANY($1) ORDER BY input.now DESC LIMIT $2"
    return await _seen(connection, service, _WITHOUT_CONTENT, which, list(shards), limit)


async def look(dsn: str, service: str, shard: int, entry: int) -> Seen | None:
    """One input, whole; None where there is no such entry."""
    async with connected(dsn, service) as connection:
        found = await _seen(connection, service, "*", "input.shard = $1 AND input.entry = $2", shard, entry)
        return found[0] if found else None


async def _seen(connection: asyncpg.Connection, service: str, columns: str, which: str, *values: object) -> list[Seen]:
    """Those inputs, however many, with what was decided of them since and what their streams wait for."""
    rows = await connection.fetch(
        f"WITH input AS (SELECT {columns} FROM journal AS input WHERE {which})"  # noqa: S608
        " SELECT input.*, coalesce(state.parked, 0) AS behind, coalesce(state.waiting, 0) AS held_behind"
        " FROM input LEFT JOIN state USING (shard, kind, stream) ORDER BY input.now DESC",
        *values,
    )  # fmt: skip
    again: dict[tuple[int, int], list[JournalRow]] = {(row["shard"], row["entry"]): [] for row in rows}
    for row in await connection.fetch(
        "SELECT again.* FROM unnest($1::integer[], $2::bigint[]) AS input (shard, entry),"  # noqa: S608
        f" LATERAL (SELECT {columns} {waiting.AGAIN_OF} ORDER BY again.entry) AS again",
        *zip(*again, strict=True) if again else ([], []),
    ):  # fmt: skip
        again[row["shard"], row["refers"]].append(journal_row(row))
    return [Seen(service, journal_row(row), again[row["shard"], row["entry"]], row["behind"], row["held_behind"]) for row in rows]


_LEFT_OUT = {"key": "NULL", "headers": "''", "body": "NULL"}
_WITHOUT_CONTENT = ", ".join(
    f"{_LEFT_OUT[column]}::bytea AS {column}" if column in _LEFT_OUT else f'"{column}"' for column in JOURNAL_COLUMNS
)


def body_of(given: str) -> str:
    """The corrected body that was typed, or lies in a file. Ends the command where there is none."""
    try:
        found = given.encode() if not given.startswith("@") else sys.stdin.buffer.read() if given == "@-" else Path(given[1:]).read_bytes()
        return found.decode()
    except (OSError, ValueError) as error:
        stop(f"--body takes the body, or @FILE that holds it, in UTF-8: {error}.", Exit.USAGE)


def settle(wish: Wish, stack: Stack, *, wait: int, dry_run: bool, as_json: bool) -> None:
    """Looks, asks, and waits for the outcome. Ends the command where it can't be, is refused, or leads to nothing."""
    must_be_a_person(wish.actor)
    try:
        command = wish.command()
    except ValidationError as error:
        stop(f"That can't be asked: {in_words(error)}.", Exit.USAGE)
    found = run(look(stack.owner_dsn, wish.service, wish.shard, wish.entry))
    if found is None or not found.was_held:
        stop(f"Nothing was parked under {wish.service}/{wish.shard}/{wish.entry}. `makegood parked list` shows what is.", Exit.NOT_FOUND)
    _refuse_at_once(wish, found)
    reads = run(_read(wish, stack, found))
    if not as_json:
        _tell(wish, found, reads)
    if reads and not wish.given_up:
        stop(f"It could not be read {'so' if wish.corrected is not None else 'again'}: {reads}. Nothing was sent.", Exit.CONFLICT)
    if dry_run:
        output.say("Nothing was sent.")
        return
    done = run(_ask(wish, command, stack, found, wait))
    if as_json:
        output.show_json(done)
    _told(found.place, done, quiet=as_json)


def _refuse_at_once(wish: Wish, found: Seen) -> None:
    if found.state == Outcome.WAITING:
        first = f" Settle {wish.service}/{wish.shard}/{found.behind}, and it is decided in its turn." if found.behind else ""
        stop(f"{found.place} {found.why}.{first}", Exit.CONFLICT)
    if found.state != Outcome.PARKED:
        stop(f"{found.place} is parked no more: {found.why}.", Exit.CONFLICT)


async def _read(wish: Wish, stack: Stack, found: Seen) -> str:
    """Why it could not be read as it would be decided; empty where it could."""
    from deploy.cli.minds import MINDS  # noqa: PLC0415 - slow to import

    async with connected(stack.owner_dsn) as connection:
        installed = await installation(connection)
    reader = Reader(MINDS[wish.service], installed.shards, settings().submission_topics, installed.generation)
    return reader.once_more(found.row, wish.corrected.encode() if wish.corrected is not None else None).fault


def _tell(wish: Wish, found: Seen, reads: str) -> None:
    """What it is, before anything is sent."""
    waits = f"; {found.held_behind:,} wait behind it" if found.behind == found.row.entry and found.held_behind else ""
    output.say(f"{found.place}, from {found.where}: {found.why}{waits}")
    if not wish.given_up and not reads:
        output.say(f"It can be read {'so' if wish.corrected is not None else 'as it is'}.")


async def _ask(wish: Wish, command: RetryParked | DiscardParked, stack: Stack, found: Seen, seconds: int) -> dict[str, Any]:
    """Sends it, and looks what comes of it for so long."""
    async with connected(stack.owner_dsn, wish.service) as connection:
        after = await connection.fetchval("SELECT entry FROM head WHERE shard = $1", wish.shard)
        kafka = Kafka(stack.kafka)
        kafka.only((await installation(connection)).cluster_id)
        await _send(wish, command, kafka, found)
        done: dict[str, Any] = {"input": found.place, "message_id": wish.message_id, "status": "pending", "rule": None, "why": None}
        until = asyncio.get_running_loop().time() + seconds
        while True:
            if await _is_done(connection, wish, found, after, done) or asyncio.get_running_loop().time() > until:
                return done
            await asyncio.sleep(LOOK_SECONDS)


async def _send(wish: Wish, command: RetryParked | DiscardParked, kafka: Kafka, found: Seen) -> None:
    headers = command_headers(
        command.type, wish.message_id, stream=None, source=SOURCE, actor=wish.actor, sent_at=datetime.now(UTC).isoformat()
    )
    key = key_of(found.row.stream) if found.row.stream else None
    producer: AIOKafkaProducer = kafka.producer()
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await producer.start()
            await producer.send_and_wait(commands_topic(wish.service), command.to_bytes(), key=key, partition=wish.shard, headers=headers)
    except (KafkaError, TimeoutError) as error:
        stop(f"Kafka did not take it ({error or 'no answer'}); `makegood parked show {found.place}` tells whether it did after all.")
    finally:
        await producer.stop()


async def _is_done(connection: asyncpg.Connection, wish: Wish, found: Seen, after: int, done: dict[str, Any]) -> bool:
    """Whether all that follows has come of it; `done` says what has so far."""
    asked = await connection.fetchrow(
        "SELECT outcome, first_position FROM journal WHERE shard = $1 AND entry > $2 AND message_id = $3 AND topic <> ''",
        wish.shard, after, wish.message_id,
    )  # fmt: skip
    if asked is None:
        return False
    if asked["outcome"] != Outcome.ACCEPTED:
        body = from_json(await connection.fetchval(
            "SELECT body FROM ledger WHERE shard = $1 AND position = $2", wish.shard, asked["first_position"]
        ))  # fmt: skip
        done |= {"status": asked["outcome"], "rule": body.get("rule"), "why": body.get("why")}
        return True
    rows = await connection.fetch(
        "SELECT refers, outcome, reason, stream FROM journal WHERE shard = $1 AND entry > $2 AND topic = '' AND refers > 0 ORDER BY entry",
        wish.shard, after,
    )  # fmt: skip
    again = next(row for row in rows if row["refers"] == wish.entry)
    followed = [row for row in rows if row["refers"] != wish.entry and row["stream"] == found.row.stream]
    left = await connection.fetchrow("SELECT parked, waiting FROM state WHERE shard = $1 AND stream = $2 AND kind = $3",
                                     wish.shard, found.row.stream, found.row.kind)  # fmt: skip
    parked, still = left or (0, 0)
    done |= {
        "status": "given_up" if wish.given_up else again["outcome"], "why": again["reason"] or None,
        "followed": dict(Counter(row["outcome"] for row in followed)), "waiting": still, "behind": parked or None,
    }  # fmt: skip
    return bool(parked) or not still


def _told(place: str, done: dict[str, Any], *, quiet: bool) -> None:
    """Says what came of it. Ends the command where it is not settled."""
    status, why = done["status"], done["why"]
    if status == "pending":
        stop(f"It was sent and is not decided yet. `makegood parked show {place}` tells what came of it.")
    if done["rule"]:
        stop(f"Refused: {why} [{done['rule']}]", Exit.CONFLICT)
    if status == Outcome.PARKED:
        stop(f"{place} is parked again: {why}.")
    words = {"given_up": "was given up", "refused": f"was decided and refused: {why}", "passed_on": "was passed on to its shard"}
    if not quiet:
        output.show(f"{place} {words.get(status, f'was {status}')}")
    if followed := done["followed"]:
        output.say(f"Of those that waited behind it: {', '.join(f'{count:,} {outcome}' for outcome, count in followed.items())}.")
    if done["behind"]:
        service, shard, _ = place.split("/")
        first = f"{service}/{shard}/{done['behind']}"
        wait = f"{done['waiting']:,} wait on behind it"
        stop(f"Of those that waited, {first} is parked now, and {wait}. `makegood parked show {first}` shows it.")
    if done["waiting"]:
        output.say(f"{done['waiting']:,} that waited are being decided still, in order.")
