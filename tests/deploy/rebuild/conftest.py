"""What these tests stand on."""

from tests.system import system  # noqa: F401 - a fixture
