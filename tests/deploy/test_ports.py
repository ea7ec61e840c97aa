import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.local.ports import HIGHEST, LOOPBACK, LOWEST, Ports, free_port, is_free


@pytest.fixture
def file(tmp_path):
    return tmp_path / "home" / "ports.json"


def listening(port, address=LOOPBACK):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen()
    return server


def test_a_port_is_the_same_tomorrow(file):
    ports = {name: Ports(file).keep(name) for name in ("kafka", "postgres")}
    again = Ports(file)
    assert {name: again.keep(name) for name in ports} == ports
    assert again.moved == []
    assert len(set(ports.values())) == 2


def test_a_port_lies_below_those_of_outgoing_connections(file):
    assert LOWEST <= Ports(file).keep("kafka") <= HIGHEST < 32768


@pytest.mark.parametrize("address", [LOOPBACK, "0.0.0.0"])
def test_a_port_that_someone_else_took_is_replaced_and_the_new_one_kept(file, address):
    old = Ports(file).keep("kafka")
    with listening(old, address):
        ports = Ports(file)
        new = ports.keep("kafka")
        assert new != old
        assert ports.moved == [f"another program has port {old}, so kafka moves to {new}"]
    assert Ports(file).keep("kafka") == new


def test_a_connection_that_lingers_after_its_server_stopped_does_not_take_the_port():
    port = free_port()
    with listening(port) as server, socket.create_connection((LOOPBACK, port)) as client:
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        assert client.recv(1) == b""
    assert is_free(port)


def test_two_that_ask_at_once_get_two_ports(file):
    ports = Ports(file)
    names = [f"service {number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        kept = dict(zip(names, pool.map(ports.keep, names), strict=True))
    assert len(set(kept.values())) == len(names)
    assert json.loads(file.read_text()) == kept


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kafka": "many"}'])
def test_a_file_that_says_nothing_is_written_anew(file, text):
    file.parent.mkdir()
    file.write_text(text)
    port = Ports(file).keep("kafka")
    assert Ports(file).keep("kafka") == port
