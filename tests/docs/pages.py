"""What stands in a page: its blocks of code, and running them as they stand there."""

import os
import re
import subprocess
from pathlib import Path

from tests.system import NAMES

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 120


def blocks(page, language):
    """The blocks of code in a language, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [code for found, code in BLOCK.findall(text) if found == language]


def environment(system, **more):
    """Of somebody who has the running system at hand."""
    usual = {name: value for name, value in os.environ.items() if name not in NAMES}
    return {**usual, "MAKEGOOD_HOME": str(system.home), "PYTHONPATH": str(ROOT), **more}


def run(words, env, code=0):
    """What a command printed, which ends as expected."""
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def in_shell(script, env):
    """What a script printed, of which no line failed."""
    return run(["bash", "-euo", "pipefail", "-c", script], env)
