"""What the tests of resolution say again and again."""

from datetime import timedelta
from uuid import UUID

from services.resolution import case
from services.resolution.case import OBJECTION, STREAM
from shared.contract.machine import TimerDue
from shared.contract.resolution import (
    AnswerOffer,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    CaseSuspended,
    ClearMisunderstanding,
    CompleteFix,
    ConfirmDelivery,
    CounterOfferMade,
    DecisionMade,
    Deliver,
    Delivered,
    DeliveryAssumed,
    DeliveryConfirmed,
    DeliveryObjected,
    FixCompleted,
    FixStarted,
    GiveExplanation,
    KeepPromise,
    MakeCounterOffer,
    MakeDecision,
    MakePromise,
    MisunderstandingCleared,
    MisunderstandingRaised,
    ObjectToDelivery,
    ObligationsTakenOver,
    OfferTerms,
    OpenCase,
    OwnerChanged,
    PromiseBroken,
    PromiseKept,
    PromiseRenegotiated,
    RaiseMisunderstanding,
    RecordInvestigation,
    RecordReply,
    Remedy,
    RenegotiatePromise,
    StartFix,
)
from shared.contract.said import Event
from shared.contract.values import Money, PromiseTerms, Proof
from tests.spec import ACTOR, COMPLAINT, NOW, POLICY, Given, context, fold

__all__ = ["ACTOR", "COMPLAINT", "NOW", "POLICY", "context", "fold", "given"]


def given(*past: Event) -> Given:
    return Given(lambda _: STREAM, past)


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CALL = Proof(kind="call", ref="rec-2026-03-03-17")
REPLY = UUID(int=11)

# ---- what was owned --------------------------------------------------------------------------------------------------------

STEP = PromiseTerms(promise_id=UUID(int=1), what="A call with what we can do.", due_at=NOW + DAY, made_at="own")
LOAVES = PromiseTerms(promise_id=UUID(int=2), what="100 loaves by Friday.", due_at=NOW + 4 * DAY, made_at="sale")
OWNED = {
    "generation": 1,
    "owner": "person:ines",
    "need": "Bread for a hundred guests on Friday.",
    "next_step": STEP,
    "customer_kind": "external",
    "product": "bread",
}
AN_OPENING = OpenCase(**OWNED, promises=(STEP, LOAVES), replies=(REPLY,))
OPENED = CaseOpened(**OWNED)
TAKEN_OVER = ObligationsTakenOver(generation=1, promises=(STEP, LOAVES), replies=(REPLY,))
OPEN = (OPENED, TAKEN_OVER)
"""The past of a case that was opened."""

# ---- what is fixed ---------------------------------------------------------------------------------------------------------

AN_INVESTIGATION = RecordInvestigation(facts="40 of 100 loaves came; the order says 100.", evidence="Order 4711, delivery note 12.")
A_DECISION = MakeDecision(
    verdict="uphold",
    reasons=("The order was for 100 loaves, 40 came.",),
    remedies=(Remedy(what="The 60 loaves that are missing."), Remedy(what="A voucher.", amount=Money(amount="12.50", currency="EUR"))),
)
DECIDED = DecisionMade(
    generation=1, verdict="uphold", reasons=A_DECISION.reasons, remedies=A_DECISION.remedies, decided_by=ACTOR
)  # fmt: skip
AN_OFFER = OfferTerms(asked="100 loaves today.", can_do="20 today, 100 by Friday.", by=NOW + 4 * DAY)
OFFER_ID = context("case").new_id("offer")
OFFERED = CounterOfferMade(offer_id=OFFER_ID, offer=AN_OFFER)
A_DECLINE = MakeDecision(verdict="decline", reasons=("The oven holds 20 loaves a day.",), counter_offer=AN_OFFER)
DECLINED = DecisionMade(generation=1, verdict="decline", reasons=A_DECLINE.reasons, offer_id=OFFER_ID, decided_by=ACTOR)
CLARIFIED = DecisionMade(generation=1, verdict="clarified", reasons=("The 60 loaves came by the second van.",), decided_by=ACTOR)
A_START = StartFix(what="Baking 60 loaves tonight.")
STARTED = FixStarted(generation=1, what=A_START.what)
A_COMPLETION = CompleteFix(what="60 loaves are baked and packed.", evidence="Batch 88.")
COMPLETED = FixCompleted(generation=1, what=A_COMPLETION.what, evidence=A_COMPLETION.evidence)
FIXED = (*OPEN, DECIDED, STARTED, COMPLETED)
"""The past of a case that is ready to be delivered."""

# ---- what is delivered -----------------------------------------------------------------------------------------------------

