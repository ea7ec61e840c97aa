"""The interfaces in their own languages: OpenAPI of the console, AsyncAPI of each service's topics."""

import json
from collections.abc import Callable
from typing import Any, Union

from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from shared.contract.catalogue import COMMANDS, EVENTS, service_of
from shared.contract.envelope import SERVICES, SUBMISSIONS, commands_topic, events_topic
from shared.contract.intake import ReportFinding, SubmitComplaint
from shared.contract.machine import SETTLING

HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "The message's id: with `ce_source` it counts once. Of an event: generation/service/shard/position.",
    "ce_source": "Who sends it, as a URI reference.",
    "ce_type": "The stored type name.",
    "ce_time": "When, ISO 8601.",
    "ce_subject": "The stream: a UUID, also the record's key.",
    "ce_actor": "Who asks or did it: `person:…`, `team:…`, `system:…`, `source:…`, `service:…`, `clock`.",
    "traceparent": "W3C trace context.",
}
OF_EVENTS = {
    "ce_causationid": "The id of the message that led to it.",
    "ce_correlationid": "The complaint it is about.",
    "ce_streamkind": "The kind of stream.",
    "ce_streamversion": "The place in the stream.",
    "ce_dataschema": "Where its JSON Schema is.",
    "ledger-position": "The place in the shard's ledger, without gaps.",
    "ledger-hash": "The row's hash, hex.",
    "ledger-prev": "The hash of the row before it.",
    "cause-hash": "The hash of the journal row of its cause.",
}


def openapi() -> str:
    """The console's HTTP API."""
    from services.console.app import make_app  # noqa: PLC0415 - slow to import
    from shared.machine.figures import Figures  # noqa: PLC0415
    from shared.settings import Settings  # noqa: PLC0415

    return _text(make_app(Settings(), Figures("console")).openapi())


def asyncapi_of(service: str) -> Callable[[], str]:
    """The writer of a service's AsyncAPI."""
    return lambda: asyncapi(service)


def asyncapi(service: str) -> str:
    """What a service takes and what it says, on Kafka."""
    broker = KafkaBroker()
    commands = [said for type_name, said in COMMANDS.items() if service_of(type_name) == service or type_name in SETTLING]
    events = [said for type_name, said in EVENTS.items() if service_of(type_name) in {service, "machine"}]
    if service == "intake":
        _takes(broker, SUBMISSIONS, [SubmitComplaint, ReportFinding], "What upstream systems submit. Any key will do.")
    _takes(
        broker,
        commands_topic(service),
        commands,
        "What the service can be asked, keyed by the stream's id. What concerns a parked input goes to the partition of its shard.",
    )
    said: Any = Union[tuple(events)]  # noqa: UP007 - a union of classes in a variable
    broker.publisher(events_topic(service), schema=said, title=events_topic(service), description="What happened, in order.")
    found = json.loads(AsyncAPI(broker, title=f"makegood {service}", version="1").to_specification().to_json())
    for name, message in found["components"]["messages"].items():
        headers = HEADERS | (OF_EVENTS if name.startswith(events_topic(service)) else {})
        properties = {key: {"type": "string", "description": words} for key, words in headers.items()}
        message["headers"] = {"type": "object", "properties": properties}
        message.pop("correlationId", None)
    found.pop("servers", None)
    for channel in found["channels"].values():
        channel.pop("servers", None)
    return _text(found)


def _takes(broker: KafkaBroker, topic: str, commands: list[Any], about: str) -> None:
    async def handle(message: Any) -> None:
        """Documented here; the machine reads the topic."""

    handle.__annotations__["message"] = Union[tuple(commands)]  # noqa: UP007
    broker.subscriber(topic, title=topic, description=about)(handle)


def _text(found: Any) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


__all__ = ["SERVICES", "asyncapi", "asyncapi_of", "openapi"]
