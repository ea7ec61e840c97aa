"""trace, follow, parked, status, doctor: what they show of a running system."""

import asyncio
import base64
import json
from pkgutil import resolve_name
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from deploy.cli import settling, trace
from deploy.cli.exits import Exit
from deploy.cli.hops import HOPS, MINDS, code_of
from deploy.database import connected
from deploy.status import Status, why_unready, without_password
from deploy.traces import export
from shared.contract.envelope import SUBMISSIONS, command_headers, complaint_id, key_of, shard_of
from shared.contract.intake import AssignOwner
from shared.machine.bytes import span_id
from tests.deploy.cli.conftest import exported
from tests.shared.machine.live import until
from tests.system import SHARDS

NAMES = ["record", "decode", "lock head", "decide", "evolve", "append", "commit", "relay", "project", "page"]


# ---- trace -----------------------------------------------------------------------------------------------------------------


def test_a_trace_is_one_tree_for_each_thing_that_was_asked(cli, walked):
    told = cli("complaint", "trace", walked, "--json").json
    spans = {span["span_id"]: span for span in told["spans"]}
    assert told["trace_id"] == walked.hex
    assert {span["trace_id"] for span in spans.values()} == {walked.hex}
    roots = [span["name"] for span in spans.values() if not span["parent_id"]]
    assert roots[:3] == ["intake SubmitComplaint", "resolution StartFix", "intake AssignOwner"]
    assert all(span["parent_id"] in spans for span in spans.values() if span["parent_id"])


def test_another_services_input_lies_beneath_the_event_that_it_heard(cli, walked):
    spans = {span["span_id"]: span for span in cli("complaint", "trace", walked, "--json").json["spans"]}
    [heard] = [span for span in spans.values() if span["name"] == "resolution hears ComplaintOwned"]
    owned = spans[heard["parent_id"]]
    assert owned["name"] == "intake ComplaintOwned"
    assert owned["span_id"] == span_id(owned["attributes"]["makegood.event.id"])
    assert spans[owned["parent_id"]]["name"] == "intake CompleteOwnership"


def test_a_span_of_an_input_has_its_times_in_order_and_none_of_its_words(cli, walked):
    told = cli("complaint", "trace", walked, "--json")
    for span in told.json["spans"]:
        if span["kind"] == "consumer":
            assert list(span["times"]) in (["sent", "received", "decided", "relayed"], ["sent", "received", "decided"])
            assert list(span["times"].values()) == sorted(span["times"].values())
        assert span["started_at"] <= span["ended_at"]
    assert "wet" not in told.out
    assert "Bo Li" not in told.out


def test_the_upstreams_own_trace_is_linked(cli, system):
    ident = system.submit()
    with system.http() as client:
        headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
        client.post(f"/api/complaints/{ident}/commands", json={"command": "StateNeed", "data": {"need": "dry"}}, headers=headers)
    [span] = [one for one in cli("complaint", "trace", ident, "--json").json["spans"] if one["name"] == "intake StateNeed"]
    assert (span["parent_id"], span["links"]) == ("", [{"trace_id": "ab" * 16, "span_id": "cd" * 8}])


def test_a_trace_is_drawn_with_what_was_refused(cli, walked):
    done = cli("complaint", "trace", walked)
    assert done.code == Exit.DONE
    assert "StartFix ✗ no_fix_before_ownership" in done.out
    assert "  hears ComplaintOwned → CaseOpened" in done.out
    assert "█" in done.out


@pytest.fixture(scope="module")
async def passed_on(system):
    """A complaint that came without an id to a shard where it does not lie, and the place of its record."""
    ref = uuid4().hex
    ident = complaint_id("shop", ref)
    elsewhere = (shard_of(ident, SHARDS) + 1) % SHARDS
    async with AIOKafkaProducer(bootstrap_servers=system.stack.kafka) as producer:
        body = json.dumps({"source": "shop", "ref": ref, "narrative": "The bread was wet."}).encode()
        record = await producer.send_and_wait(SUBMISSIONS, body, partition=elsewhere)
    await asyncio.to_thread(system.until, ident, ref=ref)
    return ident, (SUBMISSIONS, elsewhere, record.offset)


