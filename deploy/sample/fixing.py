"""Fix and deliver: until the customer has it in hand and says so. Each `yield` is a place at which a script can stop."""

from collections.abc import Iterator
from typing import Any

from deploy.sample.owning import BROKEN_SECONDS
from deploy.sample.scripts import IdOf, Soon, fact
from deploy.sample.slips import tempt
from deploy.sample.writing import Pen
from shared.contract import intake, resolution
from shared.contract.refusals import Rule
from shared.contract.rootcause import LearningOpened, LearningResumed

FOR_THEM, NOT_FOR_THEM = ("uphold", "uphold", "uphold", "uphold_in_part"), ("decline", "decline", "clarified")
OFTEN_UPHELD = 0.78


def fix(pen: Pen) -> Iterator[str]:
    """From the ownership until it is ready."""
    if pen.does("asked back", 0.2):
        _reply(pen, "own", "replies")
    if pen.does("promised in fix", 0.15):
        promise = pen.new("fix")
        pen.ask(resolution.MakePromise, {"what": pen.words("own", "later"), "due_at": pen.ahead(4, 12)}, name=promise)
        pen.promised.append(promise)
    if pen.does("moved in fix", 0.08):
        moved = pen.new("moved")
        terms = {"due_at": pen.ahead(7, 12), "reason": pen.words("own", "moved"), "proof": pen.call()}
        pen.ask(resolution.RenegotiatePromise, {"promise_id": IdOf(pen.promised[0]), **terms}, name=moved)
        pen.promised[0] = moved
    pen.ask(resolution.RecordInvestigation, {"facts": pen.say(*pen.trouble.facts), "evidence": pen.say(pen.trouble.evidence)})
    if pen.dice.chance(0.3):
        pen.ask(resolution.RecordInvestigation, {"facts": pen.words("fix", "asked_back")})
    tempt(pen, "investigated")
    yield "investigated"
    yield from _misunderstood(pen, "held_in_fix", 0.07)
    if pen.does("broken_in_fix", 0.04):
        before = _reply(pen, "own", "replies")
        terms = {"what": pen.words("own", "small"), "due_at": Soon(before, BROKEN_SECONDS)}
        pen.ask(resolution.MakePromise, terms, name="soon in fix", or_refused=Rule.PROMISE_ALREADY_DUE)
        pen.wait(fact(resolution.PromiseBroken))
        pen.ask(resolution.RecordInvestigation, {"facts": pen.words("fix", "missed")}, only_with="soon in fix")
        yield "broken_in_fix"
    yield from _decided(pen)
    if pen.verdict in FOR_THEM:
        pen.ask(resolution.StartFix, {"what": pen.say(*pen.trouble.fix)})
        yield "started"
        pen.ask(resolution.CompleteFix, {"what": pen.say(*pen.trouble.fixed), "evidence": pen.say(pen.trouble.evidence)})
    elif pen.verdict == "decline":
        pen.ask(resolution.CompleteFix, {"what": pen.words("fix", "declined")})
    else:
        pen.wait(fact(resolution.FixCompleted, pen.generation))  # what was only cleared up is ready by the decision itself
    tempt(pen, "fixed")
    yield "fixed"


def _misunderstood(pen: Pen, detour: str, so_often: float) -> Iterator[str]:
    if not pen.does(detour, so_often):
        return
    misread = pen.trouble.misread
    pen.ask(resolution.RaiseMisunderstanding, {"understood": pen.say(misread.understood), "meant": pen.say(misread.meant)})
    if detour == "held_in_fix":
        tempt(pen, "misunderstood in fix")
    yield detour
    reply = _reply(pen, "own", "understood")
    pen.ask(resolution.ClearMisunderstanding, {"now_understood": pen.say(misread.now), "proof": pen.reply(reply)})


def _reply(pen: Pen, table: str, words: str) -> str:
    name = pen.new("reply")
    channel = pen.dice.pick(("telephone", "e-mail", "chat"))
    pen.ask(resolution.RecordReply, {"text": pen.words(table, words), "channel": channel, "ref": pen.reference("msg")}, name=name)
    return name


# ---- the decision ----------------------------------------------------------------------------------------------------------


