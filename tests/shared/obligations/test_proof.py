"""What shows the customer's word, and that nothing personal is said by refusing it."""

from uuid import UUID

from shared.contract.refusals import Refusal, Rule
from shared.contract.values import Proof
from shared.obligations.proof import REPLIES_MAX, Moment, proven, so_far, with_reply


def test_a_refusal_does_not_repeat_what_was_named_as_proof():
    refusal = proven(Proof(kind="reply", ref="Mrs Okafor on Tuesday"), {}, Moment(1), "it was delivered")
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.CUSTOMERS_WORD_NEEDS_PROOF
    assert "Okafor" not in repr(refusal)


def test_a_reply_is_later_than_those_before_it_also_once_the_oldest_have_fallen_out():
    replies = {}
    for n in range(2 * REPLIES_MAX):
        before = so_far(replies, 1)
        replies = with_reply(replies, 1, UUID(int=n))
        assert so_far(replies, 1) == replies[str(UUID(int=n))] == Moment(1, n + 1)
        proof = Proof(kind="reply", ref=str(UUID(int=n)))
        assert proven(proof, replies, before, "it was delivered") == proof
        refusal = proven(proof, replies, so_far(replies, 1), "it was delivered")
        assert isinstance(refusal, Refusal)
        assert "this reply came before it was delivered" in refusal.sentence
    assert len(replies) == REPLIES_MAX


def test_what_was_heard_before_is_not_heard_later_by_being_told_again():
    replies = with_reply({}, 1, UUID(int=1), UUID(int=2), UUID(int=1))
    assert with_reply(replies, 2, UUID(int=2)) == replies == {str(UUID(int=n)): Moment(1, n) for n in (1, 2)}
