"""What the README says can be done is done as it stands there."""

import json
import shutil

import pytest

from deploy.sample.feed import FIRST_COMPLAINTS, FIRST_SEED
from deploy.sample.paths import script_of
from shared.contract.envelope import complaint_id
from tests.deploy.sample.minds import BEGAN
from tests.docs.pages import ROOT, blocks, environment, in_shell

PAGE = "README.md"
_, USE, HTTP, _ = blocks(PAGE, "sh")
[REFUSAL] = blocks(PAGE, "json")


@pytest.fixture(scope="module")
def used(system):
    """What the lines of the page printed, those over HTTP apart."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    mark = "-- over HTTP --"
    printed = in_shell(f"{USE}\necho {mark}\n{HTTP}", environment(system))
    return printed.split(mark)


def test_every_line_can_be_used(used):
    assert "accepted  OwnerAssigned  g1/intake/" in used[0]


def test_what_is_asked_over_http_is_answered_as_the_page_shows(used):
    answers = used[1].replace("}{", "}\n{").strip().splitlines()
    listed, needed, refused = map(json.loads, answers)
    assert listed["complaints"]
    assert (needed["status"], needed["events"][0]["actor"]) == ("accepted", "person:anna")
    assert refused == json.loads(REFUSAL), "to the message's id, which follows from who asks about what under which key"


def test_the_file_of_the_page_holds_the_complaint_that_it_goes_on_with(system, used):
    assert system.until(complaint_id("shop", "17"), owner="person:anna", need="A dry loaf before the weekend.")


def test_the_figures_are_those_of_the_sample_that_comes_in():
    stages = [script_of(FIRST_SEED, number, BEGAN).reaches for number in range(FIRST_COMPLAINTS)]
    counts = "   ".join(f"{stage} {stages.count(stage)}" for stage in ("own", "fix", "deliver", "retrain", "settled"))
    text = (ROOT / PAGE).read_text("utf-8")
    assert f"complaints   {FIRST_COMPLAINTS}   ({counts})\n" in text
    assert f"A sample of {FIRST_COMPLAINTS} complaints came in, and people worked them.\n" in text
