from uuid import UUID

import pytest

from services.resolution.offers import OFFERS_MAX
from shared.contract.refusals import Rule
from shared.contract.resolution import (
    AnswerOffer,
    CompleteFix,
    CounterOfferAccepted,
    CounterOfferMade,
    CounterOfferRefused,
    DecisionMade,
    FixCompleted,
    FixStarted,
    InvestigationRecorded,
    MakeCounterOffer,
    MakeDecision,
    OfferTerms,
    StartFix,
)
from tests.services.resolution.said import (
    A_COMPLETION,
    A_DECISION,
    A_DECLINE,
    A_DELIVERY,
    A_START,
    ACTOR,
    AN_INVESTIGATION,
    AN_OFFER,
    CALL,
    CLARIFIED,
    COMPLETED,
    DECIDED,
    DECLINED,
    DELIVERED,
    FIXED,
    IN_HAND,
    OBJECTED,
    OFFER_ID,
    OFFERED,
    OPEN,
    STARTED,
    given,
)

CASES = pytest.mark.parametrize


# ---- deciding and fixing -----------------------------------------------------------------------------------------------------


def test_a_decision_is_made_once():
    given(*OPEN).when(A_DECISION).then(DECIDED)
    given(*OPEN, DECIDED).when(A_DECISION).then()
    given(*OPEN, DECIDED).when(A_DECISION.model_copy(update={"remedies": ()})).then_refused(Rule.DECISION_STANDS)


def test_a_decline_goes_with_its_counter_offer():
    given(*OPEN).when(A_DECLINE).then(DECLINED, OFFERED)
    given(*OPEN, DECLINED, OFFERED).when(A_DECLINE).then()
    other = A_DECLINE.model_copy(update={"counter_offer": OfferTerms(asked="100 loaves today.", can_do="30 today.")})
    given(*OPEN, DECLINED, OFFERED).when(other).then_refused(Rule.DECISION_STANDS)
    given(*OPEN, DECLINED, OFFERED).when(A_DECLINE.model_copy(update={"counter_offer": None})).then_refused(Rule.DECISION_STANDS)


def test_a_decline_may_go_with_an_offer_that_was_made_before():
    given(*OPEN, OFFERED).when(A_DECLINE).then(DECLINED)


def test_a_decline_without_an_alternative_says_why():
    declined = DecisionMade(generation=1, verdict="decline", reasons=("No.",), no_alternative="The harvest failed.", decided_by=ACTOR)
    given(*OPEN).when(MakeDecision(verdict="decline", reasons=("No.",), no_alternative="The harvest failed.")).then(declined)


def test_after_a_decline_the_answer_gets_ready_without_a_start():
    given(*OPEN, DECLINED, OFFERED).when(A_COMPLETION).then(COMPLETED)
    given(*OPEN, DECLINED, OFFERED).when(A_START).then(STARTED)


def test_what_is_clarified_on_the_spot_is_ready_at_once_and_has_no_remedy():
    clarify = MakeDecision(verdict="clarified", reasons=CLARIFIED.reasons)
    decided = given(*OPEN).when(clarify).decided
    assert [type(event) for event in decided] == [DecisionMade, FixCompleted]
    given(*OPEN, *decided).when(clarify).then()
    given(*OPEN, *decided).when(A_START).then_refused(Rule.WRONG_STAGE)
    for extra in ({"remedies": A_DECISION.remedies}, {"counter_offer": AN_OFFER}):
        given(*OPEN).when(clarify.model_copy(update=extra)).then_refused(Rule.CLARIFIED_HAS_NO_REMEDY)


def test_what_was_clarified_and_objected_to_gets_ready_again():
    past = (*OPEN, CLARIFIED, COMPLETED, DELIVERED, OBJECTED)
    given(*past).when(A_DELIVERY).then_refused(Rule.NO_DELIVERY_BEFORE_FIX)
    given(*past).when(A_COMPLETION).then(COMPLETED)


