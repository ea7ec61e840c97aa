"""One complaint taken by hand over HTTP through all four stages, each invariant tried on the way and refused by its name."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from shared.contract.envelope import complaint_id

LATER = (datetime.now(UTC) + timedelta(days=2)).isoformat()
A_CAUSE = {"kind": "workflow", "faltered": "own", "self_inflicted": True, "what": "The box has no lid.", "evidence": "Seen on the shelf."}
CALL = {"kind": "call", "ref": "call/17"}


class Taken:
    """A complaint in somebody's hands."""

    def __init__(self, system):
        self.system = system
        self.id = system.submit(customer={"name": "Bo Li"}, product="bread")
        self.refused = []

    def does(self, command, **data):
        answer = self.system.ask(self.id, command, **data)
        assert answer.status_code == 200, answer.text
        return answer.json()["events"]

    def is_refused(self, rule, invariant, command, **data):
        answer = self.system.ask(self.id, command, **data)
        body = answer.json()
        assert (answer.status_code, body.get("rule"), body.get("invariant")) == (409, rule, invariant), body
        assert answer.headers["content-type"] == "application/problem+json"
        assert body["detail"]
        self.refused.append(rule)


def test_from_the_first_word_to_both_endings_no_rule_can_be_skipped(system):
    it = Taken(system)
    it.is_refused("ownership_incomplete", 1, "CompleteOwnership")
    it.is_refused("no_fix_before_ownership", 1, "StartFix")
    it.is_refused("no_learning_before_delivery", 1, "RecordCause", **A_CAUSE)
    it.does("AssignOwner", owner="person:anna")
    it.does("AcceptOwnership")
    it.does("Classify", product="bread", defect_kind="product", severity="medium", central=True)
    it.does("Acknowledge", text="Dear Bo, thank you for telling us. Anna sees to it.")
    it.does("StateNeed", need="A dry loaf before the weekend.")
    (made,) = it.does("MakePromise", what="A call with what we can do.", due_at=LATER)
    promise = made["data"]["promise"]["promise_id"]
    it.does("RaiseMisunderstanding", understood="A new loaf today.", meant="A new loaf tomorrow.")
    it.is_refused("misunderstanding_first", 3, "CompleteOwnership")
    it.is_refused("customers_word_needs_proof", 17, "ClearMisunderstanding")
    (reply,) = it.does("RecordReply", text="Tomorrow is fine.")
    it.does("ClearMisunderstanding", proof={"kind": "reply", "ref": reply["data"]["reply_id"]})
    it.does("CompleteOwnership")

    system.until(it.id, stage="fix")
    it.is_refused("no_delivery_before_fix", 1, "Deliver", what="Bread.", how="By hand.", evidence="Signed.")
    it.is_refused("decline_needs_alternative", 4, "MakeDecision", verdict="decline", reasons=["We sold out."])
    it.is_refused("decision_needs_reasons", None, "MakeDecision", verdict="uphold")
    remedy = {"what": "A new loaf.", "amount": {"amount": "3.20", "currency": "EUR"}}
    it.does("MakeDecision", verdict="uphold", reasons=["It was wet."], remedies=[remedy])
    it.is_refused("decision_stands", 5, "MakeDecision", verdict="uphold_in_part", reasons=["On second thought."])
    it.does("StartFix")
    it.does("CompleteFix", what="Baked a new one.")
    it.is_refused("no_excuse_before_delivery", 2, "GiveExplanation", text="The oven stood still.")
    it.is_refused("no_learning_before_delivery", 1, "RecordCause", **A_CAUSE)
    it.does("Deliver", what="A dry loaf.", how="By hand.", evidence="Signed for.", keeps=[promise])
    it.is_refused("promise_ended", 13, "RenegotiatePromise", promise_id=promise, due_at=LATER, reason="Later?", proof=CALL)
    it.does("ObjectToDelivery", reason="It is wet again.")
    system.until(it.id, stage="fix")
    system.until_event(it.id, "rootcause.LearningSuspended.v1")
    it.is_refused("no_cause_before_delivery", 2, "RecordCause", **A_CAUSE)
    it.is_refused("no_excuse_before_delivery", 2, "GiveExplanation", text="The oven stood still.")
    it.does("StartFix", what="Again, in a box with a lid.")
    it.does("CompleteFix", what="Baked another one.")
    it.does("Deliver", what="A dry loaf in a box.", how="By hand.", evidence="Signed for.")
    it.is_refused("customers_word_needs_proof", 17, "ConfirmDelivery")
    it.does("ConfirmDelivery", proof=CALL, words="Now it is dry.")
    it.does("GiveExplanation", text="The boxes had no lids.")

    system.until_event(it.id, "rootcause.LearningResumed.v1")
    it.is_refused("cause_names_a_person", 7, "RecordCause", **{**A_CAUSE, "what": "Anna forgot the lid."})
    it.does("RecordCause", **A_CAUSE)
    plan = {"kind": "retraining", "what": "How to close a box.", "owner": "team:counter", "due_at": LATER}
    it.is_refused("retraining_needs_recurrence", 6, "PlanCorrection", **plan, procedure="Lid on.")
    it.is_refused("learned_needs_correction", 11, "CloseLearning", outcome="corrected")
    it.does("PlanCorrection", **plan, procedure="Lid on.", recurrence_procedure="Call the customer, bring another.")
    it.does("VerifyCause", how="reproduced", evidence="Three boxes in the rain.", holds=True)
    it.does("CompleteCorrection", evidence="All shifts have had it.")
    it.does("CloseLearning", outcome="corrected")

    settled = system.until(it.id, stage="settled")
    assert (settled["ending"], settled["outcome"], settled["kept"], settled["broken"]) == ("confirmed", "corrected", 1, 0)
    it.is_refused("closed", None, "AssignOwner", owner="person:ravi")
    all_of_it_is_readable(system, it)


