"""What must hold when the faults have stopped and all has caught up by itself."""

import asyncio
import json
from collections import Counter as Counted
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.contract.envelope import SERVICES, commands_topic, events_topic, text_headers
from shared.machine.bytes import LedgerRow
from shared.machine.fault import ProofFailed
from shared.machine.head import Seen
from shared.machine.mind import Timer
from shared.machine.records import NotAnEvent, event_headers, read_event, request_headers
from shared.machine.stored import head_of, ledger_row
from tests.simulation.deserved import Deserts
from tests.simulation.minds import KILLS, Added, Counter
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.town import Town

SETTLE_SECONDS = 400.0
"""Within this time after the last fault all is as it should be: sessions' time-outs, back-offs."""
DEADLY_SECONDS = 60.0
"""And so much longer for each input that kills its process: six times, each time until its session is over."""


async def settled(town: "Town") -> None:
    """Waits until all has caught up, and looks at everything. Raises Violation."""
    records = [record for topic in town.cluster.every_topic for partition in topic.partitions for record in partition.records]
    deadly = sum(b"%d" % KILLS in (record.value or b"") for record in records)
    until, left = town.loop.time() + SETTLE_SECONDS + deadly * DEADLY_SECONDS, ["nothing was looked at"]
    while town.loop.time() < until and (left := list(_undone(town))):
        await asyncio.sleep(1.0)
    if left:
        raise Violation(11, f"long after the faults stopped: {'; '.join(left[:4])}")
    if strangers := [topic.name for topic in town.cluster.strange_topics if any(partition.records for partition in topic.partitions)]:
        raise Violation(4, f"another cluster was told what is ours: {strangers}")
    for topics in map(events_topic, town.minds):
        _on_the_topic(town, topics.partition(".")[0])
    _states(town)
    _consumers(town)
    _projection(town)
    if town.house:
        town.people.ended()
    else:
        _domain(town)
    Deserts(town).look()
    if town.postgres.refused:
        raise Violation(6, f"a primary key had to step in: {town.postgres.refused[0]}")


def _undone(town: "Town") -> Any:
    for service in town.minds:
        schema = town.postgres.schemas[service]
        for shard in range(town.shards):
            head = schema.head(shard)
            offsets = json.loads(head["offsets"])
            for topic in town.readers[service].topics:
                records = town.all_records(topic, shard)
                end = records[-1].offset + 1 if records else 0
                if end and offsets.get(topic, 0) < end:
                    yield f"{service}/{shard} read {topic} up to {offsets.get(topic, 0)} of {end}"
            relayed = max((position for position in schema.rows("relayed", shard)), default=0)
            if relayed < head["position"]:
                yield f"{service}/{shard} relayed up to {relayed} of {head['position']}"
            late = [row for row in schema.rows("timers", shard).values() if row["due_at"] < town.loop.now() - timedelta(seconds=5)]
            if late:
                yield f"{service}/{shard} has not fired {late[0]}"
            if not head["policy"]:
                yield f"{service}/{shard} never began"
    for shard in range(town.shards):
        places = town.postgres.schemas["console"].rows("places", shard)
        for service in town.minds:
            position = town.postgres.schemas[service].head(shard)["position"]
            if position and (service not in places or places[service]["position"] < position):
                yield f"the console saw {service}/{shard} up to {places.get(service, {}).get('position')} of {position}"


def rows_of(town: "Town", service: str, shard: int) -> list[LedgerRow]:
    """A shard's ledger."""
    rows = town.postgres.schemas[service].rows("ledger", shard)
    found = [ledger_row(rows[position]) for position in sorted(rows)]
    previous = bytes(32)
    for row in found:
        row.previous, previous = previous, row.hash
    return found


def _on_the_topic(town: "Town", service: str) -> None:
    """4: every ledger row is on its topics, in order, at least once, byte for byte."""
    asked: dict[int, dict[tuple[int, int], int]] = {}
    for shard in range(town.shards):
        ledger = rows_of(town, service, shard)
        last = 0
        for record in town.all_records(events_topic(service), shard):
            try:
                row, _ = read_event(text_headers(record.headers), record.value, shard)
            except NotAnEvent:
                continue
            if not 0 < row.position <= min(last + 1, len(ledger)):
                raise Violation(4, f"{service}.events/{shard} has position {row.position} after {last}, of {len(ledger)}")
            meant = ledger[row.position - 1]
            if list(record.headers) != event_headers(meant, meant.previous, "g1", service) or record.value != meant.body:
                raise Violation(4, f"{service}.events/{shard} says otherwise at position {row.position}")
            last = max(last, row.position)
        if last < len(ledger):
            raise Violation(4, f"{service}.events/{shard} ends at position {last} of {len(ledger)}")
        for row in ledger:
            if row.target is not None:
                target = town.readers[service].shard_of(row.target)
                asked.setdefault(target, {})[shard, row.position] = 0
    _requests(town, service, asked)


