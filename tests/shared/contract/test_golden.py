"""One frozen body for each event version: what is stored decodes for ever, and gives the same bytes again."""

from pathlib import Path

import pytest

from shared.contract.catalogue import EVENTS, service_of
from shared.contract.said import decode

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("type_name", sorted(EVENTS))
def test_a_stored_body_decodes_for_ever(type_name):
    body = (GOLDEN / service_of(type_name) / f"{type_name}.json").read_bytes().rstrip(b"\n")
    assert decode(EVENTS[type_name], body).to_bytes() == body


def test_no_golden_body_is_of_an_event_that_is_gone():
    assert {path.stem for path in GOLDEN.rglob("*.json")} == EVENTS.keys()