def all_of_it_is_readable(system, it):
    with system.http() as client:
        history = client.get(f"/api/complaints/{it.id}/history").json()["events"]
    assert [event["rule"] for event in history if event["refused"]] == it.refused
    assert {event["trace_id"] for event in history} == {it.id.hex}
    assert [event["at"] for event in history] == sorted(event["at"] for event in history)
    for event in history:
        assert event["actor"]
        assert event["id"] == f"g1/{event['service']}/{event['shard']}/{event['position']}"
    assert len({event["id"] for event in history}) == len(history)


def test_a_reopened_complaint_starts_again_with_its_owner(system):
    it = Taken(system)
    it.does("AssignOwner", owner="person:anna")
    it.does("AcceptOwnership")
    it.does("Withdraw", proof=CALL)
    system.until(it.id, stage="retrain")
    system.until_event(it.id, "rootcause.LearningOpened.v1")
    it.does("CloseLearning", outcome="no_correction_needed", reason="The customer found the bread dry after all.")
    assert system.until(it.id, stage="settled")["ending"] == "withdrawn"
    it.does("ReopenComplaint", why="It is wet after all.")
    reopened = system.until(it.id, stage="own")
    assert (reopened["generation"], reopened["owner"]) == (2, "person:anna")


# ---- asking ----------------------------------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_answer_and_nothing_happens_twice(system):
    complaint = system.submit()
    told = {"command": "AssignOwner", "data": {"owner": "person:anna"}}
    with system.http() as client:
        answers = [client.post(f"/api/complaints/{complaint}/commands", json=told, headers={"Idempotency-Key": "k1"}) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        assert answers[0].headers["Idempotency-Key"] == "k1"
        other = {"command": "AssignOwner", "data": {"owner": "person:ravi"}}
        conflict = client.post(f"/api/complaints/{complaint}/commands", json=other, headers={"Idempotency-Key": "k1"})
        assert conflict.status_code == 422
        assert "key of its own" in conflict.json()["detail"]
        history = client.get(f"/api/complaints/{complaint}/history").json()["events"]
    assert [event["type"] for event in history].count("intake.OwnerAssigned.v1") == 1


def test_a_refusal_is_given_again_too(system):
    complaint = system.submit()
    with system.http() as client:
        answers = [
            client.post(f"/api/complaints/{complaint}/commands", json={"command": "CompleteOwnership"}, headers={"Idempotency-Key": "k2"})
            for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].json() == answers[1].json()


def test_who_does_not_wait_is_told_where_to_ask(system):
    complaint = system.submit()
    with system.http() as client:
        answer = client.post(
            f"/api/complaints/{complaint}/commands",
            json={"command": "AssignOwner", "data": {"owner": "person:anna"}},
            headers={"Prefer": ""},
        )
        assert answer.status_code == 202
        assert answer.json()["status"] == "pending"
        later = client.get(answer.headers["Location"])
        assert (later.status_code, later.json()["status"]) == (200, "accepted")
        assert client.get(f"/api/commands/{uuid4()}").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"command": "Nonsense"}, 422, "no command Nonsense"),
        ({"command": "AssignOwner", "data": {}}, 422, "owner is missing"),
        ({"command": "AssignOwner", "data": {"owner": "x", "extra": 1}}, 422, "extra"),
        ({"command": "AssignOwner", "owner": "person:anna"}, 422, "owner: not known beside command, service, data"),
        ({"command": "AssignOwner", "data": {"owner": "x"}, "extra": 1}, 422, "put the command's fields under data"),
        ({"command": "AssignOwner", "service": "kitchen", "data": {"owner": "x"}}, 422, "service must be one of"),
        ({"command": "PublishPolicy", "data": {"policy": {}}}, 422, "not over HTTP"),
        ({"command": "OpenProblem", "data": {}}, 422, "problems"),
        ({"data": {}}, 422, "command"),
        ({"command": "NoteLearning", "data": {"generation": 1, "outcome": "corrected"}}, 409, "own services"),
    ],
)
def test_bad_requests_say_what_is_wrong(system, body, status, says):
    complaint = system.submit()
    with system.http() as client:
        answer = client.post(f"/api/complaints/{complaint}/commands", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]


