"""A parked input, settled over HTTP: asked, answered and refused as every command is."""

import asyncio
import json
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from shared.contract.envelope import SUBMISSIONS, complaint_id
from tests.shared.machine.live import until
from tests.system import SHARDS


@pytest.fixture
def ref():
    return uuid4().hex


@pytest.fixture
def parked(system, ref):
    """The address of an input that can't be read."""
    return asyncio.run(_parked(system, ref))


async def _parked(system, ref):
    async with AIOKafkaProducer(bootstrap_servers=system.stack.kafka) as producer:
        headers = [("ce_id", ref.encode()), ("ce_source", b"/tests")]
        body = json.dumps({"source": "shop", "ref": ref, "narative": "wet"}).encode()
        await producer.send_and_wait(SUBMISSIONS, body, partition=1, headers=headers)
    connection = await asyncpg.connect(system.stack.owner_dsn)
    try:
        place = "SELECT 'intake/' || shard || '/' || entry FROM intake.journal WHERE message_id = $1 AND outcome = 'parked'"
        return f"/api/parked/{await until(lambda: connection.fetchval(place, ref))}"
    finally:
        await connection.close()


def types(answer):
    return [event["type"] for event in answer.json()["events"]]


def test_a_retry_with_another_body_makes_the_complaint_and_asked_again_is_the_same_message(system, parked, ref):
    asked = {"reason": "a typing error", "body": json.dumps({"source": "shop", "ref": ref, "narrative": "The bread was wet."})}
    with system.http() as client:
        first, again = (client.post(f"{parked}/retry", json=asked, headers={"Idempotency-Key": "once"}) for _ in range(2))
        assert (first.status_code, types(first)) == (200, ["machine.ParkedRetried.v1"]), first.text
        assert again.json() == first.json() == client.get(first.json()["url"]).json()
        assert first.json()["events"][0]["actor"] == "person:anna"
        assert client.post(f"{parked}/discard", json={"reason": "x"}, headers={"Idempotency-Key": "once"}).status_code == 422
        settled = client.post(f"{parked}/retry", json=asked)
    assert system.until(complaint_id("shop", ref), stage="own")["summary"] == "The bread was wet."
    assert (settled.status_code, settled.json()["rule"]) == (409, "not_parked")


def test_what_is_given_up_is_parked_no_more(system, parked):
    with system.http() as client:
        done = client.post(f"{parked}/discard", json={"reason": "a test of the upstream's"})
        assert (done.status_code, types(done)) == (200, ["machine.ParkedDiscarded.v1"]), done.text
        assert client.post(f"{parked}/discard", json={"reason": "twice"}).json()["rule"] == "not_parked"


def test_a_person_answers_for_it(system, parked):
    with system.http(actor="system:cron") as client:
        refused = client.post(f"{parked}/discard", json={"reason": "x"})
    assert (refused.status_code, refused.json()["rule"]) == (409, "person_needed")


@pytest.mark.parametrize(
    ("place", "body", "status", "says"),
    [
        ("intake/0/1/retry", {}, 422, "reason is missing"),
        ("intake/0/1/retry", {"reason": "x", "entry": 2}, 422, "entry: which input is meant stands in the address"),
        ("intake/0/1/discard", {"reason": "x", "body": "{}"}, 422, "body"),
        (
            f"intake/{SHARDS}/1/retry",
            {"reason": "x"},
            404,
            f"there is no shard {SHARDS}: this installation has the shards 0 to {SHARDS - 1}",
        ),
        ("kitchen/0/1/retry", {"reason": "x"}, 422, "service must be one of"),
        ("intake/0/0/retry", {"reason": "x"}, 422, "entry"),
        ("intake/0/999999/retry", {"reason": "x"}, 409, "Nothing is parked under entry 999999 of shard 0"),
    ],
)
def test_what_makes_no_sense_is_said_to_be_so(system, place, body, status, says):
    with system.http() as client:
        answer = client.post(f"/api/parked/{place}", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]
