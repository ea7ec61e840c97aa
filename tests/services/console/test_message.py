"""A command on its way: how long is waited, and what is answered where Kafka or PostgreSQL does not do its part."""

import time
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka.admin import NewTopic
from fastapi import Request
from structlog.testing import capture_logs

from deploy.topics import admin
from services.console.api import message
from services.console.api.door import BODY_MAX
from services.console.api.message import Manner, Message, seconds_in
from services.console.api.problems import Problem
from shared.contract.intake import StateNeed
from tests.system import SHARDS

BECOMES_OWNED = (
    ("AssignOwner", {"owner": "person:anna"}),
    ("AcceptOwnership", {"by": "person:anna"}),
    ("Acknowledge", {"text": "We heard."}),
    ("StateNeed", {"need": "Dry bread."}),
    ("MakePromise", {"what": "A loaf.", "due_at": "2099-01-01T00:00:00Z"}),
    ("CompleteOwnership", {}),
)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (["wait=5"], 5),
        (["wait=0"], 0),
        (["wait=30"], 30),
        (["wait=31"], 30),
        (["wait=99999"], 30),
        (["wait=" + "9" * 10_000], 30),
        (["wait=" + "0" * 10_000 + "7"], 7),
        (["respond-async, WAIT = 5"], 5),
        (["respond-async", "wait=5"], 5),
        (["wait=5; strictly"], 5),
        (["wait=5, wait=10"], 5),
        (['handling="a, wait=9", wait=4'], 4),
        ([], None),
        ([""], None),
        (["respond-async"], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=soon"], None),
        (["wait=-5"], None),
        (["wait=5.5"], None),
        (["wait=5 s"], None),
        (['wait="5"'], None),
        (["wait=٥"], None),
        (["await=5"], None),
        (["wait=soon, wait=5"], None),
    ],
)
def test_a_preference_counts_as_rfc_7240_says(prefer, seconds):
    assert seconds_in(prefer) == seconds


def test_who_would_wait_too_long_is_told_how_long_was_waited(system):
    complaint = system.submit()
    with system.http() as client:
        headers = {"Prefer": "wait=99999"}
        answer = client.post(f"/api/complaints/{complaint}/commands", json={"command": "StartFix"}, headers=headers)
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (409, "wait=30")
        asked = {"command": "AssignOwner", "data": {"owner": "person:anna"}}
        answer = client.post(f"/api/complaints/{complaint}/commands", json=asked, headers=headers)
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=30")
        later = client.get(answer.headers["Location"], headers={"Prefer": "wait=7"})
        assert later.headers["Preference-Applied"] == "wait=7"


def test_a_preference_that_is_none_is_ignored(system):
    complaint = system.submit()
    with system.http() as client:
        asked = {"command": "AssignOwner", "data": {"owner": "person:anna"}}
        answer = client.post(f"/api/complaints/{complaint}/commands", json=asked, headers={"Prefer": "wait=soon"})
    assert answer.status_code in {200, 202}
    assert "Preference-Applied" not in answer.headers


def test_what_two_services_know_stays_what_it_was_when_it_is_asked_again_in_another_stage(system):
    complaint = system.submit(customer={"name": "Bo Li"})
    reply = {"command": "RecordReply", "data": {"text": "Saturday is fine."}}
    headers = {"Idempotency-Key": "saturday"}
    with system.http() as client:
        first = client.post(f"/api/complaints/{complaint}/commands", json=reply, headers=headers)
        for command, data in BECOMES_OWNED:
            assert system.ask(complaint, command, **data).status_code == 200, command
        system.until(complaint, stage="fix")
        again = client.post(f"/api/complaints/{complaint}/commands", json=reply, headers=headers)
        assert (again.status_code, again.json()) == (200, first.json())
        other = {"command": "RecordReply", "data": {"text": "Sunday is fine."}}
        assert client.post(f"/api/complaints/{complaint}/commands", json=other, headers=headers).status_code == 422
        types = [one["type"] for one in client.get(f"/api/complaints/{complaint}/history").json()["events"]]
    assert types.count("intake.ReplyReceived.v1") == 1
    assert "resolution.ReplyReceived.v1" not in types


