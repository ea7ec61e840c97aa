"""Promises: each is kept, broken, renegotiated or released exactly once (invariant 13). Pure; the same for every stream that holds some.

A stream keeps a book of its promises, by id. A promise is broken by the clock at the moment it is due, so keeping and renegotiating
must come before. What follows is decided here and nowhere else; each service only brings the events in which it is stored there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, Literal, TypeVar, assert_never
from uuid import UUID

from shared.contract.conversation import (
    KeepingAsked,
    PromiseAsked,
    PromiseBrokenFields,
    PromiseKeptFields,
    PromiseMadeFields,
    PromiseRenegotiatedFields,
    RenegotiationAsked,
)
from shared.contract.envelope import event_place
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.values import LIST_MAX, PromiseTerms
from shared.machine.mind import Context, Timer
from shared.obligations.proof import Moment, Replies, proven

PROMISES_MAX = LIST_MAX
"""Most promises that can be made on one stream in one generation."""
TIMER = "promise/"
"""The timer of a promise is this and its id."""

Ended = Literal["kept", "broken", "renegotiated", "released"]
MadeAt = Literal["own", "fix", "deliver"]


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised, and how it ended."""

    what: str
    due_at: datetime
    made_at: Literal["sale", "own", "fix", "deliver"]
    since: Moment
    """When it was made here or taken over."""
    ended: Ended | None = None
    became: str | None = None
    """The promise that stands in the place of a renegotiated one."""


Book = dict[str, Promise]

Asked = PromiseAsked | KeepingAsked | RenegotiationAsked
Fact = PromiseMadeFields | PromiseKeptFields | PromiseRenegotiatedFields | PromiseBrokenFields
Made = TypeVar("Made", bound=PromiseMadeFields)
Kept = TypeVar("Kept", bound=PromiseKeptFields)
Renegotiated = TypeVar("Renegotiated", bound=PromiseRenegotiatedFields)
Broken = TypeVar("Broken", bound=PromiseBrokenFields)


@dataclass(frozen=True, slots=True)
class Stored(Generic[Made, Kept, Renegotiated, Broken]):
    """The events in which a service stores what becomes of its promises."""

    made: type[Made]
    kept: type[Kept]
    renegotiated: type[Renegotiated]
    broken: type[Broken]


# ---- what follows ----------------------------------------------------------------------------------------------------------


def promised(
    book: Book, asked: Asked, stored: Stored[Made, Kept, Renegotiated, Broken], context: Context, *, made_at: MadeAt, replies: Replies
) -> Sequence[Made | Kept | Renegotiated] | Refusal:
    """What follows from making, keeping or renegotiating a promise (invariants 13 and 17). Nothing where it is so already."""
    match asked:
        case PromiseAsked():
            made = _make(book, asked, made_at, context)
            return [stored.made(promise=made)] if isinstance(made, PromiseTerms) else made or []
        case KeepingAsked(promise_id=promise_id):
            by = _keep(book, asked, context.now)
            return [stored.kept(promise_id=promise_id, by=by)] if isinstance(by, str) else by or []
        case RenegotiationAsked(promise_id=promise_id, reason=reason):
            becomes = _renegotiate(book, asked, made_at, context)
            if not isinstance(becomes, PromiseTerms):
                return becomes or []
            proof = proven(asked.proof, replies, book[str(promise_id)].since, "this was promised")
            if isinstance(proof, Refusal):
                return proof
            return [stored.renegotiated(promise_id=promise_id, becomes=becomes, reason=reason, proof=proof)]
        case _:
            assert_never(asked)


def broken(book: Book, due: TimerDue, stored: Stored[Made, Kept, Renegotiated, Broken]) -> Sequence[Broken]:
    """What follows from a promise's timer: nothing where the promise ended before, or has other terms."""
    key = due.timer.removeprefix(TIMER)
    found = book.get(key)
    if found is None or found.ended is not None or found.due_at != due.due_at:
        return []
    return [stored.broken(promise_id=UUID(key), due_at=due.due_at)]


def keepable(book: Book, promise_ids: Iterable[UUID], now: datetime) -> Refusal | None:
    """Why one of these promises can't be kept by what is done now, or None."""
    for promise_id in promise_ids:
        found = _open(book, promise_id, now)
        if isinstance(found, Refusal) and not _is(book, promise_id, "kept"):
            return found
    return None


