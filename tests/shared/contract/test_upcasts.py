"""An event of an old version is read as the newest, and its stored bytes stay as they were."""

from typing import ClassVar

import pytest

from shared.contract.said import Event
from shared.contract.upcasts import UPCASTS, Upcast, newest, read_event


class Delivered(Event):
    type: ClassVar[str] = "test.Delivered.v3"
    what: str
    how: str
    count: int


STEPS = {
    "test.Delivered.v1": Upcast("test.Delivered.v2", lambda old: {**old, "how": "by hand"}),
    "test.Delivered.v2": Upcast("test.Delivered.v3", lambda old: {**old, "count": 1}),
}
CATALOGUE = {Delivered.type: Delivered}


@pytest.mark.parametrize(
    ("version", "body", "how"),
    [
        ("v1", b'{"what":"bread"}', "by hand"),
        ("v2", b'{"what":"bread","how":"by van"}', "by van"),
        ("v3", b'{"what":"bread","how":"x","count":1}', "x"),
    ],
)
def test_every_version_is_read_as_the_newest(version, body, how):
    event = read_event(f"test.Delivered.{version}", body, CATALOGUE, STEPS)
    assert event == Delivered(what="bread", how=how, count=1)
    assert newest(f"test.Delivered.{version}", STEPS) == Delivered.type


def test_what_nobody_knows_is_an_error():
    with pytest.raises(KeyError):
        read_event("test.Unknown.v1", b"{}", CATALOGUE, STEPS)


def test_no_step_leads_in_a_circle():
    for name in UPCASTS:
        assert newest(name) not in UPCASTS
