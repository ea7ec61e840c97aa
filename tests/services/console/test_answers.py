"""Whose answer it is: whoever waits is woken by themselves, and nobody else's input is taken for theirs."""

import asyncio
from uuid import uuid4, uuid5

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from services.console.projections.outcomes import CHANNEL
from shared.contract.envelope import NAMESPACE, SUBMISSIONS, command_headers, complaint_id, key_of, shard_of
from shared.contract.intake import SubmitComplaint
from tests.system import SHARDS


async def waits(beside, message_id, seconds):
    return await beside.http.get(f"/api/commands/{message_id}", headers={"Prefer": f"wait={seconds}"})


async def test_everybody_who_waits_for_a_message_is_woken_though_another_has_left(system, beside):
    message_id, stream = uuid4(), uuid4()
    owner = await asyncpg.connect(system.stack.owner_dsn, server_settings={"search_path": "console"})
    try:
        await owner.execute("INSERT INTO asked VALUES ($1, '', 'person:anna', 'intake.AssignOwner.v1', $2)", message_id, stream)
        patient = asyncio.create_task(waits(beside, message_id, 30))
        assert (await waits(beside, message_id, 1)).status_code == 202
        columns = "message_id, service, shard, first, last, stream, outcome, cause, came"
        await owner.execute(f"INSERT INTO outcomes ({columns}) VALUES ($1, 'intake', 0, 1, 1, $2, 'accepted', '', 1)", message_id, stream)
        await owner.execute("SELECT pg_notify($1, '')", CHANNEL)
        assert (await asyncio.wait_for(patient, 5)).status_code == 200
    finally:
        await owner.execute("DELETE FROM outcomes WHERE message_id = $1", message_id)
        await owner.execute("DELETE FROM asked WHERE message_id = $1", message_id)
        await owner.close()


async def test_two_who_ask_the_same_thing_at_once_get_the_same_answer(system, beside):
    complaint = await asyncio.to_thread(system.submit)
    asked = {"command": "AssignOwner", "data": {"owner": "person:anna"}}
    headers = {"Idempotency-Key": "once", "Prefer": "wait=20"}
    both = [beside.http.post(f"/api/complaints/{complaint}/commands", json=asked, headers=headers) for _ in range(2)]
    first, second = await asyncio.gather(*both)
    assert (first.status_code, first.json()) == (200, second.json())


def elsewhere_in(shard):
    """The reference of another complaint of the same shard."""
    return next(ref for ref in iter(lambda: uuid4().hex, "") if shard_of(complaint_id("mail", ref), SHARDS) == shard)


async def submits_under(system, message_id, shard):
    """An upstream submits a complaint of the same shard under an id that is not its own; waits until it is known."""
    ref = elsewhere_in(shard)
    told = SubmitComplaint(source="mail", ref=ref, narrative="It was late.")
    stream = complaint_id("mail", ref)
    producer = AIOKafkaProducer(bootstrap_servers=system.stack.kafka)
    await producer.start()
    try:
        headers = command_headers(
            told.type, str(message_id), stream=stream, source="/mail", actor="source:mail", sent_at="2026-03-03T09:00:00Z"
        )
        await producer.send_and_wait(SUBMISSIONS, told.to_bytes(), key=key_of(stream), partition=shard, headers=headers)
    finally:
        await producer.stop()
    await asyncio.to_thread(system.until, stream, source="mail")
    return stream


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
async def test_an_upstream_that_uses_an_id_of_ours_adds_nothing_to_our_answer(system, beside, first):
    complaint, key = await asyncio.to_thread(system.submit), uuid4().hex
    shard = shard_of(complaint, SHARDS)
    message_id = uuid5(NAMESPACE, "\x1f".join(("default", "person:operator", "POST", str(complaint), key)))
    if first:
        await submits_under(system, message_id, shard)
    asked = {"command": "AssignOwner", "data": {"owner": "person:anna"}}
    headers = {"Idempotency-Key": key, "Prefer": "wait=20"}
    answer = (await beside.http.post(f"/api/complaints/{complaint}/commands", json=asked, headers=headers)).json()
    if not first:
        await submits_under(system, message_id, shard)
    later = (await beside.http.get(f"/api/commands/{message_id}")).json()
    assert answer["message_id"] == str(message_id)
    for one in (answer, later):
        assert [event["type"] for event in one["events"]] == ["intake.OwnerAssigned.v1"]
        assert {event["stream"] for event in one["events"]} == {str(complaint)}
