"""Submissions: what an upstream tells again about a complaint that we have. Another state of its record never moves our stages.

The same content is a repeat. Other content is an update where it bears a version that was not told before, and a conflict otherwise: two
contents for one version cannot both be right, and somebody has to look.
"""

from dataclasses import dataclass, field
from itertools import islice

from shared.contract.intake import ReportFinding, SubmissionConflicted, SubmissionRepeated, SubmitComplaint
from shared.machine.mind import Context
from shared.obligations.sameness import fingerprint

CONTENTS_MAX = 100
"""Most contents of one complaint that are remembered, the newest of them. What fell out and is told again counts as new: an update where
it has a version, else another conflict. Neither moves a stage."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What was told about one complaint."""

    newest: str | None = None
    """The digest of the newest content that is no conflict."""
    versions: dict[str, str | None] = field(default_factory=dict)
    """The digests of the contents and the version that each holds, in the order in which they came. A conflicting one holds none."""


def answer(contents: Contents, told: SubmitComplaint | ReportFinding, context: Context) -> SubmissionRepeated | SubmissionConflicted:
    """What it is to tell this about a complaint that we have."""
    digest, version = fingerprint(told), told.upstream_version
    update = False
    if digest != contents.newest and digest not in contents.versions:
        known = contents.newest if version is None else holder(contents, version)
        if known is not None:
            return SubmissionConflicted(known=known, digest=digest, input_id=context.input_id)
        update = True
    return SubmissionRepeated(content_digest=digest, update=update, upstream_version=version, input_id=context.input_id)


def holder(contents: Contents, version: str) -> str | None:
    """The digest of the content that holds this version."""
    return next((digest for digest, held in contents.versions.items() if held == version), None)


def with_content(contents: Contents, digest: str, version: str | None) -> Contents:
    """What was told, and one more content, which is the newest."""
    return Contents(newest=digest, versions=_and(contents.versions, digest, version))


def with_conflict(contents: Contents, digest: str) -> Contents:
    """What was told, and one more content that conflicts with it."""
    return Contents(newest=contents.newest, versions=_and(contents.versions, digest, None))


def _and(versions: dict[str, str | None], digest: str, version: str | None) -> dict[str, str | None]:
    """One more; the oldest fall out."""
    whole = {**versions, digest: version}
    return dict(islice(whole.items(), max(0, len(whole) - CONTENTS_MAX), None))