def _decided(pen: Pen) -> Iterator[str]:
    rolled = pen.dice.chance(OFTEN_UPHELD)
    upheld = rolled if pen.plan.upheld is None else pen.plan.upheld
    pen.verdict = pen.dice.pick(FOR_THEM if upheld else NOT_FOR_THEM)
    if pen.plan.stops in {"offered", "answered"} or (pen.plan.stops == "decided" and pen.verdict == "clarified"):
        pen.verdict = "decline"
    match pen.verdict:
        case "decline":
            yield from _declined(pen)
            return
        case "clarified":
            pen.ask(resolution.MakeDecision, {"verdict": "clarified", "reasons": (pen.say(pen.trouble.clarified),)})
        case _:
            reasons = pen.trouble.reasons if pen.verdict == "uphold" else (pen.trouble.partly,)
            told = {"verdict": pen.verdict, "reasons": (pen.say(*reasons),), "remedies": pen.remedies()}
            pen.ask(resolution.MakeDecision, told)
            tempt(pen, "decided to fix")
    tempt(pen, "decided")
    yield "decided"


def _declined(pen: Pen) -> Iterator[str]:
    """With what can be done instead, or the reason why nothing can."""
    decline = pen.trouble.decline
    told: dict[str, Any] = {"verdict": "decline", "reasons": (pen.say(decline.reason),)}
    if pen.plan.stops not in {"offered", "answered"} and pen.dice.chance(0.2):
        pen.slots["offer"] = pen.say(decline.no_alternative)
        pen.ask(resolution.MakeDecision, {**told, "no_alternative": pen.slots["offer"]})
        tempt(pen, "decided")
        yield "decided"
        return
    pen.slots["offer"] = pen.say(decline.offer)
    pen.ask(resolution.MakeDecision, {**told, "counter_offer": _offer(pen, decline.offer)})
    tempt(pen, "decided")
    yield "decided"
    yield "offered"
    _answered(pen, pen.dice.chance(0.6))
    tempt(pen, "answered")
    yield "answered"
    if not pen.accepted and pen.dice.chance(0.7):
        pen.slots["offer"] = pen.say(decline.better)
        pen.ask(resolution.MakeCounterOffer, {"offer": _offer(pen, decline.better)})
        _answered(pen, pen.dice.chance(0.75))


def _offer(pen: Pen, can_do: str) -> dict[str, Any]:
    offer = {"asked": pen.say(pen.trouble.decline.asked), "can_do": pen.say(can_do)}
    return offer | ({"by": pen.ahead(4, 20)} if pen.dice.chance(0.5) else {})


def _answered(pen: Pen, accepted: bool) -> None:
    first, pen.accepted = pen.accepted is None, accepted
    words = "offers_taken" if accepted else "offers_refused"
    if first and pen.dice.chance(0.4):  # the customer writes to where they complained
        reply = pen.new("reply")
        pen.ask(intake.RecordReply, {"text": pen.words("fix", words), "ref": pen.reference("msg")}, name=reply)
        pen.wait(fact(resolution.ReplyNoted, pen.generation))
    else:
        reply = _reply(pen, "fix", words)
    pen.ask(resolution.AnswerOffer, {"answer": "accepted" if accepted else "refused", "proof": pen.reply(reply)})


# ---- in the customer's hand ------------------------------------------------------------------------------------------------


def deliver(pen: Pen) -> Iterator[str]:
    """From what is ready until the customer says that it is right."""
    _delivered(pen)
    pen.wait(fact(LearningOpened, pen.generation))
    tempt(pen, "delivered")
    yield "delivered"
    delivered = len(pen.lines)
    if not pen.must("objected"):
        yield from _misunderstood(pen, "held_in_delivery", 0.03)
    if held := len(pen.lines) > delivered:
        pen.wait(fact(LearningResumed, pen.generation))  # what was delivered and is misunderstood counts as an objection
    if not pen.must("objected") and pen.does("overruled", 0.02):
        pen.ask(intake.Withdraw, {"proof": pen.call(), "reason": pen.words("withdraw", "reasons")})
        pen.wait(fact(intake.WithdrawalOverruled, pen.generation))
        yield "overruled"
    elif pen.verdict in FOR_THEM and not held and pen.does("objected", 0.12):
        yield from _objected(pen)
    if pen.does("explained", 0.55):
        pen.ask(resolution.GiveExplanation, {"text": f"{pen.say(pen.trouble.explained)} {pen.words('deliver', 'regrets')}"})
        yield "explained"
    confirmed(pen)
    tempt(pen, "confirmed")
    yield "confirmed"


