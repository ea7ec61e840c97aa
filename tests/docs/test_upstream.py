"""What the page for upstream systems says is so: its examples run as they stand there, and answers are found as it tells."""

import asyncio
import json
import shutil
import sys
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.contract.envelope import SUBMISSIONS, complaint_id, shard_of, text_headers
from tests.docs.pages import blocks, environment, in_shell, run
from tests.system import SHARDS

PAGE = "docs/upstream.md"
SETS, KCAT, FILES = blocks(PAGE, "sh")
SENDS, KEYS = blocks(PAGE, "python")


def test_the_address_of_kafka_is_found_as_the_page_says(system):
    assert in_shell(f"{SETS}\necho $KAFKA", environment(system)).strip() == system.stack.kafka


def test_the_example_in_python_sends_a_complaint_and_finds_its_answer(system):
    env = environment(system, KAFKA=system.stack.kafka)
    assert run([sys.executable, "-c", SENDS], env).split() == ["intake.ComplaintReceived.v1", str(complaint_id("shop", "T-1"))]
    assert run([sys.executable, "-c", SENDS], env).split()[0] == "machine.MessageRepeated.v1"


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed here")
def test_the_example_with_kcat_sends_a_complaint_and_finds_its_answer(system):
    assert "ce_type=intake.ComplaintReceived.v1" in in_shell(KCAT, environment(system, KAFKA=system.stack.kafka))


def test_the_id_of_a_complaint_is_derived_as_the_page_says():
    found = {"source": "shop", "ref": "4711"}
    exec(KEYS, found)
    assert found["complaint_id"] == complaint_id("shop", "4711")


def test_the_example_with_a_file_runs(system):
    in_shell(f"PATH=.venv/bin:$PATH\n{FILES}", environment(system))


async def told(system, body, *, key=None, partition=None, headers=()):
    """Where a record of an upstream's lies."""
    async with AIOKafkaProducer(bootstrap_servers=system.stack.kafka) as producer:
        record = await producer.send_and_wait(SUBMISSIONS, body, key=key, partition=partition, headers=list(headers))
    return f"{record.topic}/{record.partition}/{record.offset}"


async def caused(system, cause):
    """The events that a message led to, the first of them at least: type, id, and body."""
    consumer = AIOKafkaConsumer("intake.events", bootstrap_servers=system.stack.kafka, auto_offset_reset="earliest")
    async with asyncio.timeout(20), consumer:
        async for record in consumer:
            headers = text_headers(record.headers)
            if headers.get("ce_causationid") == cause:
                return headers, json.loads(record.value)
    raise AssertionError


async def test_without_an_id_the_answer_is_found_in_two_steps(system):
    ref = uuid4().hex
    ident = complaint_id("shop", ref)
    body = json.dumps({"source": "shop", "ref": ref, "narrative": "wet"}).encode()
    elsewhere = (shard_of(ident, SHARDS) + 1) % SHARDS
    first, same = await caused(system, await told(system, body, partition=elsewhere))
    assert first["ce_type"] == "intake.SubmitComplaintRequested.v1"
    assert (same, first["ce_target"]) == (json.loads(body), str(ident))
    second, _ = await caused(system, first["ce_id"])
    assert (second["ce_type"], second["ce_subject"]) == ("intake.ComplaintReceived.v1", str(ident))
    at_home, _ = await caused(system, await told(system, body, partition=shard_of(ident, SHARDS)))
    assert at_home["ce_type"] == "intake.SubmissionRepeated.v1", "where it lies with its complaint, in one step"


async def test_another_body_under_the_same_id_is_refused_by_its_name(system):
    ref, ident = uuid4().hex, uuid4().hex
    headers = [("ce_id", ident.encode()), ("ce_source", b"/shop")]
    for text in ("wet", "dry"):
        body = json.dumps({"source": "shop", "ref": ref, "narrative": text}).encode()
        await told(system, body, partition=shard_of(complaint_id("shop", ref), SHARDS), headers=headers)
    rules = []
    consumer = AIOKafkaConsumer("intake.events", bootstrap_servers=system.stack.kafka, auto_offset_reset="earliest")
    async with asyncio.timeout(20), consumer:
        async for record in consumer:
            found = text_headers(record.headers)
            if found.get("ce_causationid") == ident:
                rules.append(json.loads(record.value).get("rule", found["ce_type"]))
            if len(rules) == 2:
                break
    assert rules == ["intake.ComplaintReceived.v1", "message_id_conflict"]


async def test_an_update_is_counted_as_a_repeat_and_changes_nothing_that_is_shown(system):
    ref = uuid4().hex
    ident = await asyncio.to_thread(system.submit, ref=ref, product="bread", upstream_version="1")
    before = await asyncio.to_thread(system.until, ident, repeats=0)
    newer = {"source": "shop", "ref": ref, "narrative": "Now it is dry.", "product": "cake", "upstream_version": "2"}
    _, answer = await caused(system, await told(system, json.dumps(newer).encode(), partition=shard_of(ident, SHARDS)))
    assert answer["update"] is True
    after = await asyncio.to_thread(system.until, ident, repeats=1)
    moved = {name for name in before if before[name] != after[name]}
    assert moved == {"repeats", "events", "updated_at"}
