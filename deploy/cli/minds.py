"""The minds of the deciding services, and how each reads its topics: what a proof is given."""

from collections.abc import Mapping

from deploy.cli.place import minds as names_of
from services.intake.mind import MIND as INTAKE
from services.resolution.mind import MIND as RESOLUTION
from services.rootcause.mind import MIND as ROOTCAUSE
from shared.machine.mind import Mind

MINDS: Mapping[str, Mind] = {mind.service: mind for mind in (INTAKE, RESOLUTION, ROOTCAUSE)}
"""By service, in the order of the stages."""


def minds_of(service: str | None) -> list[Mind]:
    """All of them, or the one that is named. Ends the command where there is none of that name."""
    return [MINDS[name] for name in names_of(service)]