def test_what_was_passed_on_is_drawn_as_no_failure(cli, passed_on):
    ident, _ = passed_on
    lines = cli("complaint", "trace", ident).out.splitlines()
    assert "  intake     SubmitComplaint → passed on to its own shard" in lines[1]
    assert "  intake       SubmitComplaint → ComplaintReceived" in lines[2]
    assert "✗" not in "".join(lines)


def test_every_span_is_exported_once_and_an_export_goes_on_from_its_place(cli, system, walked, collector, tmp_path):
    address, taken = collector
    place = ["--place", tmp_path / "place.json"]
    assert cli("trace", "export", "--to", address, *place).code == Exit.DONE
    mine = {span.span_id.hex(): (service, span) for service, span in exported(taken) if span.trace_id.hex() == walked.hex}
    shown = {span["span_id"]: span for span in cli("complaint", "trace", walked, "--json").json["spans"]}
    assert mine.keys() <= shown.keys()
    assert len(mine) > len(shown) - 5, "at most the last is not relayed yet"
    for ident, (service, span) in mine.items():
        assert (service, span.name, span.parent_span_id.hex()) == (
            shown[ident]["service"], shown[ident]["name"], shown[ident]["parent_id"],
        )  # fmt: skip
    assert len(exported(taken)) == len({span.span_id for _, span in exported(taken)})

    before = len(exported(taken))
    fresh = system.submit()
    for _ in range(50):  # the relay notes its place now and then
        assert cli("trace", "export", "--to", address, *place).code == Exit.DONE
        later = exported(taken)[before:]
        if fresh.hex in {span.trace_id.hex() for _, span in later}:
            break
    assert {span.name for _, span in later if span.trace_id.hex() == fresh.hex} == {"intake SubmitComplaint", "intake ComplaintReceived"}
    assert len(later) < before


async def test_an_export_that_follows_waits_for_whoever_keeps_traces(system, walked, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LOOK_EVERY_SECONDS", 0.01)
    taken, tries = asyncio.Event(), []

    class Away:
        def send(self, spans):
            tries.append([span.span_id for span in spans])
            if len(tries) < 3:
                raise export.NotTaken("nobody is there")
            loop.call_soon_threadsafe(taken.set)

    loop = asyncio.get_running_loop()
    async with connected(system.stack.owner_dsn) as connection:
        one = export.Export(connection, "g1", SHARDS, export.Place(tmp_path / "place.json"), Away())
        with pytest.raises(export.NotTaken):
            await one.run(follow=False, tell=lambda _: None)
        following = asyncio.create_task(one.run(follow=True, tell=lambda _: None))
        await asyncio.wait_for(taken.wait(), 10)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert tries[0] == tries[1] == tries[2], "what was not taken is sent again"


async def test_an_export_that_follows_goes_on_when_its_session_was_ended(system, walked, collector, tmp_path, monkeypatch):
    monkeypatch.setattr(trace, "AGAIN_SECONDS", 0.01)
    address, taken = collector
    place = export.Place(tmp_path / "place.json")
    following = asyncio.create_task(trace._export(system.stack, place, address, follow=True))
    ended = 0
    while not taken or ended < 3:
        assert not following.done(), following
        await asyncio.sleep(0.2)
        if taken:
            async with connected(system.stack.owner_dsn) as connection:
                ended += await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name = 'makegood cli' AND pid <> pg_backend_pid() AND datname = current_database()"
                )
    before = len(exported(taken))
    fresh = await asyncio.to_thread(system.submit)
    async with asyncio.timeout(20):
        while fresh.hex not in {span.trace_id.hex() for _, span in exported(taken)[before:]}:
            assert not following.done(), following
            await asyncio.sleep(0.1)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def test_an_export_needs_somewhere_to_go_and_a_place_that_is_one(cli, tmp_path):
    assert cli("trace", "export").code == Exit.USAGE
    wrong = tmp_path / "place.json"
    wrong.write_text('["no place"]')
    done = cli("trace", "export", "--to", "http://127.0.0.1:1/", "--place", wrong)
    assert (done.code, "Remove it to send everything again" in done.err) == (Exit.FAILED, True)


# ---- follow ----------------------------------------------------------------------------------------------------------------


def test_the_hops_are_the_ten_of_the_architecture_and_their_code_is_there():
    assert [hop.name for hop in HOPS] == NAMES
    for hop in HOPS:
        for kind in (*MINDS, "shard"):
            assert callable(resolve_name(code_of(hop, kind)))


