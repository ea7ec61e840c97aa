"""Each fact that rootcause hears, in its published bytes, reaches the learning and is never refused there."""

from pathlib import Path

import pytest

from services.rootcause.mind import MIND
from shared.contract.refusals import Refusal
from shared.contract.resolution import MisunderstandingCleared
from shared.contract.rootcause import ChangeOwner, NoteCaseClosed, OpenLearning, SuspendLearning
from shared.contract.said import decode, short_name
from shared.machine.mind import Fact
from tests.services.rootcause.said import COMPLAINT, OPENED, context, fold

GOLDEN = Path(__file__).parents[2] / "golden"
TOLD = {
    "Delivered": OpenLearning,
    "ComplaintWithdrawn": OpenLearning,
    "DeliveryObjected": SuspendLearning,
    "MisunderstandingRaised": SuspendLearning,
    "MisunderstandingCleared": OpenLearning,
    "CaseClosed": NoteCaseClosed,
    "ComplaintReopened": SuspendLearning,
    "OwnershipAccepted": ChangeOwner,
}


def published(type_name):
    service = type_name.split(".")[0]
    (body,) = [path for path in (GOLDEN / service).glob("*.json") if path.name.endswith(f"{type_name.split('.', 1)[1]}.json")]
    return Fact(decode(MIND.hears[type_name], body.read_bytes()), COMPLAINT, service, "person:ines")


def test_it_hears_these_and_no_others():
    assert {short_name(type_name) for type_name in MIND.hears} == TOLD.keys()
    assert {type_name.split(".")[0] for type_name in MIND.hears} == set(MIND.hears_from)


@pytest.mark.parametrize("type_name", sorted(MIND.hears))
@pytest.mark.parametrize("past", [(), (OPENED,)], ids=["before", "after"])
def test_a_fact_is_told_to_the_learning_and_never_refused(type_name, past):
    fact = published(type_name)
    command = MIND.translate(fact)
    assert type(command) is TOLD[short_name(type_name)]
    assert command.type in MIND.commands
    assert command.internal
    later = fact.event.model_copy(update={"generation": 2})
    assert MIND.translate(fact._replace(event=later)).generation == 2
    stream = MIND.streams[command.stream]
    assert not isinstance(stream.decide(fold(stream, past), command, context()), Refusal)


def test_what_concerns_no_learning_is_not_told():
    cleared_before_delivery = published(MisunderstandingCleared.type).event.model_copy(update={"objection_until": None})
    assert MIND.translate(Fact(cleared_before_delivery, COMPLAINT, "resolution", "person:ines")) is None
    assert MIND.translate(Fact(OPENED, COMPLAINT, "rootcause", "clock")) is None


def test_every_stream_named_by_a_command_is_one_of_the_mind():
    assert {said.stream for said in MIND.commands.values()} == MIND.streams.keys()
