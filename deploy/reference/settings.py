"""The settings as a page."""

from deploy.reference.markdown import WRITTEN, table
from shared.settings import Settings


def page() -> str:
    """Every setting: its variable, its default and what it means."""
    prefix = Settings.model_config["env_prefix"]
    rows = [(f"`{prefix}{name.upper()}`", f"`{field.default}`", field.description or "") for name, field in Settings.model_fields.items()]
    return WRITTEN + "# Settings\n\nFrom the environment, the same for every process.\n\n" + table(("variable", "default", "meaning"), rows)
