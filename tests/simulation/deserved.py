"""That every input got the outcome that it deserves. What that is, is known from who sent it, not from what the machine makes of it."""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from shared.contract.envelope import SUBMISSIONS, commands_topic, event_id, text_headers
from shared.contract.machine import RetryParked
from shared.machine.bytes import unpack_headers
from tests.simulation.minds import KILLS, Note, of_number
from tests.simulation.people import Message
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.town import Town

USURPED = b"nobody can read this"
"""What lies on a topic so that an idle owner finds out: see faults.py."""
LATE = frozenset({"refused:message_id_conflict", "repeated"})
"""Of a message that was answered before."""
HELD = frozenset({"waiting", "refused:stream_waiting"})
"""Of whatever is for a stream that waits for something parked."""
DEADLY = b'"number":%d' % KILLS
DIED = "parked:process_died"
NOT_ANSWERED = frozenset({"passed_on", "ignored", "parked:undecodable"})

Row = Any
At = tuple[str, int, int]
"""A service, its shard, and a journal entry of it."""


def outcome_of(row: Row) -> str:
    """The outcome, and why: `refused:too_many`."""
    why = row["reason"].partition(":")[0]
    return f"{row['outcome']}:{why}" if row["outcome"] in {"refused", "parked"} else row["outcome"]


