"""The checks of chaos find what they are for: each is tried against an installation to which just that was done."""

from uuid import UUID

import pytest

from shared.contract.envelope import commands_topic, events_topic
from tests.faults.chaos import checks, topics
from tests.faults.chaos.asking import Answers
from tests.faults.chaos.load import Acknowledged
from tests.faults.chaos.plan import Asked
from tests.shared.machine.live import STREAMS, Live, adds, everything, is_so, producing, until
from tests.shared.machine.tally import Add

TOPICS = (commands_topic("intake"), events_topic("intake"))
A_ROW = "(SELECT min(entry) FROM intake.journal WHERE shard = 0 AND topic <> '')"

TOLD = 6
"""So many requests."""
A_REQUEST = "(SELECT shard, entry FROM intake.journal WHERE position('ledger-shard'::bytea IN headers) > 0 LIMIT 1)"
FIRED_AGAIN = """
INSERT INTO intake.journal
SELECT shard, entry + 100000, topic, partition, "offset", until, message_id, type, kind, stream, key, headers, body, sent_ms, now, policy,
       rules, outcome, reason, refers, first_position, events, received_at, hash
FROM intake.journal WHERE type = 'machine.TimerDue.v1'
"""


@pytest.fixture
async def done(servers):
    """An installation where something was done, all of it well, and nobody is at work any more."""
    live = Live(await servers.fresh_installation())
    await live.start()
    await live.ready()
    await live.send(*adds(80), (Add(number=1, wake_in_seconds=0.2), STREAMS[0]))
    await live.send(*((Add(number=2, then_tell=STREAMS[n + 1]), STREAMS[n]) for n in range(TOLD)))
    await until(lambda: is_so(live.events("intake.Added.v1"), 81 + 2 * TOLD))
    await until(lambda: is_so(live.events("intake.Woken.v1"), 1))
    await until(live.relayed)
    await live.stop()
    return live


async def found(live, *done_to_it):
    """What all checks say, after these statements."""
    kafka = live.installation.kafka
    sent = [
        Acknowledged(record.topic, record.partition, record.offset, record.value, "")
        for record in await everything(kafka, commands_topic("intake"), live.shards)
    ]
    owner = await live.owner()
    try:
        for statement in done_to_it:
            await owner.execute(statement)
        return [
            *await checks.journalled(owner, await topics.ends(kafka, TOPICS), services=("intake",)),
            *await checks.kept(owner, sent),
            *await checks.timers(owner),
            *await checks.deserved(owner),
            *await topics.relayed(owner, kafka),
        ]
    finally:
        await owner.close()


async def test_of_what_is_well_nothing_is_said(done):
    assert await found(done) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"DELETE FROM intake.journal WHERE shard = 0 AND entry = {A_ROW}", "not journalled exactly once"),
        (f"UPDATE intake.journal SET body = 'another' WHERE shard = 0 AND entry = {A_ROW}", "an acknowledged record that its journal"),
        ("UPDATE intake.journal SET now = now - interval '1 day' WHERE type = 'machine.TimerDue.v1'", "fired early"),
        (FIRED_AGAIN, "fired more than once"),
        ("UPDATE intake.ledger SET body = 'another' WHERE shard = 0 AND position = 2", "another position 2 than the ledger"),
        ("DELETE FROM intake.ledger WHERE shard = 0 AND position = 2", "a fault of intake.events/0"),
        (f"UPDATE intake.journal SET outcome = 'parked', reason = 'process_died' WHERE shard = 0 AND entry = {A_ROW}", "not deserve"),
        (f"DELETE FROM intake.journal WHERE (shard, entry) = {A_REQUEST}", "that was not taken in once"),
    ],
)  # fmt: skip
async def test_what_is_not_as_it_must_be_is_found(done, statement, words):
    assert words in " ".join(await found(done, statement))


async def test_a_record_on_an_events_topic_that_is_no_event_is_found(done):
    topic = events_topic("intake")
    records = [one for one in await everything(done.installation.kafka, topic, done.shards) if one.partition == 0]
    async with producing(done.installation.kafka) as producer:
        await producer.send(topic, records[-1].value, key=records[-1].key, partition=0, headers=[*records[-1].headers][:-1])
        await producer.flush()
    assert "is no event" in " ".join(await found(done))


def test_a_request_that_came_before_an_earlier_one_is_found():
    first, later = (f"g1/intake/1/{position}" for position in (3, 5))
    told = [(0, later, b""), (0, first, b""), (1, first, b""), (0, later, b""), (0, "m1", b"")]
    assert list(topics._disordered("intake", told)) == [f"{first} on partition 0"]


async def test_a_complaint_that_was_told_is_received_once(done):
    owner = await done.owner()
    try:
        assert await checks.received(owner, []) == []
        assert "never received" in " ".join(await checks.received(owner, [STREAMS[0]]))
        await owner.execute("UPDATE intake.ledger SET type = 'intake.ComplaintReceived.v1' WHERE stream = $1", STREAMS[0])
        assert "received more than once" in " ".join(await checks.received(owner, [STREAMS[0]]))
    finally:
        await owner.close()


async def test_an_invariant_that_is_broken_is_found(done):
    owner = await done.owner()
    try:
        await owner.execute("DELETE FROM intake.ledger WHERE type NOT LIKE 'machine.%' AND stream <> $1", STREAMS[0])
        await owner.execute(
            "UPDATE intake.ledger SET kind = 'complaint', type = 'intake.OwnerAssigned.v1', body = '{\"owner\":\"person:anna\"}'"
            " WHERE type NOT LIKE 'machine.%'"
        )
        assert "does not hold" in " ".join(await checks.lived(owner))
    finally:
        await owner.close()


def answers(done, *told):
    return Answers(Asked("/api/x", {}, "person:anna", STREAMS[0], "key", impatient=False), list(told), set(), 1, sent=True)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "never had an answer"),
        ([("refused", "closed", ())], "a refusal that the ledger does not bear out"),
        ([("parked", "", ())], "an answer that the journal does not bear out"),
        ([("accepted", "", ()), ("refused", "closed", ())], "answered otherwise when it was made again"),
        ([("accepted", "", ("g1/intake/0/99999",))], "events that were told and are not in the ledger"),
    ],
)  # fmt: skip
async def test_what_was_told_and_is_not_so_is_found(done, told, words):
    said = answers(done, *told)
    owner = await done.owner()
    await owner.execute(f"UPDATE intake.journal SET message_id = $1 WHERE shard = 0 AND entry = {A_ROW}", str(said.message_id))
    try:
        assert await checks.answered(owner, [answers(done, ("accepted", "", ()))]) == []
        assert words in " ".join(await checks.answered(owner, [said]))
        said.ids.add(str(UUID(int=7)))
        assert "answered under other ids" in " ".join(await checks.answered(owner, [said]))
    finally:
        await owner.close()
