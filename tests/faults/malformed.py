"""Records as no one should send them, made from good ones, by a seed: the same seed, the same records.

Each is one fault, or none: a neighbour that must be accepted whatever lies beside it.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid5

from shared.contract.catalogue import COMMANDS, service_of
from shared.contract.envelope import (
    NAMESPACE,
    POLICIES,
    SERVICES,
    SUBMISSIONS,
    command_headers,
    commands_topic,
    complaint_id,
    events_topic,
    key_of,
    shard_of,
)
from shared.contract.intake import ReportFinding, SubmitComplaint
from shared.contract.machine import DiscardParked, RetryParked

GOLDEN = Path(__file__).parents[1] / "golden"
VALID = "valid"
BUGS = 50
BUGGY = [complaint_id("mill", f"bug-{number}") for number in range(2)]
"""Some of the streams that stand still for it."""
MIB = 1024 * 1024
SENT_AT = "2026-03-03T09:00:00Z"
Headers = list[tuple[str, bytes | None]]
BUG = "our own bug"
"""What a submission says on which the mind fails that is fuzzed."""


@dataclass(frozen=True)
class Record:
    """One record to send. `fault` says what is wrong with it; `VALID` for nothing."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)
    partition: int | None = None
    fault: str = VALID

    def header(self, name: str, value: bytes | None) -> "Record":
        """With this header in the place of the one of its name."""
        return replace(self, headers=[(other, had) for other, had in self.headers if other != name] + [(name, value)])

    def without(self, name: str) -> "Record":
        """Without the headers of this name."""
        return replace(self, headers=[one for one in self.headers if one[0] != name])

    def fields(self, **changed: object) -> "Record":
        """With these fields in its body."""
        return replace(self, value=json.dumps(json.loads(self.value or b"{}") | changed).encode())


Fault = Callable[[Record, random.Random], Record]


def records(seed: int, count: int, shards: int) -> Iterator[Record]:
    """So many, one in four of them good."""
    dice = random.Random(seed)
    names = sorted(FAULTS)
    for number in range(count):
        good = _good(dice, number, shards)
        if dice.random() < 0.25:
            yield _neighbour(dice, number, shards)
            continue
        name = dice.choices(names, [WEIGHTS.get(one, 1.0) for one in names])[0]
        yield replace(FAULTS[name](good, dice), fault=name)


# ---- good ones -------------------------------------------------------------------------------------------------------------


def _neighbour(dice: random.Random, number: int, shards: int) -> Record:
    """A new complaint, right in all; by a key of its upstream's own or by ours."""
    command = SubmitComplaint(source="shop", ref=f"valid-{number}", narrative="The bread was wet.", product="bread")
    stream = complaint_id("shop", command.ref)
    key = key_of(stream) if dice.random() < 0.7 else f"customer-{number}".encode()
    headers = command_headers(command.type, f"valid-{number}", stream=None, source="/shop", actor="source:shop", sent_at=SENT_AT)
    partition = shard_of(stream, shards) if key == key_of(stream) else None
    return Record(SUBMISSIONS, key, command.to_bytes(), [*headers], partition)


def _good(dice: random.Random, number: int, shards: int) -> Record:
    """A submission or any command of any service, as it should be; it may be refused all the same."""
    if dice.random() < 0.5:
        kind = dice.choice((SubmitComplaint, ReportFinding))
        told = {"source": "mill", "ref": f"m-{number}", "narrative": "It was late.", "details": {"counter": "3"}}
        value = (json.dumps(told) if kind is SubmitComplaint else _golden(kind.type)).encode()
        headers = command_headers(kind.type, f"m-{number}", stream=None, source="/mill", actor="source:mill", sent_at=SENT_AT)
        return Record(SUBMISSIONS, f"m-{number}".encode(), value, [*headers])
    type_name = dice.choice(ASKED)
    streams = uuid5(NAMESPACE, str(number)), *(complaint_id("shop", f"valid-{dice.randrange(number + 1)}") for _ in range(3)), *BUGGY
    stream = dice.choice(streams)
    headers = command_headers(type_name, f"c-{number}", stream=stream, source="/mill", actor="person:ines", sent_at=SENT_AT)
    return Record(commands_topic(service_of(type_name)), key_of(stream), _golden(type_name).encode(), [*headers], shard_of(stream, shards))


