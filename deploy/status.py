"""What runs, whether it is ready, and how far it is."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import httpx

from deploy.database import NOT_THE_OWNER, NOTHING_THERE, connected, installation, use
from deploy.local import state
from deploy.local.part import State
from deploy.local.stack import Stack, running
from deploy.roles import PROCESSES
from shared.contract.envelope import SERVICES

ASK_SECONDS = 3.0
"""How long a service may take to say how it is."""


@dataclass
class Status:
    """What was found. `wrong` says what is not well, in sentences."""

    home: str
    phase: str
    doing: str = ""
    failed: str = ""
    """Of a start that failed: why."""
    release: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    console: str = ""
    kafka: str = ""
    """Bootstrap servers."""
    database: str = ""
    """The owner's URL, without a password."""
    counts: Mapping[str, Any] | None = None
    relay: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether all is as it should be."""
        return not self.wrong


def without_password(dsn: str) -> str:
    """A database's URL as it may be shown: whom it logs in as, and not with what."""
    parts = urlsplit(dsn)
    login, at, place = parts.netloc.rpartition("@")
    told = parse_qsl(parts.query, keep_blank_values=True)
    shown = [(name, value) for name, value in told if name != "password"]
    query = parts.query if shown == told else urlencode(shown)
    return urlunsplit(parts._replace(netloc=f"{login.partition(':')[0]}{at}{place}", query=query))


async def look(home: Path, *, from_outside: bool) -> Status:
    """Looks at the parts, asks the services, and reads how far the relays are."""
    written = state.read(home)
    found = Status(str(home), written.phase if written and (written.alive or written.phase == "failed") else "stopped")
    stack = running(home)
    if from_outside:
        found.phase = "outside"
    elif written is None or not written.alive:
        found.failed = f"the last start failed: {written.error}" if written and written.error else ""
        found.wrong.append(f"{found.failed or f'nothing runs in {home}'}. `makegood up` starts it.")
        return found
    else:
        _parts(found, written)
    if stack is not None:
        await _beyond(found, stack)
    return found


def _parts(found: Status, written: state.StackState) -> None:
    found.doing, found.release = written.doing, written.release
    for part in written.parts:
        since = datetime.fromtimestamp(part.since, UTC).isoformat() if part.since else None
        found.parts.append({**part.model_dump(exclude={"born"}), "since": since})
        if part.state != State.READY:
            found.wrong.append(f"{part.name} is {part.state}: its log is {part.log}.")
    if written.phase != "running":
        found.wrong.append(f"The stack is {written.phase}{f': {written.doing}' if written.doing else ''}.")


async def _beyond(found: Status, stack: Stack) -> None:
    found.console, found.kafka, found.database = stack.console_url, stack.kafka, without_password(stack.owner_dsn)
    addresses = {part["name"]: part["address"] for part in found.parts if part["name"] in PROCESSES}
    if not addresses and stack.console_url:
        addresses = {"console": stack.console_url}
    async with httpx.AsyncClient(timeout=ASK_SECONDS, trust_env=False) as http:
        found.services = list(await asyncio.gather(*(_ready(http, name, address) for name, address in addresses.items())))
        if stack.console_url:
            found.counts = await _counts(http, stack.console_url)
    for service in found.services:
        if not service["ready"]:
            found.wrong.append(f"{service['service']} is not ready: {why_unready(service).rstrip('.')}.")
    try:
        found.relay = await _relay(stack)
    except NOTHING_THERE:
        found.wrong.append("Nothing is installed in this database: `makegood install` does it.")
    except NOT_THE_OWNER as error:
        found.wrong.append(f"PostgreSQL does not let us look: {error}. MAKEGOOD_DATABASE must name the installation's owner.")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        found.wrong.append(f"PostgreSQL does not answer: {str(error) or type(error).__name__}.")


async def _ready(http: httpx.AsyncClient, name: str, address: str) -> dict[str, Any]:
    """What a service says of itself."""
    told: dict[str, Any] = {}
    silence = ""
    try:
        told = (await http.get(f"{address}/readyz")).json()
    except (httpx.HTTPError, ValueError) as error:
        silence = f"it does not answer at {address} ({str(error) or type(error).__name__})"
    return {
        "service": name, "ready": bool(told.get("ready")), "silence": silence, "waits": told.get("waits"),
        "shards": len(told.get("shards", [])), "behind": told.get("behind"), "troubles": told.get("troubles", {}),
    }  # fmt: skip


def why_unready(service: Mapping[str, Any]) -> str:
    """Why a service is not ready."""
    if service["silence"]:
        return str(service["silence"])
    if service["waits"]:
        return f"it waits {service['waits']}"
    return "; ".join(f"shard {shard}: {one['what']}" for shard, one in service["troubles"].items()) or "it has just begun"


async def _counts(http: httpx.AsyncClient, console: str) -> Mapping[str, Any] | None:
    try:
        answer = await http.get(f"{console}/api/counts")
        return answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        return None


async def _relay(stack: Stack) -> list[dict[str, Any]]:
    """How far Kafka has each service's ledger: all shards together, and the shard that is furthest behind."""
    found = []
    async with connected(stack.owner_dsn) as connection:
        await installation(connection)
        for service in SERVICES:
            await use(connection, service)
            row = await connection.fetchrow(
                "SELECT coalesce(sum(position), 0) AS position, coalesce(sum(lag), 0) AS lag, coalesce(max(lag), 0) AS worst FROM ("
                "SELECT position, position - coalesce((SELECT max(position) FROM relayed WHERE shard = head.shard), 0) AS lag"
                " FROM head) AS shards"
            )
            assert row is not None, "sums are always there"
            found.append({"service": service, "position": int(row["position"]), "lag": int(row["lag"]), "worst_shard": int(row["worst"])})
    return found