def _delivered(pen: Pen) -> None:
    keeps = tuple(IdOf(name) for name in pen.promised) if pen.dice.chance(0.85) else ()
    pen.promised = [] if keeps else pen.promised
    pen.slots.setdefault("offer", "")
    if pen.verdict in FOR_THEM:
        told = {"what": pen.say(*pen.trouble.given), "how": pen.trouble.by, "evidence": pen.say(pen.trouble.shown)}
    else:
        pen.slots["clarified"] = pen.say(pen.trouble.clarified)
        what = pen.words("deliver", "cleared" if pen.verdict == "clarified" else "answer")
        told = {"what": what, "how": pen.words("deliver", "answered_by"), "evidence": pen.words("deliver", "answered_shown")}
    pen.ask(resolution.Deliver, {**told, "keeps": keeps})


def _objected(pen: Pen) -> Iterator[str]:
    """Back to fix, with what was decided, or with a new decision where there is new evidence; then it is delivered again."""
    new_evidence = pen.dice.chance(0.35)
    reason = pen.words("deliver", "half") if new_evidence else pen.say(pen.trouble.objection)
    pen.ask(resolution.ObjectToDelivery, {"reason": reason, "because": "new_evidence" if new_evidence else "not_as_decided"})
    tempt(pen, "objected")
    yield "objected"
    if new_evidence:
        pen.ask(resolution.MakeDecision, {"verdict": "uphold", "reasons": (pen.words("fix", "second"),), "remedies": pen.remedies()})
    pen.ask(resolution.StartFix, {"what": pen.words("reopen", "again")})
    pen.ask(resolution.CompleteFix, {"what": pen.words("reopen", "fixed")})
    told = {"what": pen.words("reopen", "given"), "how": pen.trouble.by, "evidence": pen.say(pen.trouble.shown)}
    pen.ask(resolution.Deliver, told)
    pen.wait(fact(LearningResumed, pen.generation))
    yield "redelivered"


def confirmed(pen: Pen) -> None:
    """The customer's own word."""
    words = pen.say(*pen.trouble.thanks) if pen.verdict in FOR_THEM else pen.words("deliver", "answer_heard")
    if pen.dice.chance(0.6):
        told = {"text": words, "channel": pen.dice.pick(("e-mail", "chat")), "ref": pen.reference("msg")}
        reply = pen.new("reply")
        pen.ask(resolution.RecordReply, told, name=reply)
        pen.ask(resolution.ConfirmDelivery, {"proof": pen.reply(reply), "words": words})
    else:
        pen.ask(resolution.ConfirmDelivery, {"proof": pen.call(), "words": words})


def fix_again(pen: Pen) -> Iterator[str]:
    """After a reopening: decided, fixed and delivered anew."""
    pen.ask(resolution.RecordInvestigation, {"facts": pen.words("fix", "asked_back")})
    pen.ask(resolution.MakeDecision, {"verdict": "uphold", "reasons": (pen.words("fix", "second"),), "remedies": pen.remedies()})
    pen.verdict = "uphold"
    pen.ask(resolution.StartFix, {"what": pen.words("reopen", "again")})
    yield "started again"
    pen.ask(resolution.CompleteFix, {"what": pen.words("reopen", "fixed")})
    told = {"what": pen.words("reopen", "given"), "how": pen.trouble.by, "evidence": pen.say(pen.trouble.shown)}
    pen.ask(resolution.Deliver, {**told, "keeps": tuple(IdOf(name) for name in pen.promised)})
    pen.promised = []
    pen.wait(fact(LearningOpened if pen.learned else LearningResumed, pen.generation))
    yield "delivered again"
    confirmed(pen)
    yield "confirmed again"
