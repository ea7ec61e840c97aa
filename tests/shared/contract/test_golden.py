"""One frozen body for each version of an event, and of a command that is stored: it decodes for ever, and gives the same bytes again.

Ledgers keep the events; journals and `…Requested` rows keep the commands. What `translate` makes of another service's event is never
stored: the journal has the event.
"""

from pathlib import Path

import pytest

from shared.contract.catalogue import COMMANDS, EVENTS, service_of
from shared.contract.said import decode

GOLDEN = Path(__file__).parents[2] / "golden"
ASKED_BY_OURSELVES = {"machine.TimerDue.v1", "rootcause.AskToJoin.v1", "rootcause.NoteProblemCorrection.v1"}
"""The internal commands that are stored: what the clock says, and what `react` asks of another stream."""
STORED = {**EVENTS, **{name: said for name, said in COMMANDS.items() if not said.internal or name in ASKED_BY_OURSELVES}}


@pytest.mark.parametrize("type_name", sorted(STORED))
def test_a_stored_body_decodes_for_ever(type_name):
    body = (GOLDEN / service_of(type_name) / f"{type_name}.json").read_bytes().rstrip(b"\n")
    assert decode(STORED[type_name], body).to_bytes() == body


def test_no_golden_body_is_of_what_is_gone():
    assert {path.stem for path in GOLDEN.rglob("*.json")} == STORED.keys()
