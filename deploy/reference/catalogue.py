"""The catalogue of commands, events, refusals and topics as pages."""

import inspect
from collections.abc import Iterator, Mapping

from deploy.reference.markdown import WRITTEN, fields, table
from deploy.topics import DAYS, TOPICS
from shared.contract.catalogue import COMMANDS, EVENTS, service_of
from shared.contract.envelope import SERVICES
from shared.contract.refusals import Rule
from shared.contract.said import Command, Said, personal_fields, short_name

INTRODUCTION = """# Commands and events

A command is a request, in the imperative; an event is a fact, in the past tense. Needed fields are bold. The stored type name is
`service.Name.v1`; its JSON Schema is in [schemas](../schemas) and at `/schemas/` of the console. Behind a 🔒 stand the fields that tell
who somebody is or what they wrote (`x-personal` in the schema).
"""
WORDS = {"intake": "own", "resolution": "fix, deliver", "rootcause": "retrain", "machine": "every service's machine"}


def events() -> str:
    """All that can be asked and all that can have happened."""
    page = WRITTEN + INTRODUCTION
    for service in (*SERVICES, "machine"):
        page += f"\n## {service} ({WORDS[service]})\n"
        for title, said, heads in (("Commands", COMMANDS, ("name", "stream")), ("Events", EVENTS, ("name",))):
            if rows := list(_rows(service, said)):
                page += f"\n### {title} of {service}\n\n" + table((*heads, "what it says", "fields"), rows)
    return page


def _rows(service: str, said: Mapping[str, type[Said]]) -> Iterator[list[str]]:
    for type_name, one in said.items():
        if service_of(type_name) != service:
            continue
        personal = sorted(personal_fields(one))
        of = fields(one.model_json_schema()) + (f" 🔒 {', '.join(personal)}" if personal else "")
        about = inspect.getdoc(one) or ""
        name = f"[{short_name(type_name)}](../schemas/{type_name}.json)"
        if issubclass(one, Command):
            yield [name, one.stream, about + (" *Said by our own services only.*" if one.internal else ""), of]
        else:
            yield [name, about, of]


def refusals() -> str:
    """The closed set of refusals."""
    rows = [(f"`{rule.code}`", rule.sentence, str(rule.invariant or "")) for rule in Rule]
    return WRITTEN + _REFUSALS + table(("rule", "sentence", "invariant"), rows)


def topics() -> str:
    """The topics, and how long each is kept."""
    rows = []
    for topic, told in TOPICS.items():
        values = ", ".join(f"`{name}={value}`" for name, value in sorted(told.items()))
        rows.append((f"`{topic}`", _kept(told), values))
    return WRITTEN + _TOPICS + table(("topic", "kept", "settings"), rows)


def _kept(told: Mapping[str, str]) -> str:
    if told["cleanup.policy"] == "compact":
        return "the newest of each key"
    kept = int(told["retention.ms"])
    return "for ever" if kept < 0 else f"{kept // DAYS} days"


_TOPICS = """# Topics

Each has as many partitions as there are shards. Topics that upstreams have for themselves (`MAKEGOOD_SUBMISSIONS`) are made like
`complaints.submissions`.

"""
_REFUSALS = """# Refusals

A command against a rule is refused with the rule's name, and the refusal is a fact in the ledger (`machine.CommandRefused.v1`). Over
HTTP it is a 409 whose `rule` is this name. The number is the invariant that the rule stands for. The sentence is the rule's own; the `why`
of a refusal (over HTTP its `detail`) may be more specific and say what is wrong in this case: rely on the name.

"""