# ---- Kafka -----------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def topic(system, **settings):
    """A topic of its own, with the settings that a test wants."""
    name = f"test-{uuid4().hex}"
    async with admin(system.stack.kafka) as client:
        await client.create_topics([NewTopic(name, SHARDS, 1, topic_configs=settings)])
        try:
            yield name
        finally:
            await client.delete_topics([name])


NOBODY_WRITES_HERE = "__consumer_offsets"
"""Kafka's own topic."""


def command_to(beside, where):
    request = Request({"type": "http", "app": beside.app, "headers": []})
    return Message(request, StateNeed(need="dry bread " * 100), uuid4(), Manner(key="mine"), topic=where)


async def test_what_kafka_finds_too_large_is_too_large_and_not_sent_again(system, beside):
    async with topic(system, **{"max.message.bytes": "600"}) as where:
        with capture_logs() as logged, pytest.raises(Problem) as caught:
            await command_to(beside, where).ask()
    assert (caught.value.status, caught.value.name, caught.value.more) == (413, "too_large", {"limit_bytes": BODY_MAX})
    assert logged == []


async def test_between_two_attempts_there_is_a_pause_and_the_key_is_given_to_ask_again(system, beside, monkeypatch):
    monkeypatch.setattr(message, "SEND_SECONDS", 2.0)
    with capture_logs() as logged, pytest.raises(Problem) as caught:
        await command_to(beside, NOBODY_WRITES_HERE).ask()
    assert 1 <= len([one for one in logged if one["event"] == "sending_again"]) <= 4
    assert (caught.value.status, caught.value.name) == (503, "not_taken")
    assert caught.value.headers == {"Idempotency-Key": "mine"}


# ---- PostgreSQL ------------------------------------------------------------------------------------------------------------


async def test_a_database_that_is_away_is_a_problem_that_says_what_to_do(beside):
    assert (await beside.http.get("/api/counts")).status_code == 200
    beside.database.cut()
    for path in ("/api/counts", "/api/complaints", f"/api/complaints/{uuid4()}", f"/api/commands/{uuid4()}", "/complaints"):
        answer = await beside.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), path
        assert "PostgreSQL does not answer" in answer.json()["detail"]
    page = await beside.http.get("/complaints", headers={"Accept": "text/html"})
    assert (page.status_code, "PostgreSQL does not answer" in page.text) == (503, True)


@pytest.mark.parametrize("key", ["mine", None])
async def test_whoever_asked_when_the_database_went_away_can_ask_again_with_the_same_key(beside, key):
    beside.database.cut()
    told = {"source": "shop", "ref": uuid4().hex, "narrative": "The bread was wet."}
    answer = await beside.http.post("/api/complaints", json=told, headers={"Idempotency-Key": key} if key else {})
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["key"] == answer.headers["Idempotency-Key"]
    assert key in {None, answer.json()["key"]}
    assert "same Idempotency-Key: nothing happens twice" in answer.json()["detail"]


async def test_a_database_that_goes_away_while_somebody_waits_leaves_them_no_longer_than_they_would(system, beside):
    complaint = system.submit()
    beside.app.state.answers._find = _never  # the projection is not there yet
    began = time.monotonic()
    asked = {"command": "AssignOwner", "data": {"owner": "person:anna"}}
    answer = await beside.http.post(f"/api/complaints/{complaint}/commands", json=asked, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert time.monotonic() - began < 5


async def _never(_):
    return []


async def test_what_we_did_wrong_is_a_problem_too(beside):
    beside.app.state.generation = None
    beside.app.state.pool = None
    answer = await beside.http.get("/api/counts")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "log" in answer.json()["detail"]


async def test_before_there_is_a_database_every_page_says_so(beside):
    del beside.app.state.answers
    for path in ("/", "/complaints", "/api/counts", f"/api/commands/{uuid4()}"):
        answer = await beside.http.get(path)
        assert (answer.status_code, answer.json()["title"]) == (503, "not ready"), path
