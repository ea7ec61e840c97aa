import pytest

from tests.servers import engine_silence, started, way


@pytest.fixture
def no_engine(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")


def test_servers_are_embedded_where_no_engine_answers(no_engine, monkeypatch):
    monkeypatch.delenv("MAKEGOOD_TEST_SERVERS", raising=False)
    assert engine_silence()
    assert way() == "embedded"


def test_containers_that_are_asked_for_without_an_engine_are_an_error_that_says_so(no_engine, monkeypatch):
    monkeypatch.setenv("MAKEGOOD_TEST_SERVERS", "containers")
    with pytest.raises(RuntimeError, match="no Docker engine answers"), started():
        pass


def test_a_way_that_there_is_not_is_an_error(monkeypatch):
    monkeypatch.setenv("MAKEGOOD_TEST_SERVERS", "magic")
    with pytest.raises(RuntimeError, match="say containers or embedded"):
        way()


async def test_every_test_can_have_a_database_and_a_topic_of_its_own(servers):
    assert await servers.fresh_database() != await servers.fresh_database()
    assert servers.fresh_topic() != servers.fresh_topic()
