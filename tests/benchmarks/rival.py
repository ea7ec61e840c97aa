"""Runs the plain pipeline (pipeline.py) in an environment of its own."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.bare_loop import topics
from tests.benchmarks.load import TEXT
from tests.servers import Servers

HERE = Path(__file__).parent


def environment(home: Path) -> Path:
    """Its Python, made the first time: the packages of pipeline.txt, by their hashes."""
    python = home / "bench" / "bin" / "python"
    wanted, there = (HERE / "pipeline.txt").read_bytes(), home / "bench" / "installed.txt"
    if not there.exists() or there.read_bytes() != wanted:
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, python.parents[1]], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", HERE / "pipeline.txt"], check=True)
        there.write_bytes(wanted)
    return python


async def run(python: Path, servers: Servers, name: str, records: int, streams: int) -> float:
    """Events per second."""
    told = ["--kafka", servers.kafka, "--dsn", await servers.fresh_database(), "--records", str(records)]
    told += ["--streams", str(streams), "--text", TEXT]
    async with topics(servers.kafka, f"{name}.in", f"{name}.out"):
        places = ["--input", f"{name}.in", "--output", f"{name}.out"]
        process = await asyncio.create_subprocess_exec(python, HERE / "pipeline.py", *told, *places, stdout=subprocess.PIPE)
        said, _ = await process.communicate()
    return float(json.loads(said)["events_per_s"])
