"""What an event says, in a line: the field that somebody who reads a history looks for. All the rest of it stands in its data.

Said when it is read: nothing of it is kept, and a better line is there for all that has happened so far.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from shared.contract import intake, machine, resolution, rootcause
from shared.contract.catalogue import EVENTS
from shared.contract.said import Event
from shared.contract.upcasts import newest, read_event
from shared.contract.values import PromiseTerms, Proof

LINE_MAX = 300
"""Of a line, in characters; only what was refused, and why something is parked, is never cut."""


def in_a_line(type_name: str, body: bytes) -> str | None:
    """What a row of the story says. None where its name says it all, or it is a request: that is the other stream's to tell."""
    if newest(type_name) not in EVENTS:
        return None
    event = read_event(type_name, body, EVENTS)
    match event:
        case machine.CommandRefused(why=why):
            return why
        case machine.InputParked(reason=reason):
            return reason
        case _:
            pass
    said = _talk(event) or _own(event) or _case(event) or _learning(event) or _machine(event)
    if said is None:
        return None
    line = " ".join(said.split())
    return line if len(line) <= LINE_MAX else line[: LINE_MAX - 1] + "…"


def moment(at: datetime) -> str:
    """A moment as it is said: UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _talk(event: Event) -> str | None:
    """What intake and resolution both say."""
    match event:
        case intake.PromiseMade(promise=terms) | resolution.PromiseMade(promise=terms):
            return _promise(terms)
        case intake.PromiseKept(by=by) | resolution.PromiseKept(by=by):
            return f"by {by}"
        case intake.PromiseRenegotiated() | resolution.PromiseRenegotiated():
            return f"{_promise(event.becomes)}: {event.reason}"
        case intake.PromiseBroken(due_at=due) | resolution.PromiseBroken(due_at=due):
            return f"it was due {moment(due)}"
        case intake.MisunderstandingRaised() | resolution.MisunderstandingRaised():
            return f"understood: {event.understood.rstrip('.')}; meant: {event.meant.rstrip('.')}"
        case intake.MisunderstandingCleared() | resolution.MisunderstandingCleared():
            return event.now_understood or _proof(event.proof)
        case intake.ReplyReceived(text=text) | resolution.ReplyReceived(text=text):
            return text
        case intake.ReplyNoted(reply_id=reply) | resolution.ReplyNoted(reply_id=reply):
            return f"reply {reply}"
        case resolution.OwnerChanged(to=to) | rootcause.OwnerChanged(to=to):
            return to
        case intake.StaleFactIgnored() | resolution.StaleFactIgnored() | rootcause.StaleFactIgnored():
            return f"{_words(event.fact)}, of generation {event.generation}; it is in {event.current}"
        case _:
            return None


def _own(event: Event) -> str | None:
    match event:
        case intake.ComplaintReceived():
            return event.summary or event.issue or event.narrative
        case intake.SubmissionRepeated(update=update, upstream_version=version):
            return ("an update" if update else "nothing new") + (f", version {version}" if version else "")
        case intake.SubmissionConflicted():
            return "something else under the same reference and version: both are kept"
        case intake.ComplaintClassified():
            return f"{event.product}: {event.defect_kind}, {event.severity}{', central' if event.central else ''}"
        case intake.OwnerAssigned(owner=owner):
            return owner
        case intake.OwnershipAccepted(owner=owner, taken_from=before):
            return f"{owner}, from {before}" if before else owner
        case intake.OwnershipTransferred():
            return f"from {event.giver} to {event.to}: {event.reason}"
        case intake.AcknowledgementSent(text=text):
            return text
        case intake.NeedStated(need=need, expected_by=by):
            return f"{need} (by {moment(by)})" if by else need
        case intake.ComplaintOwned(owner=owner, next_step=step):
            return f"{owner}; next step: {_promise(step)}"
        case intake.ComplaintWithdrawn(reason=reason, proof=proof):
            return reason or _proof(proof)
        case intake.ComplaintReopened(why=why):
            return why
        case intake.CustomersEndingNoted(ending=ending):
            return ending
        case intake.LearningNoted(outcome=outcome):
            return _words(outcome)
        case intake.ComplaintSettled():
            return f"{event.ending}, {_words(event.outcome)}"
        case _:
            return None


def _case(event: Event) -> str | None:
    match event:
        case resolution.CaseOpened(need=need) | resolution.CaseReopened(need=need):
            return need
        case resolution.ObligationsTakenOver(promises=promises):
            return _and(map(_promise, promises)) or "no open promise"
        case resolution.CaseClosed(because=because):
            return because
        case resolution.InvestigationRecorded(facts=facts):
            return facts
        case resolution.DecisionMade():
            gives = [f"{one.what}{f' ({one.amount.amount} {one.amount.currency})' if one.amount else ''}" for one in event.remedies]
            return _and([f"{_words(event.verdict)}: {' '.join(event.reasons)}", *gives, *filter(None, [event.no_alternative])])
        case resolution.CounterOfferMade(offer=offer):
            return f"{offer.can_do}{f', by {moment(offer.by)}' if offer.by else ''}; asked: {offer.asked}"
        case resolution.CounterOfferAccepted(proof=proof) | resolution.CounterOfferRefused(proof=proof):
            return _proof(proof)
        case resolution.FixStarted(what=what):
            return what
        case resolution.FixCompleted(what=what, evidence=evidence):
            return _and(filter(None, [what, evidence]))
        case resolution.Delivered():
            return _and([event.what, event.how, f"evidence: {event.evidence}"])
        case resolution.DeliveryConfirmed(words=words, proof=proof):
            return words or _proof(proof)
        case resolution.DeliveryObjected():
            return f"{_words(event.because)}: {event.reason}"
        case resolution.ExplanationGiven(text=text):
            return text
        case _:
            return None


def _learning(event: Event) -> str | None:
    match event:
        case rootcause.LearningOpened(trigger=why) | rootcause.LearningResumed(trigger=why) | rootcause.LearningSuspended(because=why):
            return why
        case rootcause.CauseRecorded():
            return f"{event.kind}, faltered in {event.faltered}: {event.what}"
        case rootcause.CauseVerified() | rootcause.CauseRefuted():
            return f"{event.how}: {event.evidence}"
        case rootcause.CauseSearchEscalated(refuted=refuted):
            return f"{refuted} causes were refuted"
        case rootcause.ContainmentRecorded(what=what) | rootcause.ProblemContainmentRecorded(what=what):
            return what
        case rootcause.LookedSideways():
            return f"{', '.join(event.looked_at)}: {event.found or 'nothing found'}"
        case rootcause.NoFaultRecorded():
            return f"{event.evidence} Expected otherwise because: {event.expected_because}"
        case rootcause.CorrectionPlanned() | rootcause.ProblemCorrectionPlanned():
            return f"{event.kind}: {event.what} ({event.owner}, due {moment(event.due_at)})"
        case rootcause.CorrectionCompleted(evidence=evidence) | rootcause.ProblemCorrectionCompleted(evidence=evidence):
            return evidence
        case rootcause.ProblemJoinSought(problem_id=problem):
            return f"problem {problem}"
        case rootcause.CorrectionJoined():
            return f"problem {event.problem_id}: {event.correction.owner}, due {moment(event.correction.due_at)}"
        case rootcause.JoinRefused(why=why):
            return why
        case rootcause.LearningClosed(outcome=outcome, reason=reason):
            return f"{_words(outcome)}{f': {reason}' if reason else ''}"
        case rootcause.ProblemOpened():
            return f"{event.title}: {event.symptom}"
        case rootcause.ComplaintAttributed(complaint_id=complaint):
            return f"complaint {complaint}"
        case rootcause.JoinAnswered(complaint_id=complaint, why_not=why_not):
            return f"complaint {complaint}: {why_not or 'there is a correction to join'}"
        case _:
            return None


def _machine(event: Event) -> str | None:
    match event:
        case machine.NothingChanged():
            return "it is so already"
        case machine.InputWaiting(behind=behind):
            return f"behind the parked input of journal entry {behind}" if behind else "behind others that wait their turn"
        case machine.InputTakenUp(entry=entry):
            return f"what was told in journal entry {entry} is decided"
        case machine.ParkedRetried(entry=entry, reason=reason, corrected=corrected):
            return f"the input of journal entry {entry} is decided again{', with another body' if corrected else ''}: {reason}"
        case machine.ParkedDiscarded(entry=entry, reason=reason):
            return f"the input of journal entry {entry} is given up: {reason}"
        case machine.MessageRepeated():
            return "this message was answered before"
        case machine.PolicyAdopted(name=name, version=version):
            return f"{name}, version {version}"
        case machine.JournalSealed(entry=entry):
            return f"up to journal entry {entry}"
        case _:
            return None


def _promise(terms: PromiseTerms) -> str:
    return f"{terms.what.rstrip('.')}, due {moment(terms.due_at)}"


def _proof(proof: Proof) -> str:
    return f"proof: {proof.kind} {proof.ref}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _and(parts: Iterable[str]) -> str:
    """Parts one after another: what is a sentence by itself needs no more between."""
    line = ""
    for part in parts:
        line += ("" if not line else " " if line.endswith((".", "!", "?")) else "; ") + part
    return line
