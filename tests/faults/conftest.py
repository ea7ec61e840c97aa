from tests.system import system  # noqa: F401 - a fixture
