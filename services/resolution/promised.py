"""What we promised, in the events of a case. The rules are those of every stream that holds promises."""

from collections.abc import Sequence
from typing import assert_never

from shared.contract.refusals import Refusal
from shared.contract.resolution import (
    KeepPromise,
    MakePromise,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    PromiseRenegotiated,
    RenegotiatePromise,
)
from shared.machine.mind import Context
from shared.obligations.promises import Book, MadeAt, keep, make, renegotiate, with_end, with_other_terms, with_terms
from shared.obligations.proof import Replies, proven

PromiseEvent = PromiseMade | PromiseKept | PromiseRenegotiated | PromiseBroken


def booked(book: Book, event: PromiseEvent) -> Book:
    """The book after one more fact."""
    match event:
        case PromiseMade(promise=terms):
            return with_terms(book, terms)
        case PromiseKept(promise_id=promise_id):
            return with_end(book, "kept", promise_id)
        case PromiseRenegotiated(promise_id=promise_id, becomes=becomes):
            return with_other_terms(book, promise_id, becomes)
        case PromiseBroken(promise_id=promise_id):
            return with_end(book, "broken", promise_id)
        case _:
            assert_never(event)


def promised(
    book: Book, command: MakePromise | KeepPromise | RenegotiatePromise, made_at: MadeAt, replies: Replies, context: Context
) -> Sequence[PromiseEvent] | Refusal:
    """What follows from making, keeping or renegotiating a promise (invariants 13 and 17)."""
    match command:
        case MakePromise():
            made = make(book, command, made_at, context)
            if isinstance(made, Refusal):
                return made
            return [] if made is None else [PromiseMade(promise=made)]
        case KeepPromise(promise_id=promise_id):
            by = keep(book, command, context.now)
            if isinstance(by, Refusal):
                return by
            return [] if by is None else [PromiseKept(promise_id=promise_id, by=by)]
        case RenegotiatePromise(promise_id=promise_id, reason=reason):
            becomes = renegotiate(book, command, made_at, context)
            if isinstance(becomes, Refusal):
                return becomes
            if becomes is None:
                return []
            proof = proven(command.proof, replies)
            if isinstance(proof, Refusal):
                return proof
            return [PromiseRenegotiated(promise_id=promise_id, becomes=becomes, reason=reason, proof=proof)]
        case _:
            assert_never(command)