def test_what_is_not_there_is_not_found(system):
    with system.http() as client:
        for path in (f"/api/complaints/{uuid4()}", f"/api/complaints/{uuid4()}/history", "/api/nothing", "/schemas/nothing.v1.json"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
        assert client.get("/api/complaints/17").status_code == 422


def test_a_command_to_a_complaint_that_is_not_there_is_not_sent(system):
    unknown = uuid4()
    for command in ("AssignOwner", "MakePromise", "StartFix", "RecordCause"):
        answer = system.ask(unknown, command, owner="person:anna")
        assert (answer.status_code, answer.json()["title"]) == (404, "unknown complaint"), command
        assert "submit it first" in answer.json()["detail"]
    with system.http() as client:
        assert client.get(f"/api/complaints/{unknown}").status_code == 404
        assert client.get(f"/api/complaints/{unknown}/history").status_code == 404, "a typing error is nobody's decision"


def test_whoever_was_answered_that_a_complaint_is_taken_finds_its_card(system):
    for _ in range(20):
        complaint = system.submit()
        with system.http() as client:
            assert client.get(f"/api/complaints/{complaint}").status_code == 200
        assert system.ask(complaint, "AssignOwner", owner="person:anna").status_code == 200


@pytest.mark.parametrize("command", ["SubmitComplaint", "ReportFinding"])
def test_a_submission_under_its_own_id_is_taken_and_under_anothers_names_both(system, command):
    ref, other = uuid4().hex, uuid4()
    told = {"source": "hand", "ref": ref, "narrative": "It was wet."}
    refused = system.ask(other, command, **told)
    assert (refused.status_code, refused.json()["title"]) == (422, "another complaint")
    assert (refused.json()["makes"], refused.json()["asked"]) == (str(complaint_id("hand", ref)), str(other))
    for ident in (other, complaint_id("hand", ref)):
        assert str(ident) in refused.json()["detail"]
        with system.http() as client:
            assert client.get(f"/api/complaints/{ident}").status_code == 404
    taken = system.ask(complaint_id("hand", ref), command, **told)
    assert (taken.status_code, taken.json()["status"]) == (200, "accepted")


def test_what_is_told_again_or_otherwise_is_called_so(system):
    told = {"source": "shop", "ref": uuid4().hex, "narrative": "The bread was wet."}
    with system.http() as client:
        answers = [client.post("/api/complaints", json=told | more) for more in ({}, {}, {"narrative": "The bread was dry."})]
        assert [answer.json()["status"] for answer in answers] == ["accepted", "repeated", "conflicting"]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert [event["type"] for event in answers[2].json()["events"]] == ["intake.SubmissionConflicted.v1"]
        assert client.get(answers[2].headers["Location"]).json()["status"] == "conflicting"


# ---- reading ---------------------------------------------------------------------------------------------------------------


def test_the_list_pages_through_all_of_them_and_filters(system):
    source = f"pages-{uuid4().hex[:6]}"
    made = [system.submit(source=source, ref=f"{n}", product="cake" if n % 2 else "bread") for n in range(7)]
    assert made == [complaint_id(source, str(n)) for n in range(7)]
    with system.http() as client:
        found, after = [], None
        while True:
            page = client.get("/api/complaints", params={"source": source, "limit": 3} | ({"after": after} if after else {})).json()
            found += [UUID(one["id"]) for one in page["complaints"]]
            after = page["next"]
            if after is None:
                break
        assert found == made[::-1], "the last received first, each once"
        cakes = client.get("/api/complaints", params={"source": source, "product": "cake"}).json()["complaints"]
        assert len(cakes) == 3
        (one,) = client.get("/api/complaints", params={"source": source, "ref": "4", "stage": "own", "owner": "-"}).json()["complaints"]
        assert one["id"] == str(made[4])
        assert client.get("/api/complaints", params={"source": source, "stage": "settled"}).json()["complaints"] == []
        assert client.get("/api/complaints", params={"after": "nonsense"}).status_code == 422
        assert client.get("/api/complaints", params={"stage": "nonsense"}).status_code == 422


def test_the_pages_show_the_list_and_a_history(system):
    complaint = system.submit(narrative="<script>alert(1)</script> The bread was wet.", source="pages & more")
    system.ask(complaint, "StartFix")
    with system.http() as client:
        front = client.get("/", headers={"Accept": "text/html"})
        page = client.get(f"/complaints/{complaint}")
    assert front.status_code == page.status_code == 200
    assert f"/complaints/{complaint}" in front.text
    for shown in ("no_fix_before_ownership", "ComplaintReceived", "pages &amp; more", complaint.hex):
        assert shown in page.text
    assert "<script>" not in front.text + page.text


def test_health_metrics_and_the_published_documents(system):
    with system.http() as client:
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").json()["ready"]
        assert "makegood_shard_owned" in client.get("/metrics").text
        assert client.get("/openapi.json").json()["info"]["title"] == "makegood"
        names = client.get("/schemas").json()
        assert client.get(f"/schemas/{names[0]}.json").json()["$id"].endswith(f"{names[0]}.json")
