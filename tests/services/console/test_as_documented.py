"""The read side does what its OpenAPI document says, whatever is asked of it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import positive_data_acceptance

from services.console.app import make_app
from shared.machine.figures import Figures
from shared.settings import Settings

EXAMPLES = 30
READ = sorted(path for path, said in make_app(Settings(), Figures("console")).openapi()["paths"].items() if "get" in said)


@pytest.fixture(scope="module")
def document(system):
    system.submit()
    return schemathesis.openapi.from_url(f"{system.console}/openapi.json")


@pytest.mark.parametrize("path", READ)
def test_every_answer_is_as_documented(document, path):
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=document[path]["GET"].as_strategy())
    def holds(case):
        case.call_and_validate(excluded_checks=[positive_data_acceptance])  # no schema says which places in a list there are

    holds()
