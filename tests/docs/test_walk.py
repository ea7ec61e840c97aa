"""The walk runs as it stands there, from the first word to both endings."""

from shared.contract.envelope import complaint_id
from tests.docs.pages import blocks, environment, in_shell

PAGE = "docs/walk.md"
NEXT = {"CompleteOwnership": "CaseOpened", "ConfirmDelivery": "LearningOpened", "CloseLearning": "ComplaintSettled"}
"""After which command the next one needs another service's fact. Who types is slower than that; a script is not."""


def waiting(block):
    last = block.strip().splitlines()[-1]
    event = next((event for command, event in NEXT.items() if f" {command} " in last), None)
    return f"{block}until makegood complaint history walk:1 | grep -q {event}; do sleep 0.1; done\n" if event else block


def test_the_walk_leads_from_own_to_settled(system):
    script = "".join(map(waiting, blocks(PAGE, "sh")))
    assert script.count("until ") == len(NEXT)
    printed = in_shell(script, environment(system))
    assert "refused, as it must be" in printed
    told = system.until(complaint_id("walk", "1"), stage="settled")
    assert (told["ending"], told["outcome"], told["kept"], told["refusals"]) == ("confirmed", "corrected", 1, 1)
    assert "refused: StartFix" in printed