def test_a_complaint_is_followed_from_its_record_to_its_page(cli, system, walked):
    told = cli("follow", walked, "--json").json
    assert [hop["hop"] for hop in told["hops"]] == NAMES
    here = {hop["hop"]: hop["here"] for hop in told["hops"]}
    assert (here["record"]["topic"], here["record"]["partition"]) == (SUBMISSIONS, shard_of(walked, SHARDS))
    assert here["decode"]["type"] == "intake.SubmitComplaint.v1"
    assert here["decide"]["outcome"] == "accepted"
    assert here["project"]["this one"] == "taken in"
    assert here["page"]["url"] == f"{system.console}/complaints/{walked}"
    assert cli("follow", walked).out.count("\n") > 30


def test_an_event_is_followed_through_the_code_of_its_own_service(cli, walked):
    events = cli("complaint", "history", walked, "--json").json["events"]
    [refused] = [one for one in events if one["rule"] == "no_excuse_before_delivery"]
    told = cli("follow", refused["id"], "--json").json
    assert told["event"] == refused["id"]
    assert {hop["hop"]: hop["code"] for hop in told["hops"]}["decide"] == "services.resolution.case:decide"
    assert cli("follow", "g1/resolution/0/999999").code == Exit.NOT_FOUND
    assert cli("follow", "g7/resolution/0/1").code == Exit.NOT_FOUND
    assert cli("follow", "g1/kitchen/0/1").code == Exit.NOT_FOUND


def test_what_was_passed_on_is_followed_from_its_upstreams_record(cli, passed_on):
    ident, (topic, partition, offset) = passed_on
    here = {hop["hop"]: hop["here"] for hop in cli("follow", ident, "--json").json["hops"]}
    assert (here["record"]["topic"], here["record"]["partition"], here["record"]["offset"]) == (topic, partition, offset)
    assert here["record"]["passed on"].startswith(f"by shard {partition}, entry ")
    assert f", as intake.commands/{shard_of(ident, SHARDS)}/" in here["record"]["passed on"]
    assert here["lock head"]["shard"] == f"{shard_of(ident, SHARDS)} of {SHARDS}, of intake"


def test_a_complaint_is_followed_from_its_submission_whatever_was_refused_before_it_came(cli, system):
    ident = complaint_id("shop", ref := uuid4().hex)
    with system.http() as client:  # as whoever has no console may: straight to the topic
        asyncio.run(asked(system, ident))
        while client.get(f"/api/complaints/{ident}/history").status_code == 404:
            pass
    assert cli("follow", f"shop:{ref}").code == Exit.NOT_FOUND, "a refusal is no complaint"
    system.submit(ref=ref)
    here = {hop["hop"]: hop["here"] for hop in cli("follow", ident, "--json").json["hops"]}
    assert (here["decode"]["type"], here["decide"]["outcome"]) == ("intake.SubmitComplaint.v1", "accepted")


async def asked(system, ident):
    """A command about a complaint that nobody knows yet."""
    async with AIOKafkaProducer(bootstrap_servers=system.stack.kafka) as producer:
        command = AssignOwner(owner="person:anna")
        headers = command_headers(
            command.type, uuid4().hex, stream=ident, source="/tests", actor="person:anna", sent_at="2026-11-24T12:00:00Z"
        )
        shard = shard_of(ident, SHARDS)
        await producer.send_and_wait("intake.commands", command.to_bytes(), key=key_of(ident), partition=shard, headers=headers)


# ---- parked ----------------------------------------------------------------------------------------------------------------

BODY = b"\xff\xfe not JSON \x1b[31m\r\n[red]at all"


@pytest.fixture(scope="module")
async def bad(system):
    """An input that can't be read, as `parked list` names it."""
    mark = uuid4().hex
    async with AIOKafkaProducer(bootstrap_servers=system.stack.kafka) as producer:
        headers = [("ce_id", mark.encode()), ("ce_source", b"/tests"), ("strange", b"\xff\x00"), ("empty", b"")]
        await producer.send_and_wait(SUBMISSIONS, BODY, partition=2, headers=headers)
    return mark


