"""What these tests stand on."""

import pytest

from deploy.local.ports import Ports
from tests.system import system  # noqa: F401 - a fixture


@pytest.fixture
def ports(tmp_path):
    """The ports of a test's own servers."""
    return Ports(tmp_path / "ports.json")
