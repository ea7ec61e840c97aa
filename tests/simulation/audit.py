"""What must always hold, looked at with every transaction that is committed: nothing is believed that the machine says of itself.

Of the eleven things that must hold (numbered here as in the list of them): 1 to 3, 5 to 8 as they happen; the others at the end (`end.py`).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.contract.machine import SETTLING, TimerDue
from shared.contract.said import decode
from shared.contract.upcasts import read_event
from shared.machine import proof, store
from shared.machine.answering import Known
from shared.machine.head import Outcome
from shared.machine.held import timers_of
from shared.machine.mind import Mind
from shared.machine.replay import Replay
from shared.machine.stored import head_of, journal_row, ledger_row
from shared.machine.told import Reader
from shared.simulation.postgres import Session
from shared.simulation.tables import Schema, Transaction
from tests.invariants.lives import Lives
from tests.simulation.violation import Violation

OFF_MAX = timedelta(minutes=15)
"""So far from the true time nothing is decided: two clocks that are off alike by less are believed, one alone is not."""
AT_ONCE = frozenset({"not_for_you", "message_id_conflict", "stream_waiting"})
"""Refusals that wait for nothing."""
DECIDED = frozenset({Outcome.ACCEPTED, Outcome.REFUSED})


class Audit:
    """One service's shard, as it must be."""

    def __init__(self, mind: Mind, reader: Reader, shard: int, clock: Callable[[], datetime], lives: Lives | None = None) -> None:
        """`clock`: the time that it really is. `lives`: where the domain's invariants are held against, of real minds."""
        self.mind, self.shard, self.clock, self.lives = mind, shard, clock, lives
        self.proof = proof._Proof(mind, shard)
        self.replay = Replay(mind, reader, shard, Known({}))
        self.offsets: dict[tuple[str, str], int] = {}
        """The next offset of each incarnation of a topic."""
        self.decided: dict[str, int] = {}
        """By the message, the entry that decided it."""
        self.fired: set[tuple[Any, ...]] = set()
        self.owner: Any = None

    def failed(self, number: int, what: str) -> Violation:
        return Violation(number, f"{self.mind.service}, shard {self.shard}: {what}")

    def committed(self, session: Session, tx: Transaction) -> None:
        """A transaction of this shard was committed."""
        schema = tx.schema
        written = {table: rows for (table, shard), rows in tx.written.items() if shard == self.shard}
        head = schema.head(self.shard)
        if "journal" not in written and "head" in written:
            if head["epoch"] != (known := self.owner[1] if self.owner else 0):
                self.owner = session.client, head["epoch"]
                if head["epoch"] <= known:
                    raise self.failed(6, f"it was taken over under epoch {head['epoch']} after {known}")
            return
        if "journal" not in written:
            if written.keys() - {"relayed"}:
                raise self.failed(1, f"{sorted(written)} were written, and no input is why")
            return
        if self.owner is None or self.owner[0] is not session.client:
            raise self.failed(6, f"{_name(session.client)} committed, but {_name(self.owner and self.owner[0])} has the shard")
        ledger = written.get("ledger", {})
        for entry in sorted(written["journal"]):
            self._entry(schema, written["journal"][entry], ledger)
        try:
            self.proof.head(head_of(head, self.shard))
        except proof.ProofFailed as failed:
            raise self.failed(2, str(failed)) from failed
        changed = {(row["kind"], row["stream"]) for row in ledger.values()} | written.get("state", {}).keys()
        self._states(schema, changed)
        self._timers(schema, changed)

    def _entry(self, schema: Schema, row: Mapping[str, Any], ledger: Mapping[int, Any]) -> None:
        facts = [ledger[at] for at in range(row["first_position"], row["first_position"] + row["events"])] if row["events"] else []
        entry = journal_row(row)
        self._once(schema, row)
        if abs(row["now"] - self.clock()) > OFF_MAX:
            raise self.failed(7, f"entry {row['entry']} was decided at {row['now']}, when it was {self.clock()}")
        self._in_turn(row)
        if entry.type == TimerDue.type:
            self._timer(row)
        if row["policy"] not in self.replay.batch.known.policies:
            policies = tx_policies(schema)
            self.replay.batch.known.policies.update(policies)
        try:
            self.proof.journal(entry)
            for fact in facts:
                self.proof.ledger(ledger_row(fact), entry)
        except proof.ProofFailed as failed:
            raise self.failed(2, str(failed)) from failed
        if self.lives is not None and facts:
            try:
                self.lives.tell(self.mind, [ledger_row(fact) for fact in facts], self.replay.batch.known.policies[row["policy"]])
            except AssertionError as error:
                raise self.failed(8, str(error)) from error
        about = (entry.again or entry.type in SETTLING) and entry.refers
        original = journal_row(schema.rows("journal", self.shard)[entry.refers]) if about else None
        again, made = self.replay.decide(entry, original)
        if again.hash != entry.hash or [one.hash for one in made] != [fact["hash"] for fact in facts]:
            raise self.failed(5, f"entry {entry.entry}, {entry.outcome}, replays as {again.outcome}")

    def _once(self, schema: Schema, row: Mapping[str, Any]) -> None:
        if row["topic"]:
            incarnation = json.loads(schema.head(self.shard)["incarnations"])[row["topic"]]
            place = row["topic"], incarnation
            expected = self.offsets.get(place, 0)
            if row["offset"] != expected:
                raise self.failed(1, f"entry {row['entry']} is {row['topic']} from {row['offset']}, but it was read up to {expected}")
            self.offsets[place] = row["until"]
        if row["outcome"] in DECIDED and row["message_id"] and row["topic"]:
            if row["reason"] == "message_id_conflict":
                return
            once = f"{row['topic']} {row['message_id']}"
            if once in self.decided:
                raise self.failed(9, f"message {row['message_id']} was decided at entry {self.decided[once]}, and again at {row['entry']}")
            self.decided[once] = row["entry"]

    def _in_turn(self, row: Mapping[str, Any]) -> None:
        """What comes behind something parked is not decided before it."""
        live = self.proof.streams.get((row["kind"], row["stream"]))
        decided = row["outcome"] == "accepted" or (row["outcome"] == "refused" and row["reason"] not in AT_ONCE)
        if row["topic"] and decided and live is not None and (live.parked or live.waiting):
            raise self.failed(1, f"entry {row['entry']} was decided, though {row['stream']} waits for entry {live.parked}")

    def _timer(self, row: Mapping[str, Any]) -> None:
        due = decode(TimerDue, row["body"])
        fired = row["kind"], row["stream"], due.timer, due.due_at, due.generation
        if fired in self.fired:
            raise self.failed(7, f"{due.timer} of {row['stream']} fired twice")
        if due.due_at > row["now"]:
            raise self.failed(7, f"{due.timer} of {row['stream']} fired at {row['now']}, before {due.due_at}")
        live = self.proof.streams.get((row["kind"], row["stream"]))
        wanted = timers_of(self.mind, live).get(due.timer) if live else None
        if wanted is None or (wanted.due_at, wanted.generation) != (due.due_at, due.generation):
            raise self.failed(7, f"{due.timer} of {row['stream']} fired of generation {due.generation}, and {wanted} is wanted")
        self.fired.add(fired)

    def _states(self, schema: Schema, changed: Iterable[Any]) -> None:
        states = schema.rows("state", self.shard)
        for key in changed:
            live, row = self.proof.streams.get(key), states.get(key)
            if live is None or row is None or store.state_bytes(self.mind, live) != row["body"]:
                raise self.failed(3, f"the state of {key} is not the fold of its events")
            if (row["version"], row["parked"], row["waiting"]) != (live.version, live.parked, live.waiting):
                raise self.failed(3, f"{key} is stored as {row['version'], row['parked'], row['waiting']}, not {live}")
        if len(schema.rows("state", self.shard)) != len(self.proof.streams):
            raise self.failed(3, "not every stream has a state")

    def _timers(self, schema: Schema, changed: Iterable[Any]) -> None:
        stored: dict[Any, dict[str, Any]] = defaultdict(dict)
        for (kind, stream, timer), row in schema.rows("timers", self.shard).items():
            stored[kind, stream][timer] = row["due_at"], row["generation"]
        for key in changed:
            live = self.proof.streams[key]
            wanted = timers_of(self.mind, live)
            if {name: (timer.due_at, timer.generation) for name, timer in wanted.items()} != stored.get(key, {}):
                raise self.failed(7, f"{key} wants the timers {wanted}, but {stored.get(key)} are stored")


def tx_policies(schema: Schema) -> dict[str, Any]:
    """The policies that are stored."""
    return {digest: store.policy_of(digest, row["body"]) for digest, row in schema.rows("policy_versions", -1).items()}


def read(row: Mapping[str, Any], mind: Mind) -> Any:
    """A ledger row's event."""
    return read_event(row["type"], row["body"], mind.events)


def _name(client: Any) -> str:
    return client.name if client is not None else "nobody"
