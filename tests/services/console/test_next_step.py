"""What the page says would move a complaint on, does: a complaint that follows it comes as far as the customer's ending."""

import html
import re
import shlex
from datetime import UTC, datetime, timedelta

from deploy.cli.asked import named, with_values

LATER = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:00Z")


def copied(system, complaint):
    """The command that the page shows, with what is in capitals filled in."""
    with system.http() as client:
        page = client.get(f"/complaints/{complaint}").text
    if not (found := re.search("<pre>(makegood command send .+?)</pre>", page)):
        return None
    _, _, _, about, command, *sets = shlex.split(html.unescape(found[1]))
    assert about == str(complaint)
    filled = {"TEXT": "As was said.", "person:NAME": "person:anna", "YYYY-MM-DDTHH:MM:00Z": LATER}
    typed = [f"{name}={filled.get(value, value)}" for name, value in (pair.split("=", 1) for pair in sets if pair != "--set")]
    return command, typed


def follows(system, complaint, reply):
    command, typed = copied(system, complaint)
    typed = [one.replace("REPLY", reply) for one in typed]
    stage = system.until(complaint)["stage"]
    answer = system.ask(complaint, command, **with_values({}, typed, named(command)))
    assert answer.status_code == 200, (stage, command, answer.text)
    return command


def replied(system, complaint, text):
    return system.ask(complaint, "RecordReply", text=text).json()["events"][0]["data"]["reply_id"]


def test_whoever_does_what_the_page_says_comes_to_the_customers_ending(system):
    complaint = system.submit(customer={"name": "Bo Li"})
    system.ask(complaint, "RaiseMisunderstanding", understood="Today.", meant="Tomorrow.")
    reply = replied(system, complaint, "Tomorrow is fine.")
    done = [follows(system, complaint, reply) for _ in range(7)]
    assert done == [
        "ClearMisunderstanding", "AssignOwner", "AcceptOwnership", "Acknowledge", "StateNeed", "MakePromise", "CompleteOwnership",
    ]  # fmt: skip
    system.until_event(complaint, "resolution.ObligationsTakenOver.v1")
    done = [follows(system, complaint, "") for _ in range(4)]
    assert done == ["MakeDecision", "StartFix", "CompleteFix", "Deliver"]
    assert follows(system, complaint, replied(system, complaint, "It is dry.")) == "ConfirmDelivery"
    assert system.until(complaint, stage="retrain")["ending"] == "confirmed"
    assert copied(system, complaint) is None, "what is to be learned is not for a card to say"


def test_an_answer_after_a_decline_is_completed_without_a_start(system):
    complaint = system.submit()
    for _ in range(6):
        follows(system, complaint, "")
    system.until_event(complaint, "resolution.ObligationsTakenOver.v1")
    system.ask(complaint, "MakeDecision", verdict="decline", reasons=["It was eaten."], no_alternative="There is none.")
    assert follows(system, complaint, "") == "CompleteFix"


def test_whoever_is_to_take_it_over_is_asked_to_accept_it(system):
    complaint = system.submit()
    for command, data in (("AssignOwner", {"owner": "person:anna"}), ("AcceptOwnership", {"by": "person:anna"})):
        system.ask(complaint, command, **data)
    system.ask(complaint, "TransferOwnership", to="person:ben", reason="away", story="The bread was wet, and it was the second time.")
    assert system.until(complaint, asked="person:ben")["owner"] == "person:anna"
    assert copied(system, complaint) == ("AcceptOwnership", ["by=person:ben"])
    with system.http() as client:
        assert "person:anna (person:ben is asked to take it over)" in client.get(f"/complaints/{complaint}").text
    system.ask(complaint, "AcceptOwnership", by="person:ben")
    assert system.until(complaint, owner="person:ben", asked=None)["accepted"] is True


def test_an_owner_whose_name_means_something_to_a_shell_is_written_so_that_a_shell_keeps_it_whole(system):
    complaint = system.submit()
    system.ask(complaint, "AssignOwner", owner="person:anna;reboot")
    assert copied(system, complaint) == ("AcceptOwnership", ["by=person:anna;reboot"])
