"""Each fact that resolution hears, in its published bytes, reaches the case and is never refused there."""

from pathlib import Path

import pytest

from services.resolution.mind import MIND
from shared.contract.intake import ComplaintOwned, OwnershipAccepted
from shared.contract.refusals import Refusal
from shared.contract.resolution import CaseOpened, ChangeOwner, CloseWithdrawn, NoteReply, ObligationsTakenOver, OpenCase, SuspendCase
from shared.contract.said import decode, short_name
from shared.machine.mind import Fact
from tests.services.resolution.said import COMPLAINT, CONFIRMED, IN_HAND, OPEN, OPENED, SUSPENDED, WITHDRAWN, context, fold

GOLDEN = Path(__file__).parents[2] / "golden"
TOLD = {
    "ComplaintOwned": OpenCase,
    "ComplaintWithdrawn": CloseWithdrawn,
    "ComplaintReopened": SuspendCase,
    "OwnershipAccepted": ChangeOwner,
    "ReplyReceived": NoteReply,
}


def published(type_name):
    service = type_name.split(".")[0]
    return Fact(decode(MIND.hears[type_name], (GOLDEN / service / f"{type_name}.json").read_bytes()), COMPLAINT, service, "person:ines")


def test_it_hears_these_and_no_others():
    assert {short_name(type_name) for type_name in MIND.hears} == TOLD.keys()
    assert {type_name.split(".")[0] for type_name in MIND.hears} == set(MIND.hears_from)


@pytest.mark.parametrize("type_name", sorted(MIND.hears))
@pytest.mark.parametrize("past", [(), OPEN, IN_HAND, (*IN_HAND, CONFIRMED), (*OPEN, WITHDRAWN), (*OPEN, SUSPENDED)], ids=len)
def test_a_fact_is_told_to_the_case_and_never_refused(type_name, past):
    fact = published(type_name)
    command = MIND.translate(fact)
    assert type(command) is TOLD[short_name(type_name)]
    assert command.type in MIND.commands
    assert command.internal
    assert command.stream == MIND.listener
    later = fact.event.model_copy(update={"generation": 2})
    assert MIND.translate(fact._replace(event=later)).generation == 2
    stream = MIND.streams[command.stream]
    assert not isinstance(stream.decide(fold(stream, past), command, context()), Refusal)


def test_a_case_opens_with_all_that_was_owned():
    fact = published(ComplaintOwned.type)
    command = MIND.translate(fact)
    assert dict(command) == dict(fact.event)
    opened, taken_over = MIND.streams["case"].decide(fold(MIND.streams["case"], ()), command, context())
    assert opened == CaseOpened(**{name: value for name, value in fact.event if name not in {"promises", "replies"}})
    assert taken_over == ObligationsTakenOver(generation=1, promises=fact.event.promises, replies=fact.event.replies)


def test_what_concerns_no_case_is_not_told():
    assert MIND.translate(Fact(OPENED, COMPLAINT, "resolution", "clock")) is None


def test_no_other_stream_of_ours_hears_of_a_case():
    assert not MIND.react(Fact(OPENED, COMPLAINT, "resolution", "clock"))


def test_every_stream_named_by_a_command_is_one_of_the_mind():
    assert {said.stream for said in MIND.commands.values()} == MIND.streams.keys()
    assert MIND.listener in MIND.streams
    assert MIND.submission is None


def test_who_is_asked_to_own_it_is_nobody_yet_and_the_first_owner_comes_with_the_ownership():
    accepted = published(OwnershipAccepted.type).event
    assert MIND.translate(Fact(accepted, COMPLAINT, "intake", "person:ravi")) == ChangeOwner(generation=1, to="person:ravi")
    first = accepted.model_copy(update={"taken_from": None})
    assert MIND.translate(Fact(first, COMPLAINT, "intake", "person:ravi")) is None
