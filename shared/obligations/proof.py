"""What shows that something is the customer's own word (invariant 17), and the replies that can show it."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID, uuid5

from shared.contract.conversation import ReplyAsked, ReplyFields
from shared.contract.refusals import Refusal, Rule
from shared.contract.values import LIST_MAX, Proof
from shared.machine.mind import Context

REPLIES_MAX = LIST_MAX
"""Most replies a stream remembers, the newest of them."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A place in the talk with the customer."""

    generation: int = 0
    """Of the complaint."""
    heard: int = 0
    """How many replies were known here by then. A reply's own moment counts it in."""


Replies = dict[str, Moment]
"""By id, in the order in which they came to be known here: of which generation each is, and the how-manieth."""


def so_far(replies: Replies, generation: int) -> Moment:
    """The moment after all that was said so far."""
    return Moment(generation, next(reversed(replies.values())).heard if replies else 0)


def proven(proof: Proof | None, replies: Replies, since: Moment, what: str) -> Proof | Refusal:
    """The proof, where it shows the customer's word. A reply must be one that was recorded here; a call and a token lie elsewhere.

    `since` is when that came up of which it is the word, and `what` says so ("it was delivered"): nobody confirms what comes after their
    word. It is by the stream's own order that a reply came before or after. One that another service received before, and that came to
    be known here after, is let pass: no order between two services' streams would hold when it is replayed.

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
    if proof.kind == "reply" and (too_old := _before(replies[proof.ref], since, what)):
        return Refusal(
            Rule.CUSTOMERS_WORD_NEEDS_PROOF,
            f"this reply came before {too_old}: record what the customer said since then, and name that",
        )
    return proof


def _before(said: Moment, since: Moment, what: str) -> str | None:
    """What came only after this was said, if that matters."""
    if said.generation < since.generation:
        return "the complaint was opened again"
    return what if said.heard <= since.heard else None


def reply(asked: ReplyAsked, replies: Replies, generation: int, context: Context) -> ReplyFields | None:
    """The reply as it is recorded, or None where it was. One with a reference of its own has an id that follows from it."""
    reply_id: UUID = context.new_id("reply") if asked.ref is None else uuid5(context.stream, f"reply/{asked.ref}")
    if str(reply_id) in replies:
        return None
    return ReplyFields(reply_id=reply_id, received_at=context.now, generation=generation, **dict(asked))


def with_reply(replies: Replies, generation: int, *reply_ids: UUID) -> Replies:
    """The replies and some more, each once and of the generation in which it was first known; the oldest fall out."""
    new = [str(one) for one in dict.fromkeys(reply_ids) if str(one) not in replies]
    before = so_far(replies, generation).heard
    whole = replies | {one: Moment(generation, before + nth) for nth, one in enumerate(new, 1)}
    return dict(islice(whole.items(), max(0, len(whole) - REPLIES_MAX), None))


def ended_before(ended_at: datetime, context: Context) -> bool:
    """Whether an ending is too long ago to be reopened under this policy."""
    return context.now > ended_at + context.policy.reopen_window