def _make(book: Book, asked: PromiseAsked, made_at: MadeAt, context: Context) -> PromiseTerms | Refusal | None:
    """The new promise's terms; None where just this is promised."""
    if any(one.what == asked.what and one.due_at == asked.due_at for one in book.values() if one.ended is None):
        return None
    if asked.due_at <= context.now:
        return Refusal(Rule.PROMISE_ALREADY_DUE)
    if len(book) >= PROMISES_MAX:
        return Refusal(Rule.TOO_MANY, f"{PROMISES_MAX} promises were made here, and no more fit: see to those that are open")
    return PromiseTerms(promise_id=context.new_id("promise"), what=asked.what, due_at=asked.due_at, made_at=made_at)


def _keep(book: Book, asked: KeepingAsked, now: datetime) -> str | Refusal | None:
    """The event that kept it; None where it is kept already."""
    found = _open(book, asked.promise_id, now)
    if not isinstance(found, Promise):
        return None if _is(book, asked.promise_id, "kept") else found
    if asked.by is None or event_place(asked.by) is None:
        why = "say in `by` which event kept it, by its id as the history shows it: g1/intake/3/1024"
        return Refusal(Rule.KEEPING_NEEDS_ITS_EVENT, why)
    return asked.by


def _renegotiate(book: Book, asked: RenegotiationAsked, made_at: MadeAt, context: Context) -> PromiseTerms | Refusal | None:
    """The terms that stand in its place, if the customer agreed; None where they do already."""
    found = _open(book, asked.promise_id, context.now)
    if not isinstance(found, Promise):
        before = book.get(str(asked.promise_id))
        after = book.get(before.became) if before and before.became else None
        repeated = before and after and after.due_at == asked.due_at and after.what == (asked.what or before.what)
        return None if repeated else found
    if asked.due_at <= context.now:
        return Refusal(Rule.PROMISE_ALREADY_DUE)
    if len(book) >= PROMISES_MAX:
        return Refusal(Rule.TOO_MANY, f"{PROMISES_MAX} promises were made here: keep this one as it is")
    return PromiseTerms(
        promise_id=context.new_id("promise"), what=asked.what or found.what, due_at=asked.due_at, made_at=made_at
    )  # a new promise, made now


def _open(book: Book, promise_id: UUID, now: datetime) -> Promise | Refusal:
    found = book.get(str(promise_id))
    if found is None:
        return Refusal(Rule.UNKNOWN_PROMISE, f"no promise {promise_id} was made here: name one that was")
    if found.ended is not None:
        return Refusal(Rule.PROMISE_ENDED, f"this promise was {found.ended} already", {"promise_id": str(promise_id), "ended": found.ended})
    if found.due_at <= now:
        return Refusal(Rule.PROMISE_PAST_DUE)
    return found


def _is(book: Book, promise_id: UUID, ended: Ended) -> bool:
    found = book.get(str(promise_id))
    return found is not None and found.ended == ended


# ---- the book --------------------------------------------------------------------------------------------------------------


def booked(book: Book, fact: Fact, since: Moment) -> Book:
    """The book after one more fact, of this moment."""
    match fact:
        case PromiseMadeFields(promise=terms):
            return with_terms(book, since, terms)
        case PromiseKeptFields(promise_id=promise_id):
            return with_end(book, "kept", promise_id)
        case PromiseRenegotiatedFields(promise_id=promise_id, becomes=becomes):
            key = str(promise_id)
            return with_terms(book, since, becomes) | {key: replace(book[key], ended="renegotiated", became=str(becomes.promise_id))}
        case PromiseBrokenFields(promise_id=promise_id):
            return with_end(book, "broken", promise_id)
        case _:
            assert_never(fact)


def with_terms(book: Book, since: Moment, *made: PromiseTerms) -> Book:
    """The book with new promises in it."""
    return book | {str(one.promise_id): Promise(one.what, one.due_at, one.made_at, since) for one in made}


def with_end(book: Book, ended: Ended, *promise_ids: UUID) -> Book:
    """The book with some promises ended."""
    return book | {str(one): replace(book[str(one)], ended=ended) for one in promise_ids}


def open_ones(book: Book) -> Book:
    """The promises that have not ended."""
    return {key: one for key, one in book.items() if one.ended is None}


def open_ids(book: Book) -> tuple[UUID, ...]:
    """The ids of the promises that have not ended, in the order they were made."""
    return tuple(UUID(key) for key in open_ones(book))


def open_terms(book: Book) -> tuple[PromiseTerms, ...]:
    """The terms of the promises that have not ended: what is due first comes first."""
    found = sorted(open_ones(book).items(), key=lambda item: (item[1].due_at, item[0]))
    return tuple(PromiseTerms(promise_id=UUID(key), what=one.what, due_at=one.due_at, made_at=one.made_at) for key, one in found)


def timers(book: Book, generation: int) -> Mapping[str, Timer]:
    """One timer for each promise that has not ended."""
    return {TIMER + key: Timer(one.due_at, generation) for key, one in open_ones(book).items()}