class Deserts:
    """What was journalled, against what was sent."""

    def __init__(self, town: "Town") -> None:
        self.town = town
        self.messages: dict[tuple[str, int, int], Message] = {
            (one.topic, one.partition, offset): one for one in getattr(town.people, "sent", ()) for offset in one.offsets
        }
        self.rows: dict[At, Row] = {
            (service, shard, entry): row for service, shard in town.audits for entry, row in sorted(self._journal(service, shard).items())
        }
        self.hops: dict[tuple[str, str], list[At]] = defaultdict(list)
        """Where each request of a service was taken in, by its id."""
        self.origin: dict[At, Message] = {}
        """Who sent an input, however often it was passed on."""
        self.retried: set[At] = set()
        """Those that were passed on only when they were retried: they may say something else than what was sent."""

    def _journal(self, service: str, shard: int) -> dict[int, Row]:
        return self.town.postgres.schemas[service].rows("journal", shard)

    def look(self) -> None:
        """Raises Violation."""
        for at, row in self.rows.items():
            forged = (row["topic"], at[1], row["offset"]) in self.messages
            if row["topic"] == commands_topic(at[0]) and row["outcome"] != "ignored" and b"ledger-shard" in row["headers"] and not forged:
                self.hops[at[0], text_headers(unpack_headers(row["headers"]))["ce_id"]].append(at)
        self._requests()
        self._received()
        for at, row in self.rows.items():
            if row["topic"] and (message := self.messages.get((row["topic"], at[1], row["offset"]))) is not None:
                self._follow(at, row, message)
        for at, row in self.rows.items():
            if not row["topic"] and row["outcome"] == "passed_on" and (sent := self.origin.get((*at[:2], row["refers"]))) is not None:
                for there in self._passed_on(at, row):
                    self.origin[there] = sent
                    self.retried.add(there)
        for at, row in self.rows.items():
            if (outcome := outcome_of(row)) not in (deserved := self._deserved(at, row)):
                raise Violation(1, f"{at[0]}/{at[1]}, entry {at[2]}: {row['type']} is {outcome} ({row['reason']}), not {sorted(deserved)}")
        for service, shard in self.town.audits:
            self._once(service, shard)

    def _requests(self) -> None:
        """4: each request was taken in by whom it asks, once."""
        for service, shard in self.town.audits:
            for position, row in self.town.postgres.schemas[service].rows("ledger", shard).items():
                if row["target"] is not None:
                    taken = self.hops[service, event_id("g1", service, shard, position)]
                    if len(taken) != 1 or taken[0][1] != self.town.readers[service].shard_of(row["target"]):
                        raise Violation(4, f"the request at {service}/{shard}, position {position}, was taken in at {taken}")

    def _received(self) -> None:
        """1: what people sent to a service was taken in by it."""
        taken = {(row["topic"], shard, offset) for (_, shard, _), row in self.rows.items() for offset in range(row["offset"], row["until"])}
        read = {SUBMISSIONS, *map(commands_topic, self.town.minds)}
        if lost := {place for place in self.messages if place[0] in read} - taken:
            raise Violation(1, f"nobody took in what was sent to {sorted(lost)[:5]}")

    def _passed_on(self, at: At, row: Row) -> list[At]:
        """Where what was passed on was taken in."""
        return self.hops[at[0], event_id("g1", at[0], at[1], row["first_position"])]

    def _follow(self, at: At, row: Row, message: Message) -> None:
        self.origin[at] = message
        if row["outcome"] == "passed_on":
            for there in self._passed_on(at, row):
                self._follow(there, self.rows[there], message)

    def _deserved(self, at: At, row: Row) -> frozenset[str]:
        service, shard, _ = at
        if not row["topic"]:
            return self._of_ours(service, shard, row)
        if row["outcome"] == "ignored":
            return self._ignored(at, row)
        message = self.origin.get(at)
        if at in self.retried:
            return frozenset({outcome_of(row)})
        if message is not None:
            if row["outcome"] == "passed_on":  # once, from where it came in
                return frozenset() if b"ledger-shard" in row["headers"] else frozenset({"passed_on"})
            return frozenset({message.deserves}) | LATE | HELD | self._if_settling(at, row, message)
        if row["body"] == USURPED:
            return frozenset({"parked:undecodable"})
        if self.town.house:
            good = {"accepted", "passed_on", "refused:" + row["reason"]}
            return frozenset({"parked:undecodable"} if row["body"] in self.town.people.unreadable else good) | LATE
        may = frozenset({of_number(service, _number(row))}) | HELD
        return may if row["topic"] != commands_topic(service) or row["type"] == Note.type else may | LATE  # passed on when it was retried

    def _ignored(self, at: At, row: Row) -> frozenset[str]:
        """Of what people send, only a forged row of ours that seems to be an old one may be passed over; and what is no news."""
        for offset in range(row["offset"], row["until"]):
            message = self.messages.get((row["topic"], at[1], offset))
            if message is not None and message.deserves != "parked:undecodable":
                return frozenset({message.deserves})
        return frozenset({"ignored"})

    def _of_ours(self, service: str, shard: int, row: Row) -> frozenset[str]:
        """A timer, the machine's own, or what is decided once more."""
        if row["refers"]:  # what is decided once more may say something else by now: a replay looks at it, and the domain's sums
            return frozenset({outcome_of(row)})
        return frozenset({"accepted", "waiting"})

    def _if_settling(self, at: At, row: Row, message: Message) -> frozenset[str]:
        """Of what is about something parked. Who has that decided once more which ends the process is parked for it, too."""
        if not message.settles:
            return frozenset()
        about = json.loads(row["body"])
        parked = self.rows.get((at[0], about["shard"], about["entry"]))
        deadly = row["type"] == RetryParked.type and about.get("body") is None and parked is not None and DEADLY in (parked["body"] or b"")
        return frozenset({"refused:not_parked", "refused:stands_as_it_is", *([DIED] if deadly else [])})

    def _once(self, service: str, shard: int) -> None:
        """9: the first time that a message can be decided counts; later it is repeated, or in conflict where it says something else."""
        known: dict[str, tuple[bytes, set[int]]] = {}
        for entry, row in sorted(self._journal(service, shard).items()):
            message = self.origin.get((service, shard, entry))
            outcome = outcome_of(row)
            if message is None or row["body"] is None or outcome in NOT_ANSWERED or (message.settles and outcome == DIED):
                continue
            body, entries = known.setdefault(message.name, (row["body"], set()))
            if not entries and outcome in LATE:  # it came another way before: as something unreadable that was retried
                before = self._journal(service, shard).get(row["refers"])
                if before is not None and before["message_id"] == row["message_id"]:
                    entries.add(row["refers"])
                    continue
            expected = {""} if not entries else {"repeated"} if body == row["body"] else {"refused:message_id_conflict"}
            if (outcome if outcome in LATE else "") not in expected:
                raise Violation(9, f"{service}/{shard}, entry {entry}: {message.name} is {outcome}, answered before at {sorted(entries)}")
            if outcome == "repeated" and row["refers"] not in entries and not self._settles(service, shard, row["refers"], entries):
                raise Violation(9, f"{service}/{shard}, entry {entry}: {message.name} repeats entry {row['refers']}, not {sorted(entries)}")
            entries.add(entry)

    def _settles(self, service: str, shard: int, entry: int, entries: set[int]) -> bool:
        """Whether it decided one of these once more."""
        row = self._journal(service, shard).get(entry)
        return row is not None and not row["topic"] and row["refers"] in entries


def _number(row: Row) -> int:
    return json.loads(row["body"] or b"{}").get("number", 1)