def test_a_fix_starts_after_the_decision_and_is_completed_after_the_start():
    given(*OPEN).when(A_START).then_refused(Rule.DECIDE_FIRST)
    given(*OPEN).when(A_COMPLETION).then_refused(Rule.DECIDE_FIRST)
    given(*OPEN, DECIDED).when(A_COMPLETION).then_refused(Rule.FIX_NOT_STARTED)
    given(*OPEN, DECIDED).when(A_START).then(STARTED)
    given(*OPEN, DECIDED, STARTED).when(A_COMPLETION).then(COMPLETED)


@CASES(("past", "what_next"), [((*OPEN, DECIDED, STARTED), "complete it"), (FIXED, "deliver it"), (IN_HAND, "confirm it or object to it")])
def test_what_is_started_or_ready_is_so_once(past, what_next):
    given(*past).when(A_START).then()
    assert what_next in given(*past).when(StartFix()).then_refused(Rule.WRONG_STAGE).sentence
    if COMPLETED in past:
        given(*past).when(A_COMPLETION).then()
        given(*past).when(CompleteFix(what="Something else.")).then_refused(Rule.WRONG_STAGE)


def test_a_start_without_words_is_started_once():
    given(*OPEN, DECIDED).when(StartFix()).then(FixStarted(generation=1))
    given(*OPEN, DECIDED, FixStarted(generation=1)).when(StartFix()).then()


def test_an_investigation_is_recorded_once():
    found = InvestigationRecorded(**dict(AN_INVESTIGATION))
    given(*OPEN).when(AN_INVESTIGATION).then(found)
    given(*OPEN, found).when(AN_INVESTIGATION).then()


# ---- offers ------------------------------------------------------------------------------------------------------------------


def test_an_offer_is_on_the_table_once():
    given(*OPEN).when(MakeCounterOffer(offer=AN_OFFER)).then(OFFERED)
    given(*OPEN, OFFERED).when(MakeCounterOffer(offer=AN_OFFER)).then()
    given(*IN_HAND).when(MakeCounterOffer(offer=AN_OFFER)).then_refused(Rule.WRONG_STAGE)


@CASES(("answer", "event"), [("accepted", CounterOfferAccepted), ("refused", CounterOfferRefused)])
def test_an_offer_is_answered_once(answer, event):
    said = event(offer_id=OFFER_ID, proof=CALL)
    other = "refused" if answer == "accepted" else "accepted"
    for offer_id in (OFFER_ID, None):
        asked = AnswerOffer(offer_id=offer_id, answer=answer, proof=CALL)
        given(*OPEN).when(asked).then_refused(Rule.UNKNOWN_OFFER)
        given(*OPEN, OFFERED).when(asked).then(said)
        given(*OPEN, OFFERED, said).when(asked).then()
        given(*OPEN, OFFERED, said).when(asked.model_copy(update={"answer": other})).then_refused(Rule.OFFER_ANSWERED)
    given(*OPEN, OFFERED).when(AnswerOffer(offer_id=UUID(int=7), answer=answer, proof=CALL)).then_refused(Rule.UNKNOWN_OFFER)


def test_the_newest_offer_is_meant_where_none_is_named():
    newer = CounterOfferMade(offer_id=UUID(int=8), offer=OfferTerms(asked="100 loaves.", can_do="50 now."))
    answered = CounterOfferRefused(offer_id=OFFER_ID, proof=CALL)
    given(*OPEN, OFFERED, newer, answered).when(AnswerOffer(answer="accepted", proof=CALL)).then(
        CounterOfferAccepted(offer_id=newer.offer_id, proof=CALL)
    )


def test_a_refused_offer_may_be_made_again():
    refused = CounterOfferRefused(offer_id=UUID(int=8), proof=CALL)
    given(*OPEN, OFFERED.model_copy(update={"offer_id": UUID(int=8)}), refused).when(MakeCounterOffer(offer=AN_OFFER)).then(OFFERED)


def test_there_are_only_so_many_offers():
    many = [CounterOfferMade(offer_id=UUID(int=n), offer=OfferTerms(asked="All.", can_do=f"{n} of it.")) for n in range(1, OFFERS_MAX + 1)]
    given(*OPEN, *many).when(MakeCounterOffer(offer=AN_OFFER)).then_refused(Rule.TOO_MANY)
    given(*OPEN, *many).when(A_DECLINE).then_refused(Rule.TOO_MANY)
