"""Reading the shipped policies. Start-up code, never called by a mind."""

import tomllib
from pathlib import Path

from shared.policy.model import Policy

SHIPPED = Path(__file__).parent


def shipped(name: str = "default") -> Policy:
    """A shipped policy by its name. Raises FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError."""
    return Policy.model_validate(tomllib.loads((SHIPPED / f"{name}.toml").read_text(encoding="utf-8")))
