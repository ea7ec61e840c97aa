"""The pages: what stands on them, so that it can be read."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

DUE = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
CUSTOMER = {"name": "Bo Li", "contact": "bo@example.org", "ref": "C-1009"}


def rows(page):
    """The words of each row, its tags taken out."""
    return [" ".join(re.sub("<[^>]+>", " ", row).split()) for row in re.findall("<tr>(.+?)</tr>", page, re.DOTALL)]


def listed(client, source):
    """The row of the list, and its heading."""
    heading, row = rows(client.get("/complaints", params={"source": source}).text)
    return heading, row


def test_the_list_begins_with_what_it_is_about_and_has_no_seconds(system):
    source = uuid4().hex
    system.submit(source=source, ref="4711", summary="Wet bread")
    with system.http() as client:
        heading, row = listed(client, source)
    assert heading.startswith("What about")
    assert row.startswith("Wet bread own nobody yet")
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d ", row)
    assert not re.search(r"\d\d:\d\d:\d\d", row)


def test_refusals_conflicts_misunderstandings_and_broken_promises_are_seen_in_the_list(system):
    source = uuid4().hex
    complaint = system.submit(source=source, ref="4711", summary="Wet bread")
    system.ask(complaint, "StartFix")
    system.ask(complaint, "RaiseMisunderstanding", understood="Today.", meant="Tomorrow.")
    with system.http() as client:
        client.post("/api/complaints", json={"source": source, "ref": "4711", "summary": "Dry bread"})
        _, row = listed(client, source)
        (one,) = client.get("/api/complaints", params={"source": source}).json()["complaints"]
        assert "with refusals" in client.get("/complaints").text
    for mark in ("1 refused", "1 conflicting", "misunderstanding"):
        assert mark in row
    assert (one["refusals"], one["conflicts"], one["held"], one["parked"], one["broken"]) == (1, 1, True, 0, 0)


async def test_what_is_parked_is_seen_in_the_list(system, console_tables, beside):
    """Nothing that can be sent to a working service parks under a complaint: a row is made to say so, where only this test sees it."""
    source = uuid4().hex
    complaint = system.submit(source=source, ref="4711", summary="Wet bread")
    await console_tables.execute("UPDATE complaints SET parked = 2 WHERE id = $1", complaint)
    beside.app.state.pool = console_tables
    page = (await beside.http.get("/complaints", params={"source": source})).text
    assert "2 parked" in rows(page)[1]
    assert re.search("with parked inputs 1<", page)


def test_the_page_shows_who_complained_how_to_reach_them_and_what_they_were_promised(system):
    complaint = system.submit(customer=CUSTOMER, channel="mail")
    system.ask(complaint, "MakePromise", what="A call about the rolls", due_at=DUE.isoformat())
    with system.http() as client:
        page = client.get(f"/complaints/{complaint}").text
        card = client.get(f"/api/complaints/{complaint}").json()
    for shown in ("Bo Li, C-1009", "bo@example.org", "came by mail", "none yet"):
        assert shown in page
    [promised] = card["promises"]
    assert (promised["what"], datetime.fromisoformat(promised["due_at"]), promised["state"], promised["made_at"]) == (
        "A call about the rolls", DUE, "open", "own",
    )  # fmt: skip
    assert (card["customer_name"], card["customer_contact"], card["customer_ref"]) == ("Bo Li", "bo@example.org", "C-1009")
    assert f"A call about the rolls {DUE:%Y-%m-%d %H:%M} open own" in rows(page)


def test_a_history_tells_what_was_asked_whole_and_why_it_was_refused(system):
    complaint = system.submit()
    system.ask(complaint, "StartFix")
    with system.http() as client:
        page = client.get(f"/complaints/{complaint}").text
    [refused] = [row for row in rows(page) if "Refused" in row]
    assert "Refused: StartFix, no_fix_before_ownership Nothing is fixed before somebody owns it" in refused


def test_a_narrow_screen_gets_rows_stacked_and_nothing_scrolls_sideways(system):
    with system.http() as client:
        page = client.get("/complaints").text
    narrow = re.search(r"@media \(max-width: 600px\) \{(.+?)\n\}", page, re.DOTALL)
    assert "display: block" in narrow[1]
    assert "overflow-x" not in page


async def test_a_list_reads_no_cards(system, console_tables, beside):
    """The card of one complaint is spoilt where only this test's transaction sees it: the list does not notice."""
    source = uuid4().hex
    complaint = system.submit(source=source, ref="4711", summary="Wet bread")
    await console_tables.execute("UPDATE complaints SET card = 'spoilt' WHERE id = $1", complaint)
    beside.app.state.pool = console_tables
    (one,) = (await beside.http.get("/api/complaints", params={"source": source})).json()["complaints"]
    assert (one["id"], one["summary"], one["next_promise_at"], one["broken"]) == (str(complaint), "Wet bread", None, 0)
    assert (await beside.http.get(f"/api/complaints/{complaint}")).status_code == 500


def test_the_list_and_the_card_say_the_same(system):
    source = uuid4().hex
    complaint = system.submit(source=source, ref="4711", narrative="The bread\nwas  wet. " * 20)
    system.ask(complaint, "MakePromise", what="A call", due_at=DUE.isoformat())
    with system.http() as client:
        (row,) = client.get("/api/complaints", params={"source": source}).json()["complaints"]
        card = client.get(f"/api/complaints/{complaint}").json()
    assert {name: card[name] for name in row} == row
    assert datetime.fromisoformat(row["next_promise_at"]) == DUE
    assert row["summary"].startswith("The bread was wet. The bread")
    assert len(row["summary"]) == 120