ASKED = sorted(name for name, said in COMMANDS.items() if service_of(name) in SERVICES and not said.internal)
INTERNAL = sorted(name for name, said in COMMANDS.items() if service_of(name) in SERVICES and said.internal)


def _golden(type_name: str) -> str:
    return (GOLDEN / service_of(type_name) / f"{type_name}.json").read_text(encoding="utf-8").strip()


# ---- bytes -----------------------------------------------------------------------------------------------------------------


def _value(*values: bytes | None) -> Fault:
    return lambda record, dice: replace(record, value=dice.choice(values))


def _flipped(record: Record, dice: random.Random) -> Record:
    """A few bytes of it are others."""
    changed = bytearray(record.value or b"{}")
    for _ in range(dice.randint(1, 8)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return replace(record, value=bytes(changed))


def _with_text(*texts: str) -> Fault:
    """A submission whose texts, or names of fields, are these: JSON escapes are left as they stand."""

    def changed(record: Record, dice: random.Random) -> Record:
        text, place = dice.choice(texts), dice.choice(("narrative", "ref", "source", "details", "name"))
        told = {"source": "mill", "ref": f"t-{dice.randrange(10**9)}", "narrative": "x"}
        if place == "details":
            return _submitted(record, json.dumps(told)[:-1] + f', "details": {{"{text}": "{text}"}}}}')
        if place == "name":
            return _submitted(record, json.dumps(told)[:-1] + f', "{text}": 1}}')
        return _submitted(record, json.dumps(told | {place: "@"}).replace("@", text))

    return changed


def _submitted(record: Record, text: str) -> Record:
    return replace(record, topic=SUBMISSIONS, value=text.encode("utf-8", "surrogatepass"), partition=None).header(
        "ce_type", SubmitComplaint.type.encode()
    )


def _number(*literals: str) -> Fault:
    return lambda record, dice: _submitted(
        record, '{"source":"mill","ref":"n","narrative":"x","details":{"n":' + dice.choice(literals) + "}}"
    )


def _dated(record: Record, dice: random.Random) -> Record:
    at = dice.choice((
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "2200-01-01T00:00:00Z",
        "+12345-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-03-03T09:00:00", "2026-03-03T25:00:00Z", "2199-12-31T23:59:59+23:59", "now",
    ))  # fmt: skip
    told = {"source": "mill", "ref": f"d-{dice.randrange(10**9)}", "narrative": "x", dice.choice(("occurred_at", "reported_at")): at}
    return _submitted(record, json.dumps(told))


def _duplicate_keys(record: Record, dice: random.Random) -> Record:
    told = f'{{"source":"mill","ref":"k-{dice.randrange(10**9)}","narrative":"x","ref":"k2","narrative":null,"narrative":"y"}}'
    return _submitted(record, told)


def _large(record: Record, dice: random.Random) -> Record:
    size = MIB + dice.choice((-4096, -1, 0, 1, 4096))
    told = json.dumps({"source": "mill", "ref": "large", "narrative": "@"})
    return replace(record, topic=commands_topic("intake"), value=told.replace("@", "x" * (size - len(told) + 1)).encode())


def _other_fields(record: Record, dice: random.Random) -> Record:
    told = json.loads(record.value or b"{}")
    name = dice.choice(sorted(told) or ["nothing"])
    return record.fields(**{name: dice.choice((None, [], {}, 1, -1, 1.5, True, "", " ", "x" * 70_000, ["x"] * 200, {"a": {"b": {}}}))})


# ---- keys and headers ------------------------------------------------------------------------------------------------------


def _keyed(record: Record, dice: random.Random) -> Record:
    key = dice.choice((None, b"", b"\xff\xfe", b"\x00" * 36, b"x" * 100_000, b"NOT-A-UUID", b"7498c925-0000-0000-0000-000000000000\n"))
    return replace(record, key=key, partition=dice.choice((None, record.partition)))


def _header(name: str, *values: bytes | None) -> Fault:
    return lambda record, dice: record.header(name, dice.choice(values))


def _bomb(record: Record, dice: random.Random) -> Record:
    more: Headers = dice.choice((
        [("x", b"y")] * 1_000, [("x" * 200, b"")] * 65, [("bomb", b"y" * 200_000)], [("", b"")] * 64, [("ce_id", b"other")] * 60,
        [(name, None) for name, _ in record.headers],
    ))  # fmt: skip
    return replace(record, headers=dice.choice(([*record.headers, *more], [*more, *record.headers])))


def _without(*names: str) -> Fault:
    return lambda record, dice: record.without(dice.choice(names))


def _forged(record: Record, dice: random.Random) -> Record:
    """It says that it is a row of ours."""
    service, shard, position = dice.choice(SERVICES), dice.randrange(6), dice.choice((0, 1, 7, 10**6, 10**17))
    forged = record.header("ce_id", f"g1/{service}/{shard}/{position}".encode()).header("ledger-shard", f"{shard}".encode())
    forged = forged.header("ledger-position", dice.choice((f"{position}", "x", "-1", "")).encode())
    return forged if dice.random() < 0.5 else forged.header("origin-id", dice.choice((b"", b"x", b"/mill m-1", b"x" * 3_000)))


def _internal(record: Record, dice: random.Random) -> Record:
    type_name = dice.choice(INTERNAL)
    path = GOLDEN / service_of(type_name) / f"{type_name}.json"
    value = path.read_bytes().strip() if path.exists() else b"{}"
    return replace(record.header("ce_type", type_name.encode()), topic=commands_topic(service_of(type_name)), value=value)


def _same_id(record: Record, dice: random.Random) -> Record:
    """The id of another message, of this sender or of another."""
    other = dice.choice(("m", "c", "valid"))
    source = b"/mill" if other == "valid" else dice.choice((b"/mill", b"/shop", b"", None))
    return record.header("ce_id", f"{other}-{dice.randrange(200)}".encode()).header("ce_source", source)


def _again(record: Record, _: random.Random) -> Record:
    """One and the same complaint, each time."""
    told = _submitted(record, '{"source":"mill","ref":"again and again","narrative":"x"}')
    return told.header("ce_id", b"again").header("ce_source", b"/mill").header("ce_actor", b"source:mill").header("ce_subject", None)


def _elsewhere(record: Record, dice: random.Random) -> Record:
    """On a topic, or a partition, where it does not belong."""
    topic = dice.choice((SUBMISSIONS, *(commands_topic(service) for service in SERVICES)))
    return replace(record, topic=topic, partition=dice.randrange(4))


def _buggy(record: Record, dice: random.Random) -> Record:
    told = SubmitComplaint(source="mill", ref=f"bug-{dice.randrange(BUGS)}", narrative=BUG)
    found = replace(record, topic=SUBMISSIONS, value=told.to_bytes(), partition=None).header("ce_type", told.type.encode())
    return found.header("ce_id", f"bug-{dice.randrange(10**9)}".encode())


def _no_event(record: Record, dice: random.Random) -> Record:
    """On a topic of events that no relay wrote."""
    topic = events_topic(dice.choice(SERVICES))
    return replace(record, topic=topic, partition=dice.randrange(4)).header("ledger-position", dice.choice((b"x", b"", None)))


def _no_policy(record: Record, dice: random.Random) -> Record:
    value = dice.choice((None, b"{", b"{}", b'{"policy":{}}', b'{"policy":{"name":"x","version":1}}', b"\xff"))
    return replace(record, topic=POLICIES, key=b"default", value=value, partition=dice.randrange(4))


def _settling(record: Record, dice: random.Random) -> Record:
    """An operator who guesses."""
    so_far = int(dict(record.headers)["ce_id"].rpartition(b"-")[2]) // 6
    service, shard = dice.choice(SERVICES), dice.randrange(4)
    entry = dice.choice((1, 10**18, *(dice.randrange(1, so_far + 2) for _ in range(8))))
    large = "x" * 400_000 if dice.random() < 0.02 else "y"
    body = dice.choice((None, "{", '{"source":"mill","ref":"again","narrative":"x"}', "\u202e", large))
    command = dice.choice((
        RetryParked(shard=shard, entry=entry, reason="a guess", body=body), DiscardParked(shard=shard, entry=entry, reason="a guess"),
    ))  # fmt: skip
    actor = dice.choice(("person:ines", "person:ines", "system:cron", "nobody"))
    ident = f"op-{dice.randrange(10**9)}"
    headers = command_headers(command.type, ident, stream=UUID(int=7), source="/cli", actor=actor, sent_at=SENT_AT)
    return Record(commands_topic(service), record.key, command.to_bytes(), [*headers], dice.choice((shard, shard, dice.randrange(4))))


FAULTS: dict[str, Fault] = {
    "not UTF-8": _value(b"\xff\xfe", b'{"source":"\xc3\x28"}', "{}".encode("utf-16"), b"\xef\xbb\xbf{}", bytes(range(256))),
    "null value": _value(None),
    "no JSON": _value(b"", b" ", b"{", b"[", b'"x', b"nul", b"{'a':1}", b'{"a":1,}', b"{}{}", b"\x00", b"<xml/>", b"\x1f\x8b\x08"),
    "no object": _value(b"[]", b"[1]", b'"x"', b"1", b"null", b"true", b"-0", b"1e400"),
    "10,000 deep": _value(b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "5,000 digits": _number("9" * 5_000, "-" + "9" * 5_000, "0." + "1" * 5_000, "1e" + "9" * 20),
    "NaN": _number("NaN", "Infinity", "-Infinity", "nan", "1e999"),
    "duplicate keys": _duplicate_keys,
    "about 1 MiB": _large,
    "bytes flipped": _flipped,
    "cut off": lambda record, dice: replace(record, value=(record.value or b"{}")[: dice.randrange(len(record.value or b"{}"))]),
    "other fields": _other_fields,
    "unknown field": lambda record, dice: record.fields(**{dice.choice(("colour", "", "a\u0000b", "\u202eb", "x" * 100_000)): 1}),
    "dates": _dated,
    "invisible text": _with_text(
        "\u200b\u200d\ufeff", "\u202e\u2066drow", "\u200f", "e\u0301" * 40, "\u2028", "\U000e0041"
    ),
    "lone surrogate": _with_text("\\ud800", "\\udfff\\ud800", "\ud800", "\\ud83d"),
    "control characters": _with_text("\\u0000", "\\u001b[31m", "\\b", "\x07", "\n", "\\u007f", "\\r\\n"),
    "long text": _with_text("x" * 60_001, "\U0001f35e" * 300, " " * 5_000),
    "key": _keyed,
    "unknown type": _header(
        "ce_type", b"intake.Nonsense.v1", b"kitchen.Bake.v1", b"x", b"", b"a\x00b", b"\xff", b"x" * 600, b"\xc2\xa0", None
    ),
    "unknown version": lambda record, dice: record.header("ce_type", dice.choice(ASKED).rpartition(".")[0].encode() + b".v99"),
    "another type": lambda record, dice: record.header("ce_type", dice.choice(ASKED).encode()),
    "subject": _header(
        "ce_subject", b"", b"x", b"\xff", None, b"7498c925", b"{7498c925-0000-0000-0000-000000000000}", b"urn:uuid:" + b"0" * 32
    ),
    "actor": _header("ce_actor", b"", None, b"\xff", b"a\nb", b"x" * 501, "\u202e".encode(), b"clock", b"service:intake"),
    "id": _header("ce_id", b"", None, b"\xff", b"x" * 501, b"a\tb", b"g1/intake/0/1", b" ", "\U0001f35e".encode() * 126),
    "source": _header("ce_source", b"", None, b"two words", b"\xff", b"x" * 600, b"\x00"),
    "a foreign reply_to": _header("reply_to", b"intake.commands", b"elsewhere", b"\xff", None),
    "trace": _header("traceparent", b"", b"00-0-0-0", b"\xff", None, b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", b"x" * 5_000),
    "header bomb": _bomb,
    "no headers": lambda record, _: replace(record, headers=[]),
    "a header less": _without("ce_type", "ce_id", "ce_subject", "ce_actor", "ce_source"),
    "a forged row": _forged,
    "internal": _internal,
    "the same id": _same_id,
    "repeated": _again,
    "elsewhere": _elsewhere,
    BUG: _buggy,
    "no event": _no_event,
    "no policy": _no_policy,
    "settling": _settling,
    "nothing": lambda record, _: record,
}  # fmt: skip
"""By name. `nothing`: a command that is as it should be, and may be refused."""
WEIGHTS = {"about 1 MiB": 0.05, "no event": 0.1, "no policy": 0.05, "10,000 deep": 0.3, "long text": 0.3, "header bomb": 0.4, "key": 0.5}
"""How often, where not as often as the others: some are large."""