A_DELIVERY = Deliver(what="60 loaves.", how="Brought by van.", evidence="Signed note 13.", keeps=(LOAVES.promise_id,))
DELIVERY_ID = context("case").new_id("delivery")
WINDOW = POLICY.objection_window
DELIVERED = Delivered(
    generation=1,
    delivery_id=DELIVERY_ID,
    owner="person:ines",
    what=A_DELIVERY.what,
    how=A_DELIVERY.how,
    evidence=A_DELIVERY.evidence,
    product="bread",
    still_promised=(STEP.promise_id, LOAVES.promise_id),
    delivered_at=NOW,
    objection_until=NOW + WINDOW,
)
"""Without a promise that was kept by it: both are still open."""
IN_HAND = (*FIXED, DELIVERED)
"""The past of a case that was delivered."""
A_CONFIRMATION = ConfirmDelivery(proof=CALL, words="All is well now.")
AN_OBJECTION = ObjectToDelivery(reason="It is rye, we ordered wheat.")
OBJECTED = DeliveryObjected(generation=1, reason=AN_OBJECTION.reason, because="not_as_decided")
AN_EXPLANATION = GiveExplanation(text="The order form does not show the oven plan.", channel="phone")
NEW_EVIDENCE = ObjectToDelivery(reason="Here is the confirmation: it says 120.", because="new_evidence")
EVIDENT = DeliveryObjected(generation=1, reason=NEW_EVIDENCE.reason, because="new_evidence")

# ---- what is said meanwhile ------------------------------------------------------------------------------------------------

A_MISUNDERSTANDING = RaiseMisunderstanding(understood="Friday morning.", meant="Friday evening.")
RAISED = MisunderstandingRaised(**dict(A_MISUNDERSTANDING), generation=1)
A_CLEARING = ClearMisunderstanding(now_understood="Friday, 9 in the morning.", proof=CALL)
CLEARED = MisunderstandingCleared(now_understood=A_CLEARING.now_understood, proof=CALL, generation=1)
A_PROMISE = MakePromise(what="A call on Thursday.", due_at=NOW + 2 * DAY)

KEEPS_IT = KeepPromise(promise_id=STEP.promise_id, by="g1/resolution/3/17")
RENEGOTIATES_IT = RenegotiatePromise(promise_id=STEP.promise_id, due_at=NOW + 3 * DAY, reason="They are away.", proof=CALL)
KEPT = PromiseKept(promise_id=STEP.promise_id, by="g1/resolution/3/17")
BROKEN = PromiseBroken(promise_id=STEP.promise_id, due_at=STEP.due_at)
LATER = PromiseTerms(promise_id=context("case").new_id("promise"), what=STEP.what, due_at=NOW + 3 * DAY, made_at="fix")
RENEGOTIATED = PromiseRenegotiated(promise_id=STEP.promise_id, becomes=LATER, reason="They are away.", proof=CALL)

# ---- a later generation ----------------------------------------------------------------------------------------------------

SUSPENDED = CaseSuspended(generation=2)
AGAIN = {**OWNED, "generation": 2, "need": "Wheat bread, and somebody who says why."}
REOPENED = CaseReopened(**AGAIN)

ASKED = (
    AN_INVESTIGATION,
    A_DECISION,
    MakeCounterOffer(offer=AN_OFFER),
    AnswerOffer(answer="accepted", proof=CALL),
    A_START,
    A_COMPLETION,
    A_DELIVERY,
    A_CONFIRMATION,
    AN_OBJECTION,
    AN_EXPLANATION,
    A_MISUNDERSTANDING,
    A_CLEARING,
    A_PROMISE,
    KEEPS_IT,
    RENEGOTIATES_IT,
    RecordReply(text="Thank you.", channel="phone", ref="rec-18"),
)
"""Each public command once."""
MOVES = tuple(one for one in ASKED if isinstance(one, case.Moves))

# ---- how it ends, and the clock ---------------------------------------------------------------------------------------------

CONFIRMED = DeliveryConfirmed(generation=1, proof=CALL, words=A_CONFIRMATION.words, confirmed_at=NOW)
ASSUMED = DeliveryAssumed(generation=1, assumed_at=NOW + WINDOW)
WITHDRAWN = CaseClosed(generation=1, because="withdrawn", released=(STEP.promise_id, LOAVES.promise_id))
OTHER_OWNER = OwnerChanged(generation=1, to="person:ravi")
END_OF_WINDOW = TimerDue(timer=OBJECTION, due_at=NOW + WINDOW, generation=1)


def named(value):
    return type(value).__name__


def due(promise, generation=1):
    return TimerDue(timer=f"promise/{promise.promise_id}", due_at=promise.due_at, generation=generation)


def after(*past):
    return fold(STREAM, past)
