import pytest
from pydantic import ValidationError

from shared.settings import Settings


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.168.1.7", "::", "example.org", ""])
def test_any_address_but_loopback_is_refused_until_logins_exist(bind):
    with pytest.raises(ValidationError, match="no logins yet"):
        Settings(bind=bind)


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_taken(bind):
    assert Settings(bind=bind).bind == bind


def test_upstreams_may_have_topics_of_their_own(monkeypatch):
    monkeypatch.setenv("MAKEGOOD_SUBMISSIONS", "complaints.submissions, complaints.submissions.shop")
    assert Settings().submission_topics == ("complaints.submissions", "complaints.submissions.shop")
