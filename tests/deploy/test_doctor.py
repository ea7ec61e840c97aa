"""What a doctor says of what it has seen. Nothing runs here: each thing that can be wrong is made so in what was seen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy.database import Installation
from deploy.doctor.judging import judge
from deploy.doctor.seen import NOT_INSTALLED, Behind, DatabaseSeen, KafkaSeen, Level, Seen
from deploy.doctor.words import shards_in_words
from deploy.status import Status
from deploy.topics import TOPICS, topics_with
from shared.contract.envelope import SERVICES, SUBMISSIONS
from shared.machine.head import Head

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SHARDS = 2
IDS = {topic: f"id-of-{topic}" for topic in TOPICS}
OWN = "complaints.submissions.shop"
EVENTS, COMMANDS = "intake.events", "intake.commands"


READ = {
    "intake": (SUBMISSIONS, COMMANDS, "resolution.events"),
    "resolution": ("resolution.commands", EVENTS),
    "rootcause": ("rootcause.commands", EVENTS, "resolution.events"),
}


def head(service, shard, **told):
    offsets = dict.fromkeys(READ[service], 10)
    return Head(
        shard, position=10, now=NOW, policy="digest", offsets=offsets, incarnations={topic: IDS[topic] for topic in offsets}, **told
    )


KAFKA = KafkaSeen(
    "cluster", dict.fromkeys(TOPICS, SHARDS), IDS, {(topic, shard): (0, 10) for topic in TOPICS for shard in range(SHARDS)},
    {topic: {**settings, "segment.bytes": "1"} for topic, settings in TOPICS.items()},
)  # fmt: skip
EVERYWHERE = [(service, shard) for service in SERVICES for shard in range(SHARDS)]
DATABASE = DatabaseSeen(
    Installation("g1", "default", SHARDS, "cluster"), {service: [head(service, shard) for shard in range(SHARDS)] for service in SERVICES},
    dict.fromkeys(EVERYWHERE, Behind(10, None)), dict.fromkeys(EVERYWHERE, Behind(10, None)), {service: {} for service in SERVICES},
    {"digest": "default, version 1"},
    {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on", "server_version": "18.4"}, NOW,
    timedelta(milliseconds=2), dict.fromkeys((*SERVICES, "console"), ""),
)  # fmt: skip
PART = {"name": "intake", "state": "ready", "restarts": 0, "log": "/home/logs/intake.log"}
SERVICE = {"service": "intake", "ready": True, "waits": None, "shards": SHARDS, "behind": {"records": 0, "seconds": 0.0}, "troubles": {}}
WELL = Seen(
    "/home", False, Status("/home", "running", parts=[PART], services=[SERVICE]), KAFKA, "", DATABASE, "", 50 * 2**30, 100 * 2**30, "1", "1"
)  # fmt: skip


def kafka(**told):
    return replace(WELL, kafka=replace(KAFKA, **told))


def database(**told):
    return replace(WELL, database=replace(DATABASE, **told))


def heads(**told):
    return database(heads={**DATABASE.heads, "intake": [replace(head("intake", 0), **told), head("intake", 1)]})


def status(**told):
    return replace(WELL, status=replace(WELL.status, **told))


def late(readers, service, shard):
    return database(**{readers: {**getattr(DATABASE, readers), (service, shard): LATE}})


def postgres(**told):
    return database(settings={**DATABASE.settings, **told})


def unready(**told):
    return status(services=[{**SERVICE, "ready": False, **told}])


def ranges(place, beginning, end):
    return {**KAFKA.ranges, place: (beginning, end)}


def only_wrong(seen):
    found = [finding for finding in judge(seen) if finding.level is Level.WRONG]
    assert len(found) == 1, found
    assert found[0].do, "what is wrong comes with what to do"
    return found[0]


def test_of_what_is_well_nothing_is_said_to_be_wrong():
    findings = judge(WELL)
    assert {finding.level for finding in findings} == {Level.FINE}
    assert {finding.about for finding in findings} == {
        "processes", "kafka", "topics", "topic ids", "offsets", "relay", "console", "parked", "policy", "clocks", "disk", "postgres",
    }  # fmt: skip


LATE = Behind(7, NOW - timedelta(seconds=60))
TROUBLE = {"0": {"cause": "clock", "what": "PostgreSQL's clock says otherwise"}}
WRONG = {
    "nothing runs": (status(phase="stopped", parts=[]), "processes", "nothing runs in /home"),
    "the last start failed": (status(phase="failed", failed="the last start failed: no jar"), "processes", "the last start failed: no jar"),
    "a part is down": (status(parts=[{**PART, "state": "waiting"}]), "processes", "intake is waiting"),
    "a service waits": (unready(waits="for PostgreSQL"), "processes", "it waits for PostgreSQL"),
    "a service is silent": (unready(silence="it does not answer at http://x"), "processes", "is not ready: it does not answer at http://x"),
    "nothing is installed": (replace(WELL, database=None, database_silence=NOT_INSTALLED), "postgres", "nothing is installed in it"),
    "a shard can't go on": (unready(troubles=TROUBLE), "shards", "intake, shard 0, can't go on (clock)"),
    "an old release runs": (replace(WELL, installed_release="2"), "release", "release 1 runs, 2 is installed"),
    "tables of another release": (database(migrations={"intake": "1 migrations are not applied yet"}), "release", "the tables of intake"),
    "Kafka is silent": (replace(WELL, kafka=None, kafka_silence="connection refused"), "kafka", "connection refused"),
    "PostgreSQL is silent": (replace(WELL, database=None, database_silence="connection refused"), "postgres", "connection refused"),
    "another cluster": (kafka(cluster_id="another"), "kafka", "this installation belongs to cluster, another answers"),
    "a topic is missing": (kafka(partitions={topic: SHARDS for topic in TOPICS if topic != "policies"}), "topics", "missing: policies"),
    "an upstream's topic is missing": (kafka(wanted=topics_with([SUBMISSIONS, OWN])), "topics", f"missing: {OWN}"),
    "a topic has other partitions": (kafka(partitions={**KAFKA.partitions, EVENTS: 7}), "topics", "intake.events has 7 partitions"),
    "events are not kept for ever": (
        kafka(configs={**KAFKA.configs, EVENTS: {**KAFKA.configs[EVENTS], "retention.ms": "1000"}}), "topics", "retention.ms=1000, not -1",
    ),
    "a topic of commands was made anew": (kafka(ids={**IDS, COMMANDS: "new"}), "topic ids", "intake.commands was deleted and made anew"),
    "a range is lost": (
        kafka(ranges=ranges((SUBMISSIONS, 1), 15, 20)), "offsets", "Kafka no longer has complaints.submissions/1 from offset 10 to 14",
    ),
    "a topic lost events": (kafka(ranges=ranges((EVENTS, 0), 4, 10)), "offsets", "intake.events, partition 0, has fewer events than"),
    "the database is older than its Kafka": (
        kafka(newest={("intake", 1): (11, b"another")}), "ledger", "Kafka has events of intake, shard 1, that its ledger has not",
    ),
    "the ledger has another event": (kafka(newest={("intake", 0): (10, b"another")}), "ledger", "events of intake, shard 0, that its"),
    "nobody is at work": (
        replace(kafka(members={"intake": 0, "console": 2}), outside=True), "processes", "no process of intake is at work: nothing of what",
    ),
    "the relay is behind": (late("relayed", "intake", 1), "relay", "events that intake, shard 1, decided 60 s ago"),
    "the console is behind": (late("placed", "rootcause", 0), "console", "rootcause, shard 0, decided 60 s ago"),
    "a mind failed": (database(parked={"intake": {"mind_failed": 1, "waiting": 3}}), "parked", "1 mind failed, 3 waiting"),
    "clocks differ": (database(clock_apart=timedelta(seconds=-40)), "clocks", "PostgreSQL's clock is 40 s behind"),
    "a shard's time is ahead": (heads(now=NOW + timedelta(hours=1)), "clocks", "time in intake, shard 0, is ahead"),
    "the disk is full": (replace(WELL, disk_free_bytes=2**20), "disk", "0.0 GiB of 100 GiB are free"),
    "fsync is off": (postgres(fsync="off"), "postgres", "fsync is off"),
    "commits are not waited for": (postgres(synchronous_commit="off"), "postgres", "synchronous_commit is off"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_what_to_do(case):
    seen, about, what = WRONG[case]
    finding = only_wrong(seen)
    assert finding.about == about
    assert what in finding.what


@pytest.mark.parametrize("told", [{"waits": "for PostgreSQL"}, {"silence": "it does not answer at http://x"}])
def test_of_servers_from_outside_no_log_is_named_that_is_not_there(told):
    seen = replace(unready(**told), outside=True)
    assert "/home/logs" not in "".join(one.what + one.do for one in judge(seen))


def test_while_the_topics_are_made_again_that_is_said_first_and_nothing_that_would_mislead():
    halfway = replace(DATABASE, installation=replace(DATABASE.installation, rebuilding=True))
    seen = replace(kafka(members=dict.fromkeys(SERVICES, 0), ids={**IDS, COMMANDS: "new"}, partitions={}), outside=True, database=halfway)
    finding = only_wrong(seen)
    assert judge(seen)[0] == finding
    assert finding.about == "rebuild"
    assert "stop the services everywhere" in finding.do
    assert "`makegood topics rebuild` goes on with it" in finding.do


def test_an_older_kafka_is_found_by_whoever_read_further():
    finding = only_wrong(kafka(ranges=ranges((COMMANDS, 0), 0, 4)))
    assert finding.what == "intake, shard 0, has read intake.commands/0 up to offset 10, but Kafka has it only up to 4"


LOST = {
    "made anew": kafka(ids={**IDS, COMMANDS: "new"}),
    "older": kafka(ranges=ranges((COMMANDS, 0), 0, 4)),
    "a lost range": kafka(ranges=ranges((SUBMISSIONS, 1), 15, 20)),
    "fewer events": kafka(ranges=ranges((EVENTS, 0), 4, 10)),
    "another cluster": kafka(cluster_id="another"),
}


@pytest.mark.parametrize("case", LOST)
def test_what_kafka_lost_is_set_right_by_one_command(case):
    assert "`makegood topics rebuild" in only_wrong(LOST[case]).do


def test_a_topic_of_events_that_was_made_anew_is_read_again_by_itself():
    new = kafka(ids={**IDS, "resolution.events": "new"})
    assert [one.about for one in judge(new) if one.level is Level.NOTE] == ["topic ids"] * 2, "intake and rootcause read it"
    assert not [one for one in judge(new) if one.level is Level.WRONG]


def test_a_shard_of_which_a_process_dies_again_and_again_is_named_unless_its_trouble_is_known():
    dying = heads(attempts=4, trying="intake.commands/0/3").database
    assert not [one for one in judge(replace(WELL, database=dying)) if one.level is Level.WRONG], "it has been idle since, and is ready"
    wrong = [one for one in judge(replace(unready(waits="for its shards"), database=dying)) if one.level is Level.WRONG]
    assert wrong[1].what == "intake has taken shard 0 over 4 times without finishing a batch, trying intake.commands/0/3"
    assert only_wrong(replace(unready(troubles=TROUBLE), database=dying)).what.startswith("intake, shard 0, can't go on (clock)")


def test_a_wrong_cluster_makes_no_other_findings_about_its_topics_offsets():
    seen = replace(kafka(cluster_id="another", ranges={}, ids={}), database=DATABASE)
    assert only_wrong(seen).about == "kafka"


NOTES = {
    "records that could not be read": (database(parked={"intake": {"undecodable": 2}}), "parked", "2 undecodable"),
    "another policy in some shards": (heads(policy="another digest"), "policy", "not the same in every shard"),
    "a service has more to do than it can": (
        status(services=[{**SERVICE, "behind": {"records": 4321, "seconds": 34.2}}]),
        "lag",
        "intake is busy: 4,321 records wait, the oldest for 34 s",
    ),
    "a part was started again": (status(parts=[{**PART, "restarts": 2}]), "processes", "intake (2)"),
    "no checksums": (postgres(data_checksums="off"), "postgres", "data checksums are off"),
}


@pytest.mark.parametrize("case", NOTES)
def test_what_is_only_worth_knowing_is_no_fault(case):
    seen, about, what = NOTES[case]
    assert not [one for one in judge(seen) if one.level is Level.WRONG]
    [note] = [one for one in judge(seen) if one.level is Level.NOTE]
    assert note.about == about
    assert what in note.what


def test_a_ledger_that_has_what_kafka_has_of_it_or_more_is_well():
    for last in ((10, head("intake", 0).hash), (9, b"another"), (1, b"another")):
        assert not [one for one in judge(kafka(newest={("intake", 0): last})) if one.level is Level.WRONG]


def test_who_is_at_work_on_servers_from_outside_is_counted():
    seen = replace(kafka(members={"intake": 2, "console": 1}), outside=True)
    [note] = [one for one in judge(seen) if one.level is Level.NOTE]
    assert note.what.endswith("at work on them are 2 of intake, 1 of console")


def test_what_waits_is_counted_where_nothing_was_read_yet_too():
    unread = heads(offsets={SUBMISSIONS: 10}).database
    [offsets] = [one for one in judge(replace(WELL, database=unread)) if one.about == "offsets"]
    assert "; up to 20 records wait" in offsets.what, "the commands and the events that the other shard reads"


def test_a_moments_delay_is_no_fault():
    fresh = Behind(9, NOW - timedelta(seconds=2))
    assert not [one for one in judge(database(relayed={**DATABASE.relayed, ("intake", 0): fresh})) if one.level is not Level.FINE]


def test_shards_are_told_of_in_words():
    said = {(3,): "shard 3", (4, 3): "shards 3 and 4", (0, 1, 2): "shards 0 to 2", (0, 3, 5, 6, 7): "shards 0, 3 and 5 to 7"}
    assert {shards: shards_in_words(shards) for shards in said} == said
