"""The jars of the embedded Kafka: fetched once from Maven Central, checked against their pinned hashes at every start.

jgo writes a download straight to its final place, so an interrupted one would pass for whole ever after. Here each jar is fetched into a
folder of its own, checked, and only then moved to where it belongs.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext

LIST = Path(__file__).with_name("jars.txt")
AT_ONCE = 6
"""Downloads side by side."""


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


def repository(home: Path) -> Path:
    """Where jars are kept: the user's Maven repository, shared between installations, or the home's own where that can't be written."""
    shared = Path(os.environ.get("M2_REPO") or Path("~/.m2/repository").expanduser())
    try:
        shared.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=shared):
            return shared
    except (OSError, RuntimeError):
        own = home / "jars"
        own.mkdir(parents=True, exist_ok=True)
        return own


def class_path(home: Path, tell: Callable[[str], None] = lambda _: None) -> list[Path]:
    """The paths of all jars, fetching those that are not here yet (45 MB in all).

    Args:
        home: The installation's home, the place of last resort for the jars.
        tell: Is told, in a sentence, that something is being fetched.

    Raises:
        JarsMissing: when one could not be had; the message says what to do.
    """
    kept = repository(home)
    jars = pinned()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        missing = [jar for jar, good in zip(jars, pool.map(lambda jar: _is_good(kept / jar.path, jar), jars), strict=True) if not good]
        if missing:
            tell(f"fetching {len(missing)} jars of Kafka from Maven Central into {kept}")
            try:
                list(pool.map(lambda jar: _fetch(kept, jar), missing))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [kept / jar.path for jar in jars]


def _is_good(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False


def _fetch(kept: Path, jar: Jar) -> None:
    with tempfile.TemporaryDirectory(prefix=".makegood-", dir=kept) as folder:
        context = MavenContext(repo_cache=Path(folder))
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        try:
            fetched = component.artifact().resolve()
        except Exception as problem:
            raise JarsMissing(
                f"Kafka's {jar.artifact} {jar.version} is not in {kept} and could not be fetched from Maven Central "
                f"({type(problem).__name__}: {problem}). Check the connection, or copy a Maven repository that has it there "
                "(M2_REPO names another), or set MAKEGOOD_KAFKA and MAKEGOOD_DATABASE to servers of your own."
            ) from problem
        if not _is_good(fetched, jar):
            raise JarsMissing(f"what Maven Central gave for {jar.artifact} {jar.version} is not the file that is pinned in {LIST.name}")
        final = kept / jar.path
        final.parent.mkdir(parents=True, exist_ok=True)
        fetched.replace(final)
