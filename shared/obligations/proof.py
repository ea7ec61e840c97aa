"""What shows that something is the customer's own word (invariant 17), and the replies that can show it."""

from datetime import datetime
from itertools import islice
from uuid import UUID, uuid5

from shared.contract.conversation import ReplyAsked, ReplyFields
from shared.contract.refusals import Refusal, Rule
from shared.contract.values import LIST_MAX, Proof
from shared.machine.mind import Context

REPLIES_MAX = LIST_MAX
"""Most replies a stream remembers, the newest of them."""

Replies = dict[str, int]
"""By id, in the order in which they came: the generation of the complaint in which each was received."""


def proven(proof: Proof | None, replies: Replies, since: int) -> Proof | Refusal:
    """The proof, where it shows the customer's word. A reply must be one that was recorded here; a call and a token lie elsewhere.

    `since` is the generation in which that came up of which it is the word. Nobody confirms, or takes back, what comes after it: what
    the customer said before the complaint was opened again shows nothing of what was done since then.

    What was named instead is not repeated in the refusal: it may be personal, and a refusal is stored for ever.
    """
    if proof is None:
        return Refusal(
            Rule.CUSTOMERS_WORD_NEEDS_PROOF, "this is the customer's word: add a proof (a reply, a recorded call or their token)"
        )
    if proof.kind == "reply" and proof.ref not in replies:
        return Refusal(
            Rule.CUSTOMERS_WORD_NEEDS_PROOF,
            "no reply of this id was recorded here: record the reply first, then name its reply_id",
        )
    if proof.kind == "reply" and replies[proof.ref] < since:
        return Refusal(
            Rule.CUSTOMERS_WORD_NEEDS_PROOF,
            "this reply came before the complaint was opened again: name what the customer said since then",
        )
    return proof


def reply(asked: ReplyAsked, replies: Replies, generation: int, context: Context) -> ReplyFields | None:
    """The reply as it is recorded, or None where it was. One with a reference of its own has an id that follows from it."""
    reply_id: UUID = context.new_id("reply") if asked.ref is None else uuid5(context.stream, f"reply/{asked.ref}")
    if str(reply_id) in replies:
        return None
    return ReplyFields(reply_id=reply_id, received_at=context.now, generation=generation, **dict(asked))


def with_reply(replies: Replies, generation: int, *reply_ids: UUID) -> Replies:
    """The replies and some more, each once and of the generation in which it was first known; the oldest fall out."""
    whole = replies | {str(one): generation for one in reply_ids if str(one) not in replies}
    return dict(islice(whole.items(), max(0, len(whole) - REPLIES_MAX), None))


def ended_before(ended_at: datetime, context: Context) -> bool:
    """Whether an ending is too long ago to be reopened under this policy."""
    return context.now > ended_at + context.policy.reopen_window