def _requests(town: "Town", service: str, asked: dict[int, dict[tuple[int, int], int]]) -> None:
    for target, rows in asked.items():
        reached: Counted[int] = Counted()
        for record in town.all_records(commands_topic(service), target):
            said = text_headers(record.headers)
            if "ledger-shard" not in said or said.get("ce_source") != f"/{service}":
                continue
            place = int(said["ledger-shard"]), int(said["ledger-position"])
            if place in rows:
                row = ledger_row(town.postgres.schemas[service].rows("ledger", place[0])[place[1]])
                if list(record.headers) != request_headers(row, "g1", service) or record.value != row.body:
                    continue
                if not rows[place] and place[1] < reached[place[0]]:
                    raise Violation(4, f"{commands_topic(service)}/{target} has request {place} first after {reached[place[0]]}")
                reached[place[0]] = max(reached[place[0]], place[1])
                rows[place] += 1
        if missing := [place for place, times in rows.items() if not times]:
            raise Violation(4, f"{service}'s requests {missing[:5]} are not on {commands_topic(service)}/{target}")
        last = head_of(town.postgres.schemas[service].head(target), target).seen
        for shard in {shard for shard, _ in rows}:
            end = max(position for source, position in rows if source == shard)
            if last.get(f"{service}.commands/{shard}", Seen()).position != end:
                raise Violation(
                    4, f"{service}/{target} took requests of shard {shard} in up to {last.get(f'{service}.commands/{shard}')}, not {end}"
                )


def _consumers(town: "Town") -> None:
    """4: every consumer applied every event once, in order, unchanged."""
    for service, mind in town.minds.items():
        for shard in range(town.shards):
            seen = head_of(town.postgres.schemas[service].head(shard), shard).seen
            for source in mind.hears_from:
                head = town.postgres.schemas[source].head(shard)
                if seen.get(f"{source}/{shard}") != Seen(head["position"], head["hash"]):
                    raise Violation(4, f"{service}/{shard} saw {source} up to {seen.get(f'{source}/{shard}')}, not {head['position']}")


def _projection(town: "Town") -> None:
    """10: what was projected is what a projection made anew would be."""
    for shard in range(town.shards):
        applied = town.postgres.schemas["console"].rows("applied", shard)
        places = town.postgres.schemas["console"].rows("places", shard)
        anew = {(service, row.position): row.hash for service in town.minds for row in rows_of(town, service, shard)}
        if {place: row["hash"] for place, row in applied.items()} != anew:
            raise Violation(10, f"shard {shard} is projected as {len(applied)} events, of {len(anew)}")
        for service in SERVICES:
            head = town.postgres.schemas[service].head(shard)
            if (places[service]["position"], places[service]["hash"]) != (head["position"], head["hash"]):
                raise Violation(4, f"the console's place in {service}/{shard} is not the ledger's end")


def _states(town: "Town") -> None:
    """3: every stream's state is the fold of its events, and its timers are those that it wants (7)."""
    for (service, shard), audit in town.audits.items():
        schema = town.postgres.schemas[service]
        stored = {((kind, stream), name): Timer(row["due_at"], row["generation"])
                  for (kind, stream, name), row in schema.rows("timers", shard).items()}  # fmt: skip
        try:
            for (kind, stream), row in schema.rows("state", shard).items():
                audit.proof.state({"kind": kind, "stream": stream, **row})
            audit.proof.timers(stored)
        except ProofFailed as failed:
            raise Violation(3, str(failed)) from failed


def _domain(town: "Town") -> None:
    """8: what one service added, the other counted; what was asked for was noted; what was counted was heard.

    Wherever nothing of it waits, or was given up.
    """
    asked: Counted[str] = Counted()
    for whom, number in _told(town):
        asked[whom] += number
    for shard in range(town.shards):
        tallies = {key[1]: live for key, live in town.audits["intake", shard].proof.streams.items() if key[0] == "tally"}
        counts = {key[1]: live for key, live in town.audits["resolution", shard].proof.streams.items() if key[0] == "count"}
        kept_out = {
            (service, row["stream"]) for service in town.minds
            for row in town.postgres.schemas[service].rows("journal", shard).values()
            if row["reason"] in {"given_up", "stream_waiting"}
        }  # fmt: skip
        for stream, tally in tallies.items():
            count = counts.get(stream)
            counted = count.state if count else Counter()
            if (
                not (count and (count.parked or count.waiting))
                and ("resolution", stream) not in kept_out
                and counted.total != tally.state.added
            ):
                raise Violation(8, f"{stream} added {tally.state.added}, and {counted.total} were counted")
            if tally.parked or tally.waiting or ("intake", stream) in kept_out:
                continue
            if counted.times != tally.state.heard:
                raise Violation(8, f"{stream} was counted {counted.times} times, and heard of {tally.state.heard}")
            if asked[str(stream)] != tally.state.noted:
                raise Violation(8, f"{stream} was told {asked[str(stream)]}, and noted {tally.state.noted}")


def _told(town: "Town") -> Iterator[tuple[Any, int]]:
    """Whom a tally's event tells which number."""
    for shard in range(town.shards):
        for row in town.postgres.schemas["intake"].rows("ledger", shard).values():
            if row["type"] == Added.type and (said := json.loads(row["body"])).get("tell"):
                yield said["tell"], said["number"]