def parked_as(cli, mark):
    for _ in range(200):
        if found := [one for one in cli("parked", "list", "--service", "intake", "--json").json["parked"] if one["message_id"] == mark]:
            return found[0]
    raise AssertionError("it was never parked")


def test_what_cannot_be_read_is_listed_with_where_it_lies_and_why(cli, bad):
    one = parked_as(cli, bad)
    assert (one["outcome"], one["topic"], one["partition"], one["shard"]) == ("parked", SUBMISSIONS, 2, 2)
    assert one["reason"].startswith("undecodable: ")
    listed = cli("parked", "list").out
    assert f"{one['input']}  parked   {SUBMISSIONS}/2/{one['offset']}  undecodable" in listed
    assert cli("parked", "list", "--shard", "3", "--json").json["parked"] == []
    assert cli("parked", "list", "--shard", "99").code == Exit.USAGE


async def test_a_list_reads_no_bodies_and_asks_as_often_for_many_as_for_one(system, bad):
    asked = []
    async with connected(system.stack.owner_dsn, "intake") as connection:
        for _ in range(2):
            await sent(system, BODY, uuid4().hex)
        await until(lambda: is_held(connection, 3))
        connection.add_query_logger(asked.append)
        found = await settling.held(connection, "intake", range(SHARDS), 1_000)
    assert [(one.row.key, one.row.headers, one.row.body) for one in found] == [(None, b"", None)] * len(found)
    assert len(asked) == 2


async def is_held(connection, many):
    return len(await settling.held(connection, "intake", range(SHARDS), 1_000)) >= many


def test_a_parked_input_is_shown_whole_byte_for_byte(cli, bad):
    one = parked_as(cli, bad)
    told = cli("parked", "show", one["input"], "--json").json
    assert base64.b64decode(told["body_base64"]) == BODY
    assert {"name": "strange", "value_base64": base64.b64encode(b"\xff\x00").decode()} in told["headers"]
    by_options = ["--service", "intake", "--shard", one["shard"], "--entry", one["entry"]]
    assert cli("parked", "show", *by_options, "--json").json == told
    shown = cli("parked", "show", one["input"]).out
    assert r"\xff\xfe not JSON \x1b[31m\r" in shown
    assert "\x1b" not in shown


def test_a_long_line_of_a_parked_body_stays_one_line_where_no_terminal_shows_it(cli, system):
    line = json.dumps({"source": "shop", "ref": "x", "narrative": "words and " * 100, "colour": "red"})
    mark = uuid4().hex
    asyncio.run(sent(system, line.encode(), mark))
    shown = cli("parked", "show", parked_as(cli, mark)["input"]).out
    assert shown.splitlines()[-1] == f"  {line}"


async def sent(system, body, mark):
    async with AIOKafkaProducer(bootstrap_servers=system.stack.kafka) as producer:
        await producer.send_and_wait(SUBMISSIONS, body, partition=1, headers=[("ce_id", mark.encode()), ("ce_source", b"/tests")])


def test_the_raw_body_is_the_bytes_and_nothing_else(cli, bad, capfdbinary):
    from typer.testing import CliRunner  # noqa: PLC0415

    from deploy.cli.main import app  # noqa: PLC0415

    done = CliRunner().invoke(app, ["parked", "show", parked_as(cli, bad)["input"], "--raw"])
    assert done.stdout_bytes == BODY


def test_what_is_not_parked_is_not_found(cli, bad):
    assert cli("parked", "show", "intake/0/1").code == Exit.NOT_FOUND
    assert cli("parked", "show", "intake/0/999999").code == Exit.NOT_FOUND
    for wrong in (["intake/0"], ["kitchen/0/1"], [], ["--service", "intake", "--shard", "0"]):
        assert cli("parked", "show", *wrong).code == Exit.USAGE


# ---- status and doctor -----------------------------------------------------------------------------------------------------


def test_the_status_of_a_system_that_is_well(cli, system, walked):
    done = cli("status", "--json")
    assert done.code == Exit.DONE, done.err
    told = done.json
    assert (told["well"], told["wrong"], told["phase"], told["console"]) == (True, [], "running", system.console)
    assert [part["name"] for part in told["parts"]] == ["kafka", "postgres", "intake", "resolution", "rootcause", "console"]
    assert {part["state"] for part in told["parts"]} == {"ready"}
    assert all(one["ready"] and one["shards"] == SHARDS for one in told["services"])
    assert told["counts"]["complaints"] >= 1
    assert [one["service"] for one in told["relay"]] == ["intake", "resolution", "rootcause"]
    assert all(0 <= one["lag"] <= one["position"] for one in told["relay"])
    assert "not in Kafka yet" in cli("status").out
    assert (told["kafka"], told["database"]) == (system.stack.kafka, system.stack.owner_dsn)


