"""A log says what failed and where, never what somebody wrote, and no password."""

import json
import subprocess
import sys

SCRIPT = """
import asyncio, logging, structlog
from shared.machine import store
from shared.telemetry import log_to_stderr, _nobody_asked

log_to_stderr("INFO", "intake")

def fails():
    try:
        raise KeyError("secret words")
    except KeyError as error:
        raise ValueError("secret words, too") from error

try:
    fails()
except ValueError as error:
    structlog.get_logger().error("by_structlog", exc_info=error)
    logging.getLogger("library").exception("by a library")

async def forgotten():
    asyncio.get_running_loop().set_exception_handler(_nobody_asked)
    task = asyncio.ensure_future(asyncio.to_thread(fails))
    await asyncio.sleep(0.3)
    del task

async def waits():
    try:
        async with asyncio.timeout(1):
            await store.connect("postgresql://makegood_intake:secret@127.0.0.1:1/makegood", "intake", 1)
    except TimeoutError:
        pass

asyncio.run(forgotten())
asyncio.run(waits())
"""


def test_no_error_is_logged_with_its_words_and_nothing_with_a_password():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert "secret" not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"timestamp", "level", "service", "event"} <= line.keys() for line in lines)
    failed = {line["event"]: line["exception"] for line in lines if "exception" in line}
    assert set(failed) == {"by_structlog", "by a library", "Task exception was never retrieved"}
    for way in failed.values():
        assert way[0] == "KeyError"
        assert "ValueError" in way
        assert any(line.endswith("(fails)") for line in way)
    (waiting, *_) = [line for line in lines if line["event"] == "waits"]
    assert waiting["what"] == "shared.machine.store.connect"
    assert waiting["error"].startswith("ConnectionRefusedError")
