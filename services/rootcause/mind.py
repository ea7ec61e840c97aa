"""The mind of rootcause, put together."""

from services.rootcause import learning, problem
from services.rootcause.react import react
from services.rootcause.translate import HEARS, translate
from shared.contract.rootcause import ROOTCAUSE_COMMANDS, ROOTCAUSE_EVENTS
from shared.machine.mind import Mind

MIND = Mind(
    service="rootcause",
    own_rules=1,
    streams={"learning": learning.STREAM, "problem": problem.STREAM},
    commands=ROOTCAUSE_COMMANDS,
    events=ROOTCAUSE_EVENTS,
    hears=HEARS,
    hears_from=("intake", "resolution"),
    listener="learning",
    translate=translate,
    react=react,
)
