"""Own: from the first word until somebody answers for it. Each `yield` is a place at which a script can stop."""

from collections.abc import Iterator

from deploy.sample.house import phrases
from deploy.sample.scripts import EventOf, IdOf, Soon, fact
from deploy.sample.slips import tempt
from deploy.sample.upstream import submitted
from deploy.sample.writing import Pen
from shared.contract import intake
from shared.contract.refusals import Rule
from shared.contract.resolution import CaseOpened, CaseReopened

BROKEN_SECONDS = 3
"""How soon a promise is due that nobody keeps."""


def own(pen: Pen) -> Iterator[str]:
    """The first time."""
    submitted(pen)
    tempt(pen, "received")
    yield "received"
    if pen.plan.stops == "classified" or pen.dice.chance(0.88):
        trouble = pen.trouble
        told = {"defect_kind": trouble.defect_kind, "severity": pen.dice.pick(trouble.severity), "central": trouble.central}
        pen.ask(intake.Classify, {"product": pen.slots["product"], **told}, by=pen.matter.house.lead)
        yield "classified"
    pen.ask(intake.AssignOwner, {"owner": pen.owner.ref}, by=pen.matter.house.lead)
    tempt(pen, "assigned")
    yield "assigned"
    pen.ask(intake.AcceptOwnership)
    tempt(pen, "accepted")
    yield "accepted"
    due_at = pen.ahead(2, 5)
    pen.until(due_at)
    _acknowledged(pen, "acknowledged")
    yield "told"
    yield from _misunderstood(pen)
    _need(pen)
    yield from _handed_over(pen)
    pen.ask(intake.MakePromise, {"what": pen.words("own", "next_step"), "due_at": due_at}, name="next step")
    pen.promised.append("next step")
    yield from _more_promises(pen)
    tempt(pen, "promised")
    yield "promised"
    _owned(pen)
    tempt(pen, "owned")
    yield "owned"


def _acknowledged(pen: Pen, words: str, name: str = "") -> None:
    channel = pen.dice.pick(("e-mail", "telephone", "letter", pen.matter.told.channel))
    pen.ask(intake.Acknowledge, {"text": pen.words("own", words), "channel": channel}, name=name)


def _need(pen: Pen) -> None:
    told: dict[str, object] = {"need": pen.slots["need"]}
    if pen.dice.chance(0.6):
        told["expected_how"] = pen.trouble.how
    if pen.dice.chance(0.4):
        told["expected_by"] = pen.ahead(3, 9)
    pen.ask(intake.StateNeed, told)


def _misunderstood(pen: Pen) -> Iterator[str]:
    if not pen.does("held", 0.1):
        return
    misread = pen.trouble.misread
    pen.ask(intake.RaiseMisunderstanding, {"understood": pen.say(misread.understood), "meant": pen.say(misread.meant)})
    tempt(pen, "misunderstood")
    yield "held"
    reply = pen.new("reply")
    pen.ask(intake.RecordReply, _reply(pen, "understood"), name=reply)
    pen.ask(intake.ClearMisunderstanding, {"now_understood": pen.say(misread.now), "proof": pen.reply(reply)})


def _handed_over(pen: Pen) -> Iterator[str]:
    if not pen.does("handed_over", 0.09):
        return
    to = pen.another()
    how = pen.dice.pick(phrases()["own"]["hand_over"])
    pen.ask(intake.TransferOwnership, {"to": to.ref, "reason": pen.say(how["reason"]), "story": pen.say(how["story"])})
    tempt(pen, "handed over")
    yield "handed_over"
    pen.belongs_to(to)
    pen.ask(intake.AcceptOwnership)


def _more_promises(pen: Pen) -> Iterator[str]:
    """A small one that is kept, one that is moved with the customer's yes, one that nobody keeps."""
    if pen.does("small", 0.25):
        promise, reply = pen.new("small"), pen.new("reply")
        pen.ask(intake.MakePromise, {"what": pen.words("own", "small"), "due_at": pen.ahead(2, 3)}, name=promise)
        pen.ask(intake.RecordReply, _reply(pen, "replies"), name=reply)
        pen.ask(intake.KeepPromise, {"promise_id": IdOf(promise), "by": EventOf(reply)})
    if pen.does("renegotiated", 0.12):
        reply, moved = pen.new("reply"), pen.new("moved")
        pen.ask(intake.RecordReply, _reply(pen, "later_is_fine"), name=reply)
        terms = {"due_at": pen.ahead(6, 9), "reason": pen.words("own", "moved"), "proof": pen.reply(reply)}
        pen.ask(intake.RenegotiatePromise, {"promise_id": IdOf("next step"), **terms}, name=moved)
        pen.promised[pen.promised.index("next step")] = moved
        tempt(pen, "renegotiated")
    if pen.does("later", 0.15):
        later = pen.new("later")
        pen.ask(intake.MakePromise, {"what": pen.words("own", "later"), "due_at": pen.ahead(12, 28)}, name=later)
    if pen.does("broken", 0.05):
        before, promise = pen.new("reply"), "soon"
        pen.ask(intake.RecordReply, _reply(pen, "replies"), name=before)
        terms = {"what": pen.words("own", "small"), "due_at": Soon(before, BROKEN_SECONDS)}
        pen.ask(intake.MakePromise, terms, name=promise, or_refused=Rule.PROMISE_ALREADY_DUE)
        pen.wait(fact(intake.PromiseBroken))
        pen.ask(intake.Acknowledge, {"text": pen.words("own", "sorry"), "channel": "telephone"}, only_with=promise)
        tempt(pen, "broken")
        yield "broken"


def _reply(pen: Pen, words: str) -> dict[str, object]:
    channel = pen.dice.pick(("telephone", "e-mail", "chat"))
    return {"text": pen.words("own", words), "channel": channel, "ref": pen.reference("msg")}


def _owned(pen: Pen) -> None:
    pen.ask(intake.CompleteOwnership, {"next_step": IdOf("next step")} if "next step" in pen.promised and pen.dice.chance(0.3) else {})
    pen.wait(fact(CaseOpened, pen.generation))


def withdrawn(pen: Pen) -> Iterator[str]:
    """The customer takes it back: their ending."""
    if pen.plan.withdraws in {"accepted", "promised"} and pen.dice.chance(0.5):
        reply = pen.new("reply")
        said = {"text": pen.words("withdraw", "replies"), "channel": "e-mail", "ref": pen.reference("msg")}
        pen.ask(intake.RecordReply, said, name=reply)
        proof = pen.reply(reply)
    else:
        proof = pen.call()
    pen.ask(intake.Withdraw, {"proof": proof, "reason": pen.words("withdraw", "reasons")})
    yield "withdrawn"


def reopened(pen: Pen) -> Iterator[str]:
    """It was not over after all: it is owned once more, by the same person."""
    pen.wait(fact(intake.ComplaintSettled if pen.learned else intake.CustomersEndingNoted, pen.generation))
    pen.ask(intake.ReopenComplaint, {"why": pen.words("reopen", "why")})
    pen.generation += 1
    tempt(pen, "reopened")
    yield "reopened"
    due_at = pen.ahead(2, 4)
    pen.until(due_at)
    _acknowledged(pen, "again")
    pen.ask(intake.MakePromise, {"what": pen.words("own", "next_step"), "due_at": due_at}, name="next step again")
    pen.promised.append("next step again")
    pen.ask(intake.CompleteOwnership)
    pen.wait(fact(CaseReopened, pen.generation))
    yield "owned again"