async def test_the_database_that_the_status_names_can_be_opened_as_its_owner(cli, system):
    told = (await asyncio.to_thread(cli, "status", "--json")).json
    async with connected(told["database"]) as connection:
        assert await connection.fetchval("SELECT count(*) FROM intake.head") == SHARDS


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("postgresql://owner:secret@db:5433/makegood", "postgresql://owner@db:5433/makegood"),
        ("postgresql://owner@db/makegood?password=secret&sslmode=require", "postgresql://owner@db/makegood?sslmode=require"),
        ("postgresql://db/makegood?sslrootcert=/etc/ca.pem", "postgresql://db/makegood?sslrootcert=/etc/ca.pem"),
    ],
)
def test_a_databases_url_is_shown_without_its_password(told, shown):
    assert without_password(told) == shown


def test_numbers_of_the_status_are_written_alike(cli, monkeypatch):
    counts = {"complaints": 10208, "by_stage": {"own": 5000, "fix": 3208, "deliver": 1000, "retrain": 500, "settled": 500}}
    relay = [{"service": "intake", "position": 20565, "lag": 0, "worst_shard": 0}]

    async def found(home, *, from_outside):
        return Status(str(home), "running", counts=counts, relay=relay)

    monkeypatch.setattr("deploy.cli.status.look", found)
    out = cli("status").out
    assert out.splitlines()[1].split() == ["10,208", "5,000", "3,208", "1,000", "500", "500"]
    assert "20,565" in out


def test_what_a_service_waits_for_is_a_sentence():
    waits = {"silence": "", "waits": "for PostgreSQL, Kafka or its share of the shards", "troubles": {}}
    assert why_unready(waits) == "it waits for PostgreSQL, Kafka or its share of the shards"
    assert why_unready({**waits, "silence": "it does not answer at http://x"}) == "it does not answer at http://x"
    assert why_unready({**waits, "waits": None, "troubles": {"3": {"what": "a gap"}}}) == "shard 3: a gap"
    assert why_unready({**waits, "waits": None}) == "it has just begun"


def test_the_status_of_nothing_is_not_well(tmp_path, cli):
    done = cli("status", "--json", "--home", tmp_path)
    assert (done.code, done.json["well"], done.json["phase"]) == (Exit.FAILED, False, "stopped")
    assert "`makegood up` starts it" in cli("status", "--home", tmp_path).err


def test_the_doctor_finds_nothing_wrong_with_a_system_that_is_well(cli, system, bad):
    parked_as(cli, bad)
    done = cli("doctor", "--json")
    findings = done.json["findings"]
    assert [one for one in findings if one["level"] == "wrong"] == [], json.dumps(findings, indent=1)
    assert (done.code, done.json["well"]) == (Exit.DONE, True)
    about = [one["about"] for one in findings]
    assert {"processes", "kafka", "topics", "topic ids", "offsets", "relay", "console", "parked", "policy", "clocks", "disk"} <= set(about)
    assert cli("doctor").out.count("\n") == len(findings) + 1, "a heading, and a line for each"


def test_the_doctor_says_what_to_do_where_nothing_runs(cli, tmp_path):
    done = cli("doctor", "--json", "--home", tmp_path)
    assert done.code == Exit.FAILED
    assert [(one["about"], one["do"]) for one in done.json["findings"] if one["level"] == "wrong"] == [
        ("processes", "`makegood up` starts it")
    ]


def test_the_doctor_looks_where_nobody_answers(cli, monkeypatch):
    monkeypatch.setenv("MAKEGOOD_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("MAKEGOOD_DATABASE", "postgresql://makegood@127.0.0.1:1/makegood")
    done = cli("doctor", "--json")
    assert done.code == Exit.FAILED
    wrong = [one["about"] for one in done.json["findings"] if one["level"] == "wrong"]
    assert {"kafka", "postgres"} <= set(wrong)
