"""What the machine decides by itself, held against what was noted for its rules: the same inputs, and the same comes of them."""

import json
from dataclasses import replace
from pathlib import Path

from pydantic_core import from_json

from shared.contract.machine import DiscardParked, InputParked, JournalSealed, PolicyAdopted, RetryParked, TimerDue
from shared.machine.deciding import SEAL_EVERY
from shared.machine.mind import MACHINE_RULES
from tests.shared.machine.bench import Bench, stream_in
from tests.shared.machine.tally import NOW, Add, Heard, Note, Submit, Unheard, headers

NOTED = Path(__file__).parents[2] / "golden" / "machine" / "history" / f"rules-{MACHINE_RULES}.txt"
WHAT_TO_DO = f"""The machine decides otherwise than {NOTED.name} notes for its rules {MACHINE_RULES}:
a shard would be decided so or so, by whichever release has it, and a replay would fail.
Raise MACHINE_RULES in shared/machine/mind.py, let the machine decide as before for the minds
whose machine_rules are earlier (ADR 11), and write what it decides now to a file of the new number.
Where no installation ever decided by rules {MACHINE_RULES}, change {NOTED.name}."""
LEFT_OUT = {InputParked.type: {"reason"}, PolicyAdopted.type: {"version", "digest"}, JournalSealed.type: {"hash"}}
"""Where a mind failed, which policy is shipped, and what follows from that."""
A, B, ELSEWHERE = stream_in(0), stream_in(0, 1), stream_in(1)
HOW = "seen to"


def history():
    """All that can come of an input."""
    bench = Bench().began()

    def settle(command, message_id, actor="person:ines"):
        return bench.record(command.to_bytes(), headers=headers(command, None, message_id, actor=actor))

    def retry(entry, message_id, body=None, **more):
        return settle(RetryParked(shard=0, entry=entry, reason=HOW, body=body), message_id, **more)

    def discard(entry, message_id):
        return settle(DiscardParked(shard=0, entry=entry, reason=HOW), message_id)

    bench.batch(
        *(bench.ask(Add(number=number), A, f"a{number}") for number in (5, 0, -1)),
        bench.ask(Add(number=5), A, "a5"), bench.ask(Add(number=6), A, "a5"),
        bench.ask(Add(number=1), ELSEWHERE, "elsewhere"), bench.ask(Note(number=1), A, "internal"),
        bench.submit(Submit(ref="r", number=1), "submitted"), bench.record(b"{", headers=[]),
        replace(bench.ask(Add(number=1), A, "unreadable"), value=b"{"),
        bench.fact(Unheard(), A), bench.fact(Heard(number=2), A),
        bench.ask(Add(number=1, then_tell=B, wake_in_seconds=1), A, "wakes"),
    )  # fmt: skip
    bench.batch(fire=[(TimerDue(timer="wake", due_at=bench.known.streams["tally", A].state.wake_at), A)])
    _, (waits, *_) = bench.batch(bench.ask(Add(number=13), A, "bad"), *(bench.ask(Add(number=n), A, f"w{n}") for n in (1, 13, 2)))
    bad, unreadable = waits.entry, next(row.entry for row in bench.journal if row.message_id == "unreadable")
    bench.batch(retry(1, "r1"), retry(bad, "r2", actor="service:x"), retry(bad + 1, "r3"), retry(bad, "r4"), retry(unreadable, "r5"))
    bench.batch(retry(bad, "r6", '{"number":7}'))
    bench.batch(bench.ask(Add(number=9), A, "late"), go_on=[A])
    bench.batch(discard(bad + 2, "d1"), discard(unreadable, "d2"))
    bench.batch(go_on=[A])
    bench.batch(bench.ask(Add(number=1), B, "deadly"), fatal=True)
    other = Bench(1).began()
    _, requests = other.batch(*(other.ask(Add(number=number), A, f"p{number}") for number in (3, 0, -1)))
    bench.batch(*map(bench.passed_on, requests))
    bench.now = NOW + SEAL_EVERY
    bench.batch()
    bench.replayed()
    return bench


def told(bench):
    """A journal as text: each entry, and under it what came of it."""
    for row in bench.journal:
        why = row.reason.partition(":")[0]
        yield f"{row.entry} {row.outcome}{why and f' ({why})'} {row.type or '-'} {row.kind or '-'} refers {row.refers}"
        for fact in bench.ledger:
            if fact.entry == row.entry:
                said = {name: value for name, value in from_json(fact.body).items() if name not in LEFT_OUT.get(fact.type, ())}
                yield f"    {fact.kind} {fact.version} {fact.type} {json.dumps(said)}"


def test_the_machine_decides_as_is_noted_for_its_rules():
    found = "\n".join(told(history())) + "\n"
    assert NOTED.exists(), WHAT_TO_DO
    assert found == NOTED.read_text(), WHAT_TO_DO
