"""The settings as a page."""

from pydantic.fields import FieldInfo

from deploy.reference.markdown import WRITTEN, table
from shared.settings import Settings

INTRODUCTION = """# Settings

From the environment of each process. `makegood up` gives its services what they need; on servers of your own (see
[operations](../operations.md)) each process needs those that name it in the third column, and the same values everywhere. What nothing
is said about has its default.

"""
ELSEWHERE = """
Not settings, but read as well: `M2_REPO` names the folder where the jars of the embedded Kafka are kept (default `~/.m2/repository`), and
the tests read `MAKEGOOD_TEST_SERVERS` and `MAKEGOOD_TEST_WITHOUT_MOUNTS` (see [contributing](../../CONTRIBUTING.md)).
"""


def page() -> str:
    """Every setting: its variable, its default, who reads it and what it means."""
    prefix = Settings.model_config["env_prefix"]
    rows = [
        (f"`{prefix}{name.upper()}`", f"`{field.default}`" if str(field.default) else "", _read_by(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return WRITTEN + INTRODUCTION + table(("variable", "default", "read by", "meaning"), rows) + ELSEWHERE


def _read_by(field: FieldInfo) -> str:
    told = field.json_schema_extra
    assert isinstance(told, dict), "each setting says who reads it"
    return str(told["read_by"])
