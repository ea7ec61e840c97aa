"""Asking the console, whichever process answers, until it is known what became of it. Every answer is kept, for the checks."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import httpx

from shared.contract.envelope import NAMESPACE, TENANT
from tests.faults.chaos.plan import Asked
from tests.faults.chaos.replica import Replica

RETRY_SECONDS = 0.3
FINAL = frozenset({"accepted", "repeated", "conflicting", "refused", "parked", "waiting"})
TRIES_MAX = 400
_turns = itertools.count()


@dataclass(slots=True)
class Answers:
    """What was answered to one request, however often it was made."""

    step: Asked
    told: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    """Each time something final was answered: the status, the rule of a refusal, the events."""
    ids: set[str] = field(default_factory=set)
    """The message ids that were named; there must be one."""
    tries: int = 0
    sent: bool = False
    """Whether the console ever said that it has it."""
    unasked: bool = False
    """Nobody knows the complaint: nothing was sent."""
    odd: list[str] = field(default_factory=list)
    """Answers that there must not be."""

    @property
    def message_id(self) -> UUID:
        """As the API documents it: from who asks, about what, and the key."""
        return uuid5(NAMESPACE, "\x1f".join((TENANT, self.step.actor, "POST", str(self.step.stream), self.step.key)))


async def ask(client: httpx.AsyncClient, consoles: Sequence[Replica], answers: Answers, hurried: Callable[[], bool]) -> None:
    """Until something final is answered. `hurried`: whether a complaint that is not known yet is not waited for."""
    step = answers.step
    headers = {"Idempotency-Key": step.key, "Makegood-Actor": step.actor}
    if step.is_submission:
        del headers["Makegood-Actor"]
    if not step.impatient:
        headers["Prefer"] = "wait=4"
    while answers.tries < TRIES_MAX:
        answers.tries += 1
        console = consoles[next(_turns) % len(consoles)]
        try:
            if step.impatient and answers.sent and answers.tries % 2:
                response = await client.get(f"{console.address}/api/commands/{answers.message_id}")
            else:
                response = await client.post(f"{console.address}{step.path}", json=step.body, headers=headers)
        except httpx.HTTPError:
            await asyncio.sleep(RETRY_SECONDS)
            continue
        if _took(answers, response):
            return
        if response.status_code == httpx.codes.NOT_FOUND and not answers.sent and hurried():
            answers.unasked = True
            return
        await asyncio.sleep(RETRY_SECONDS)


def _took(answers: Answers, response: httpx.Response) -> bool:
    """Keeps an answer; whether it is final."""
    try:
        body: dict[str, Any] = response.json()
    except ValueError:
        answers.odd.append(f"{response.status_code}: {response.text[:200]}")
        return False
    match response.status_code:
        case 200 | 202:
            answers.sent = True
            answers.ids.add(body["message_id"])
            if body["status"] in FINAL:
                answers.told.append((body["status"], "", tuple(event["id"] for event in body["events"])))
                return True
        case 409:
            answers.sent = True
            answers.ids.add(body["message_id"])
            answers.told.append(("refused", body.get("rule") or "", ()))
            return True
        case 404 | 503:
            pass
        case _:
            answers.odd.append(f"{response.status_code}: {response.text[:200]}")
    return False
