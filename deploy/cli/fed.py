"""Which samples a home was fed whole: again, they would only repeat what is known. A convenience: without the note all is the same."""

import json
from pathlib import Path
from typing import Any

from deploy.sample.summary import Summary

FILE = "samples.json"
"""In the home: by seed, what became of the last sample of it that was fed to its end."""


def note(home: Path, seed: int, summary: Summary) -> None:
    """Notes a sample that was worked to its end. One that was not is left to be gone on with."""
    if summary.unanswered or summary.unexpected:
        return
    new = (home / FILE).with_suffix(".new")
    new.write_text(json.dumps(_read(home) | {str(seed): summary.as_dict()}, indent=1))
    new.replace(home / FILE)


def known(home: Path, seed: int, complaints: int) -> dict[str, Any] | None:
    """What became of this very sample; None where it was not fed yet, or not as many."""
    found = _read(home).get(str(seed))
    return found if isinstance(found, dict) and found.get("complaints") == complaints else None


def _read(home: Path) -> dict[str, Any]:
    try:
        found = json.loads((home / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
