"""What the tests of intake say again and again."""

from datetime import timedelta
from uuid import UUID, uuid5

from services.intake import complaint
from shared.contract.intake import (
    AcceptOwnership,
    Acknowledge,
    AcknowledgementSent,
    AssignOwner,
    Classify,
    ClearMisunderstanding,
    ComplaintOwned,
    ComplaintReceived,
    ComplaintReopened,
    ComplaintWithdrawn,
    CompleteOwnership,
    CustomersEndingNoted,
    KeepPromise,
    LearningNoted,
    MakePromise,
    MisunderstandingRaised,
    NeedStated,
    OwnerAssigned,
    OwnershipAccepted,
    PromiseMade,
    RaiseMisunderstanding,
    RecordReply,
    RenegotiatePromise,
    ReopenComplaint,
    ReplyReceived,
    StateNeed,
    SubmitComplaint,
    TransferOwnership,
    Withdraw,
)
from shared.contract.said import Event
from shared.contract.values import PromiseTerms, Proof
from shared.obligations.sameness import fingerprint
from tests.spec import COMPLAINT, NOW, POLICY, Given, context, fold

__all__ = ["COMPLAINT", "NOW", "POLICY", "context", "fold", "given"]

DUE = NOW + timedelta(days=1)
LATER = NOW + timedelta(days=3)
ENDED = NOW - timedelta(hours=1)


def given(*past: Event) -> Given:
    return Given(lambda _: complaint.STREAM, past)


TOLD = SubmitComplaint(source="bakery", ref="2026/0817", summary="80 of 100 loaves missing", product="bread", upstream_version="2")
NEWER = TOLD.model_copy(update={"upstream_version": "3", "upstream_status": "escalated"})
DIGEST, NEWER_DIGEST = fingerprint(TOLD), fingerprint(NEWER)
RECEIVED = ComplaintReceived(**dict(TOLD), found_by="customer", content_digest=DIGEST, input_id="test", received_at=NOW)

ASSIGNED = OwnerAssigned(owner="person:ines")
ACCEPTED = OwnershipAccepted(generation=1, owner="person:ines")
HAND_OVER = TransferOwnership(to="person:ravi", reason="Ravi runs the oven plan.", story="Ordered 100 loaves, got 20.")
AN_ACKNOWLEDGEMENT = Acknowledge(text="We heard you, Mrs Okafor. Ines sees to it.", channel="telephone")
ACKNOWLEDGED = AcknowledgementSent(generation=1, **dict(AN_ACKNOWLEDGEMENT))
A_NEED = StateNeed(need="Eighty loaves for Saturday.", expected_how="Brought to the festival ground")
NEED = NeedStated(**dict(A_NEED))
PROMISE_ID = uuid5(COMPLAINT, "a promise")
TERMS = PromiseTerms(promise_id=PROMISE_ID, what="A call with a firm time", due_at=DUE, made_at="own")
PROMISED = PromiseMade(promise=TERMS)
REPLY_ID = uuid5(COMPLAINT, "a reply")
REPLIED = ReplyReceived(reply_id=REPLY_ID, generation=1, text="Yes, that is so.", received_at=NOW)
BY_REPLY = Proof(kind="reply", ref=str(REPLY_ID))
BY_CALL = Proof(kind="call", ref="call/0917")
A_MISUNDERSTANDING = RaiseMisunderstanding(understood="The loaves come today.", meant="The money comes back today.")
MISUNDERSTOOD = MisunderstandingRaised(**dict(A_MISUNDERSTANDING))

READY = (RECEIVED, ASSIGNED, ACCEPTED, ACKNOWLEDGED, NEED, PROMISED)
"""All that it takes to be owned."""
OWNED = ComplaintOwned(
    generation=1, owner="person:ines", need=A_NEED.need, next_step=TERMS, promises=(TERMS,), customer_kind="external", product="bread"
)
WITHDRAWN = ComplaintWithdrawn(generation=1, owner="person:ines", product="bread", proof=BY_CALL, withdrawn_at=NOW)
CONFIRMED = CustomersEndingNoted(generation=1, ending="confirmed", ended_at=ENDED)
LEARNED = LearningNoted(generation=1, outcome="corrected")
REOPENED = ComplaintReopened(generation=2, owner="person:ines", need=A_NEED.need, why="Sixty came.", ending="confirmed")

TALK = (
    AN_ACKNOWLEDGEMENT,
    A_NEED,
    A_MISUNDERSTANDING,
    ClearMisunderstanding(proof=BY_CALL),
    MakePromise(what="A call with a firm time", due_at=LATER),
    KeepPromise(promise_id=PROMISE_ID, by="g1/intake/3/17"),
    RenegotiatePromise(promise_id=PROMISE_ID, due_at=LATER, reason="She asked for Wednesday.", proof=BY_CALL),
)
"""What is resolution's to do once it is owned."""
ASKED = (
    *TALK,
    Classify(product="bread", defect_kind="delivery", severity="high", central=True),
    AssignOwner(owner="person:ines"),
    AcceptOwnership(by="person:ines"),
    HAND_OVER,
    CompleteOwnership(),
    RecordReply(text="Yes."),
    Withdraw(proof=BY_CALL),
    ReopenComplaint(why="Sixty came."),
)
"""Each public command but the submissions once."""
UNKNOWN = UUID(int=7)
