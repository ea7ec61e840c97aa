"""The mind of resolution, put together."""

from services.resolution import case
from services.resolution.react import react
from services.resolution.translate import HEARS, translate
from shared.contract.resolution import RESOLUTION_COMMANDS, RESOLUTION_EVENTS
from shared.machine.mind import Mind

MIND = Mind(
    service="resolution",
    own_rules=1,
    streams={"case": case.STREAM},
    commands=RESOLUTION_COMMANDS,
    events=RESOLUTION_EVENTS,
    hears=HEARS,
    hears_from=("intake",),
    listener="case",
    translate=translate,
    react=react,
)
