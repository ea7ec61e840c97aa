import re
from pathlib import Path

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


def test_there_is_no_other_tenant_yet():
    assert Settings(tenant="default").tenant == "default"
    with pytest.raises(ValidationError, match="there is only the tenant default yet"):
        Settings(tenant="acme")


@pytest.mark.parametrize("level", ["loud", "", "CRITICAL", "INFO "])
def test_a_log_level_that_there_is_not_is_refused_with_those_that_there_are(level):
    with pytest.raises(ValidationError, match="say DEBUG, INFO, WARNING or ERROR"):
        Settings(log_level=level)


def test_a_log_level_may_be_written_small():
    assert Settings(log_level="debug").log_level == "DEBUG"


VARIABLE = re.compile(r"MAKEGOOD_[A-Z_]+[A-Z]")
ROOT = Path(__file__).parents[2]
READERS = [path for room in ("shared", "services", "deploy", "tests") for path in (ROOT / room).rglob("*.py")]


def test_every_variable_that_any_code_names_is_on_the_page_of_settings():
    named = {name for path in [*READERS, ROOT / "Makefile", ROOT / ".ci" / "run"] for name in VARIABLE.findall(path.read_text("utf-8"))}
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    assert named | {f"MAKEGOOD_{name.upper()}" for name in Settings.model_fields} == set(VARIABLE.findall(page))


def test_every_setting_says_who_reads_it():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.json_schema_extra["read_by"], name
