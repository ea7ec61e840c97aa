"""What shows the customer's word, and that nothing personal is said by refusing it."""

from shared.contract.refusals import Refusal, Rule
from shared.contract.values import Proof
from shared.obligations.proof import proven


def test_a_refusal_does_not_repeat_what_was_named_as_proof():
    refusal = proven(Proof(kind="reply", ref="Mrs Okafor on Tuesday"), {}, 1)
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.CUSTOMERS_WORD_NEEDS_PROOF
    assert "Okafor" not in repr(refusal)
