"""What is sent, drawn from a seed: complaints, each with what is odd about its submission, and what people then ask about it."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from shared.contract.catalogue import by_short_name, service_of
from shared.contract.envelope import SUBMISSIONS, commands_topic, complaint_id, key_of
from shared.contract.intake import SubmitComplaint
from shared.contract.said import Command

Way = Literal["kafka", "http"]
SOURCE = "chaos"
DUE_SECONDS = (2.0, 20.0)
"""When a promise is due that nobody keeps: soon enough for its timer to fire while things go wrong."""
STORY: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("intake", "AssignOwner", {"owner": "person:anna"}),
    ("intake", "AcceptOwnership", {}),
    ("intake", "Classify", {"product": "bread", "defect_kind": "product", "severity": "medium", "central": True}),
    ("intake", "Acknowledge", {"text": "Thank you for telling us. Anna sees to it."}),
    ("intake", "StateNeed", {"need": "A dry loaf before the weekend."}),
    ("intake", "MakePromise", {"what": "A call."}),
    ("intake", "CompleteOwnership", {}),
    ("resolution", "MakeDecision", {"verdict": "uphold", "reasons": ["It was wet."], "remedies": [{"what": "A new loaf."}]}),
    ("resolution", "StartFix", {}),
    ("resolution", "CompleteFix", {"what": "Baked a new one."}),
    ("resolution", "Deliver", {"what": "A dry loaf.", "how": "By hand.", "evidence": "Signed for."}),
    ("resolution", "ConfirmDelivery", {"proof": {"kind": "call", "ref": "call/17"}}),
    ("rootcause", "CloseLearning", {"outcome": "no_correction_needed", "reason": "The box was the customer's own."}),
)
"""A whole complaint. Some steps come too early, twice or not at all: they are refused by name, which is an answer, too."""
UNREADABLE: tuple[bytes | None, ...] = (
    None,
    b"",
    b"{",
    b"\xff\xfe\x00",
    b'{"source": "chaos"}',
    b"[" * 10_000,
    b'{"ref": ' + b"9" * 5_000 + b"}",
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A record for Kafka."""

    topic: str
    key: bytes | None
    body: bytes | None
    type: str
    stream: UUID | None
    message_id: str
    partition: int | None = None
    """Where it is put on purpose, though its stream lies elsewhere."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Something asked over HTTP under a key of its own."""

    path: str
    body: dict[str, Any]
    actor: str
    stream: UUID
    key: str
    impatient: bool
    """Whether whoever asks waits for no outcome and comes back for it."""
    is_submission: bool = False


Step = Sent | Asked


@dataclass(slots=True)
class Complaint:
    """One complaint's life."""

    number: int
    chance: random.Random
    steps: list[Step] = field(default_factory=list)


def complaint(seed: int, number: int, run: str, shards: int, now: datetime | None = None) -> Complaint:
    """The complaint of this number.

    Args:
        seed: The run's.
        number: Which complaint.
        run: What tells one run's references from another's.
        shards: How many there are.
        now: When promises are made.
    """
    chance = random.Random(f"{seed}/{number}")
    found = Complaint(number, chance)
    ref = f"{run}-{number}"
    told = SubmitComplaint(source=SOURCE, ref=ref, narrative=f"Loaf {number} was wet.", product="bread")
    stream = complaint_id(SOURCE, ref)
    found.steps.extend(_submissions(chance, told, stream, ref, shards))
    for place, (service, name, data) in enumerate(STORY):
        if chance.random() < 0.08:
            continue
        due_at = (now or datetime.now(UTC)) + timedelta(seconds=chance.uniform(*DUE_SECONDS))
        asked = {**data, "due_at": due_at.isoformat()} if name == "MakePromise" else data
        command = by_short_name(name, service)
        for again in range(2 if chance.random() < 0.05 else 1):
            found.steps.append(_asked(chance, command, asked, stream, f"{ref}-{place}-{again}"))
        if chance.random() < 0.1:
            break
    return found


def _submissions(chance: random.Random, told: SubmitComplaint, stream: UUID, ref: str, shards: int) -> Iterator[Step]:
    body = told.to_bytes()
    if chance.random() < 0.06:
        yield Sent(SUBMISSIONS, b"chaos", chance.choice(UNREADABLE), SubmitComplaint.type, None, f"{ref}-bad")
    if chance.random() < 0.3:
        fields = json.loads(body)
        yield Asked("/api/complaints", fields, f"source:{SOURCE}", stream, f"{ref}-submit", chance.random() < 0.5, is_submission=True)
    else:
        partition = chance.randrange(shards) if chance.random() < 0.15 else None  # an upstream that keys in its own way: one hop
        yield Sent(SUBMISSIONS, key_of(stream), body, told.type, stream, f"{ref}-submit", partition)
    if chance.random() < 0.05:
        yield Sent(SUBMISSIONS, key_of(stream), body, told.type, stream, f"{ref}-repeat")
    if chance.random() < 0.03:
        other = told.model_copy(update={"narrative": "It was dry."}).to_bytes()
        yield Sent(SUBMISSIONS, key_of(stream), other, told.type, stream, f"{ref}-conflict")


def _asked(chance: random.Random, command: type[Command], data: dict[str, Any], stream: UUID, name: str) -> Step:
    if chance.random() < 0.5:
        body = command.model_validate(data).to_bytes()
        return Sent(commands_topic(service_of(command.type)), key_of(stream), body, command.type, stream, name)
    told = {"command": command.type, "data": data}
    return Asked(f"/api/complaints/{stream}/commands", told, "person:anna", stream, name, chance.random() < 0.3)
