"""The jars come from a repository of our own here, over HTTP: it can break off, lie, and go away."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.local import jars
from deploy.local.jars import JarsMissing, class_path, pinned

BODIES = {f"jar-{number}": f"the classes of jar {number}".encode() * 1000 for number in range(4)}
PATHS = {f"/org/example/{name}/1.0/{name}-1.0.jar": body for name, body in BODIES.items()}


class Repository(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path not in PATHS:  # checksums: not every repository has them
            self.send_error(404)
            return
        self.server.asked.append(self.path)
        body = self.server.bodies.get(self.path, PATHS[self.path])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks_off > 0 and self.path.endswith("jar-2-1.0.jar"):
            self.server.breaks_off -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@pytest.fixture
def central(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Repository) as server:
        server.asked, server.bodies, server.breaks_off = [], {}, 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MAKEGOOD_MAVEN", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


@pytest.fixture
def kept(tmp_path, monkeypatch, central):
    """The user's Maven repository: empty."""
    listed = tmp_path / "jars.txt"
    listed.write_text("# name\n" + "".join(f"org.example:{name}:1.0 {hashlib.sha256(body).hexdigest()}\n" for name, body in BODIES.items()))
    monkeypatch.setattr(jars, "LIST", listed)
    monkeypatch.setattr(jars, "PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    return tmp_path / "m2"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def bodies(paths):
    return [path.read_bytes() for path in paths]


def test_they_are_fetched_once_and_then_found_without_a_network(home, kept, central):
    told = []
    paths = class_path(home, told.append)
    assert bodies(paths) == list(BODIES.values())
    assert told == [f"fetching 4 jars of Kafka from Maven Central into {kept}"]
    central.shutdown()
    assert class_path(home, told.append) == paths
    assert (len(central.asked), len(told)) == (4, 1)


def test_they_lie_where_maven_itself_would_look(home, kept):
    assert class_path(home)[0] == kept / "org" / "example" / "jar-0" / "1.0" / "jar-0-1.0.jar"


def test_a_download_that_breaks_off_is_tried_again(home, kept, central):
    central.breaks_off = 2
    assert bodies(class_path(home)) == list(BODIES.values())
    assert len(central.asked) == 6


def test_a_download_that_always_breaks_off_leaves_nothing_half_and_the_next_start_goes_on(home, kept, central):
    central.breaks_off = 3
    with pytest.raises(JarsMissing, match=r"jar-2 1\.0 is not in .*could not be fetched.*M2_REPO"):
        class_path(home)
    assert not (kept / pinned()[2].path).exists()
    assert bodies(class_path(home)) == list(BODIES.values())


def test_what_a_killed_program_left_half_fetched_is_fetched_anew(home, kept, central):
    class_path(home)
    half = kept / pinned()[1].path
    half.write_bytes(half.read_bytes()[:100])
    beside = kept / jars.HALF_FETCHED / "jar-1" / pinned()[1].path
    beside.parent.mkdir(parents=True)
    beside.write_bytes(b"half")
    assert bodies(class_path(home)) == list(BODIES.values())
    assert len(central.asked) == 5
    assert not (kept / jars.HALF_FETCHED).exists()


def test_another_file_than_the_pinned_one_is_refused(home, kept, central):
    [path] = [path for path in PATHS if "jar-3" in path]
    central.bodies = {path: b"something else altogether"}
    with pytest.raises(JarsMissing, match=r"jar-3 1\.0 is not the file that is pinned"):
        class_path(home)
    assert not (kept / pinned()[3].path).exists()


def test_nobody_there_is_an_error_that_says_what_to_do(home, kept, monkeypatch):
    monkeypatch.setenv("MAKEGOOD_MAVEN", "http://127.0.0.1:1")
    with pytest.raises(JarsMissing, match="Check the connection, name a mirror in MAKEGOOD_MAVEN"):
        class_path(home)


def test_two_at_once_fetch_each_jar_once(home, kept, central):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: class_path(home), range(2))
    assert first == second
    assert sorted(central.asked) == sorted(PATHS)


def test_they_are_kept_in_the_home_where_the_users_repository_cannot_be_written(home, kept, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("M2_REPO", str(tmp_path / "file" / "m2"))
    assert class_path(home)[0].is_relative_to(home / "jars")


def test_a_repository_that_has_them_is_used_even_where_it_cannot_be_written(home, kept, monkeypatch):
    class_path(home)
    monkeypatch.setattr(jars, "_can_be_written", lambda place: pytest.fail(f"{place} need not be written"))
    assert class_path(home)[0].is_relative_to(kept)


def test_the_shipped_list_is_kafka_and_all_it_needs_each_with_its_hash():
    names = [jar.artifact for jar in pinned()]
    assert len(names) == len(set(names)) == 46
    assert {jar.version for jar in pinned() if jar.group == "org.apache.kafka"} == {"4.3.1"}
    assert {len(jar.sha256) for jar in pinned()} == {64}
