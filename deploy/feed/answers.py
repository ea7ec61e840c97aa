"""What a record from the services answers: which message, and with what."""

from dataclasses import dataclass

from aiokafka import ConsumerRecord
from pydantic_core import from_json

from shared.contract.envelope import is_requested, text_headers
from shared.contract.machine import InputTakenUp, InputWaiting


@dataclass(frozen=True, slots=True)
class Answer:
    """One event, and the message it answers."""

    to: str
    """The message's id (`ce_causationid`)."""
    type: str
    """The event's stored type name."""
    stream: str
    """The id of the stream that said it."""
    body: bytes

    def reason(self) -> str:
        """Why, of a refusal or of what was parked, in words."""
        said = from_json(self.body)
        if self.type == InputWaiting.type:
            return f"waits behind input {said['behind']}, which is parked" if said.get("behind") else "waits its turn behind others"
        return str(said.get("why") or said.get("reason") or self.type)

    def value(self, field: str) -> object:
        """A field of the event; None where it has none."""
        return from_json(self.body).get(field)


def answer_in(record: ConsumerRecord) -> Answer | None:
    """The answer in a record; None where it answers nobody, only passes a request on, or says after an answer that it was one at last."""
    headers = text_headers(record.headers)
    to, type_name = headers.get("ce_causationid"), headers.get("ce_type")
    if not to or not type_name or is_requested(type_name) or type_name == InputTakenUp.type:
        return None
    return Answer(to, type_name, headers.get("ce_subject", ""), record.value or b"")
