"""The mind of intake, put together."""

from uuid import UUID

from services.intake import complaint
from services.intake.react import react
from services.intake.translate import HEARS, translate
from shared.contract.envelope import complaint_id
from shared.contract.intake import INTAKE_COMMANDS, INTAKE_EVENTS, ReportFinding, SubmitComplaint
from shared.contract.said import Command
from shared.machine.mind import Mind


def stream_of(command: Command) -> UUID | None:
    """The complaint that a submission tells of: its source and reference are its identity."""
    match command:
        case SubmitComplaint(source=source, ref=ref) | ReportFinding(source=source, ref=ref):
            return complaint_id(source, ref)
        case _:
            return None


def source_of(command: Command) -> str:
    """The upstream that tells of it, or the team that found it."""
    return command.source if isinstance(command, SubmitComplaint | ReportFinding) else ""


MIND = Mind(
    service="intake",
    own_rules=1,
    streams={"complaint": complaint.STREAM},
    commands=INTAKE_COMMANDS,
    events=INTAKE_EVENTS,
    hears=HEARS,
    hears_from=("resolution", "rootcause"),
    listener="complaint",
    submission=SubmitComplaint,
    translate=translate,
    react=react,
    stream_of=stream_of,
    source_of=source_of,
)
