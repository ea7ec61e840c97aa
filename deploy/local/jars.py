"""The jars of the embedded Kafka: fetched once from Maven Central, checked against their pinned hashes at every start.

jgo writes a download straight to its final place, so an interrupted one would pass for whole ever after. Here jars are fetched into a
folder beside, checked, and only then moved to where they belong. One program at a time fetches; the next one finds them there.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import truststore

from shared.settings import load

LIST = Path(__file__).with_name("jars.txt")
AT_ONCE = 6
"""Downloads side by side."""
TRIES = 3
"""So often is one download tried."""
PAUSE_SECONDS = 1.0
"""Between two of them."""
HALF_FETCHED = ".makegood"
"""The folder beside, inside the repository."""


class JarsMissing(RuntimeError):
    """A jar is not here and could not be fetched, or is not the one that is pinned."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where it lies inside a Maven repository."""
        return Path(*self.group.split("."), self.artifact, self.version, f"{self.artifact}-{self.version}.jar")


def pinned() -> list[Jar]:
    """The jars that the embedded Kafka is made of, in the order of its class path."""
    lines = (line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#"))
    return [Jar(group, artifact, version, sha256) for coordinates, sha256 in lines for group, artifact, version in [coordinates.split(":")]]


def class_path(home: Path, tell: Callable[[str], None] = lambda _: None) -> list[Path]:
    """The paths of all jars, fetching those that are not here yet (45 MB in all).

    They are kept in the user's Maven repository, where installations share them, or in the home where that can't be written.

    Args:
        home: The installation's home.
        tell: Is told, in a sentence, that something is being fetched.

    Raises:
        JarsMissing: when one could not be had; the message says what to do.
    """
    shared, own = Path(os.environ.get("M2_REPO") or Path("~/.m2/repository").expanduser()), home / "jars"
    kept = next((place for place in (shared, own) if not _missing(place)), None)
    if kept is None:
        kept = next(place for place in (shared, own) if _can_be_written(place) or place is own)
        with _alone(kept):
            missing = _missing(kept)
            if missing:
                tell(f"fetching {len(missing)} jars of Kafka from Maven Central into {kept}")
                _fetch_all(missing, kept)
    return [kept / jar.path for jar in pinned()]


def _can_be_written(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


def _missing(kept: Path) -> list[Jar]:
    jars = pinned()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [jar for jar, good in zip(jars, pool.map(lambda jar: _is_good(kept / jar.path, jar), jars), strict=True) if not good]


def _is_good(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False


@contextlib.contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Waits until nobody else fetches into this repository."""
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / f"{HALF_FETCHED}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_all(missing: list[Jar], kept: Path) -> None:
    beside = kept / HALF_FETCHED
    shutil.rmtree(beside, ignore_errors=True)  # what an interrupted attempt left
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            list(pool.map(lambda jar: _fetch(jar, beside / jar.artifact, kept), missing))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    shutil.rmtree(beside, ignore_errors=True)


def _fetch(jar: Jar, beside: Path, kept: Path) -> None:
    try:
        fetched = _downloaded(jar, beside)
    except Exception as problem:
        raise JarsMissing(
            f"Kafka's {jar.artifact} {jar.version} is not in {kept} and could not be fetched from Maven Central "
            f"({type(problem).__name__}: {problem}). Check the connection, name a mirror in MAKEGOOD_MAVEN, copy a Maven repository "
            "that has it there (M2_REPO names another), or set MAKEGOOD_KAFKA and MAKEGOOD_DATABASE to servers of your own."
        ) from problem
    if not _is_good(fetched, jar):
        raise JarsMissing(f"what Maven Central gave for {jar.artifact} {jar.version} is not the file that is pinned in {LIST.name}")
    final = kept / jar.path
    final.parent.mkdir(parents=True, exist_ok=True)
    fetched.replace(final)


def _downloaded(jar: Jar, beside: Path) -> Path:
    """From Maven Central, or from the mirror of it that MAKEGOOD_MAVEN names; the certificates that the system trusts are trusted."""
    truststore.inject_into_ssl()  # before jgo brings in what makes connections
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    central = {"central": load().maven or MAVEN_CENTRAL_URL}
    for tries_left in reversed(range(TRIES)):
        shutil.rmtree(beside, ignore_errors=True)  # jgo would take what a broken download left there for whole
        found = MavenContext(repo_cache=beside, remote_repos=central).project(jar.group, jar.artifact).at_version(jar.version).artifact()
        try:
            return found.resolve()
        except OSError:  # what requests raises, too
            if not tries_left:
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")
