"""Reading the shipped policies. Start-up code, never called by a mind."""

import tomllib
from pathlib import Path

from shared.contract.machine import PublishPolicy
from shared.policy.model import Policy

SHIPPED = Path(__file__).parent


def shipped_body(name: str = "default") -> bytes:
    """The command that publishes a shipped policy: what an installation begins with."""
    document = tomllib.loads((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))
    return PublishPolicy(policy=document).to_bytes()


def shipped(name: str = "default") -> Policy:
    """A shipped policy by its name. Raises FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError."""
    return Policy.model_validate(tomllib.loads((SHIPPED / f"{name}.toml").read_text(encoding="utf-8")))
