"""Each fact that intake hears, in its published bytes, reaches the complaint and is never refused there."""

from pathlib import Path

import pytest

from services.intake.mind import MIND
from shared.contract.intake import NoteCustomersEnding, NoteLateWithdrawal, NoteLearning, NoteReply, NoteTimelyWithdrawal
from shared.contract.refusals import Refusal
from shared.contract.said import decode, short_name
from shared.machine.mind import Fact
from tests.services.intake.said import COMPLAINT, CONFIRMED, OWNED, READY, RECEIVED, WITHDRAWN, context, fold

GOLDEN = Path(__file__).parents[2] / "golden"
TOLD = {
    "DeliveryConfirmed": NoteCustomersEnding,
    "DeliveryAssumed": NoteCustomersEnding,
    "CaseClosed": NoteTimelyWithdrawal,
    "WithdrawalCameTooLate": NoteLateWithdrawal,
    "ReplyReceived": NoteReply,
    "LearningClosed": NoteLearning,
}
ENDINGS = {"DeliveryConfirmed": "confirmed", "DeliveryAssumed": "assumed"}


def published(type_name):
    service = type_name.split(".")[0]
    body = (GOLDEN / service / f"{type_name}.json").read_bytes()
    return Fact(decode(MIND.hears[type_name], body), COMPLAINT, service, "person:ines")


def test_it_hears_these_and_no_others():
    assert {short_name(type_name) for type_name in MIND.hears} == TOLD.keys()
    assert {type_name.split(".")[0] for type_name in MIND.hears} == set(MIND.hears_from)
    assert MIND.listener in MIND.streams


@pytest.mark.parametrize("type_name", sorted(MIND.hears))
@pytest.mark.parametrize(
    "past",
    [(), (RECEIVED,), (*READY, OWNED), (*READY, OWNED, WITHDRAWN), (*READY, OWNED, CONFIRMED)],
    ids=["never received", "received", "owned", "withdrawn", "confirmed"],
)
def test_a_fact_is_told_to_the_complaint_and_never_refused(type_name, past):
    fact = published(type_name)
    command = MIND.translate(fact)
    assert type(command) is TOLD[short_name(type_name)]
    later = fact.event.model_copy(update={"generation": 2})
    assert MIND.translate(fact._replace(event=later)).generation == 2
    assert getattr(command, "ending", None) == ENDINGS.get(short_name(type_name))
    assert command.type in MIND.commands
    assert command.internal
    stream = MIND.streams[command.stream]
    assert not isinstance(stream.decide(fold(stream, past), command, context()), Refusal)


def test_what_concerns_no_complaint_is_not_told():
    assert MIND.translate(Fact(RECEIVED, COMPLAINT, "intake", "clock")) is None


def test_no_stream_of_ours_asks_another():
    assert MIND.react(Fact(RECEIVED, COMPLAINT, "intake", "clock")) == ()


def test_every_stream_named_by_a_command_is_one_of_the_mind():
    assert {said.stream for said in MIND.commands.values()} == MIND.streams.keys()
