"""A case's past, read apart from the state that the rules use, so that the two can contradict each other: what may follow on it."""

from shared.contract import resolution as said
from shared.contract.envelope import event_place

OPENINGS = (said.CaseOpened, said.CaseReopened)
LIFE = (*OPENINGS, said.CaseSuspended, said.CaseClosed)
ENDINGS = (said.DeliveryConfirmed, said.DeliveryAssumed)
MOVED = (
    said.DecisionMade,
    said.CounterOfferMade,
    said.CounterOfferAccepted,
    said.CounterOfferRefused,
    said.FixStarted,
    said.FixCompleted,
    said.Delivered,
    *ENDINGS,
    said.DeliveryObjected,
)
"""What does not happen while a misunderstanding is raised."""
INSIDE = (*MOVED, said.InvestigationRecorded, said.ExplanationGiven, said.MisunderstandingRaised, said.PromiseMade)
"""What happens only in a case that is open, or, of an explanation, was."""


def last(past, *kinds):
    return next((event for event in reversed(past) if isinstance(event, kinds)), None)


def is_open(past):
    """Opened, and neither suspended nor taken back since."""
    return isinstance(last(past, *LIFE), OPENINGS)


def run(past):
    """What happened since the last opening, suspension or withdrawal."""
    turns = [n for n, event in enumerate(past) if isinstance(event, LIFE)]
    return past[turns[-1] + 1 :] if turns else []


def since(past, *kinds):
    """What happened after the last of these."""
    turns = [n for n, event in enumerate(past) if isinstance(event, kinds)]
    return past[turns[-1] + 1 :] if turns else past


def generation(past):
    """The newest that a fact of intake's told of, but for transfers."""
    return max([event.generation for event in past if isinstance(event, LIFE)], default=0)


def is_raised(past):
    return isinstance(last(run(past), said.MisunderstandingRaised, said.MisunderstandingCleared), said.MisunderstandingRaised)


def has_it(past):
    """Whether the customer has it in hand and has not objected."""
    return isinstance(last(run(past), said.Delivered, said.DeliveryObjected), said.Delivered)


def objects(past):
    return isinstance(last(run(past), said.Delivered, said.DeliveryObjected), said.DeliveryObjected)


def ending(past):
    """How it ended in this run, or None."""
    if isinstance(last(past, *LIFE), said.CaseClosed):
        return "withdrawn"
    found = last(run(past), *ENDINGS)
    return None if found is None else "confirmed" if isinstance(found, said.DeliveryConfirmed) else "assumed"


def decision(past):
    """The one that stands."""
    events = run(past)
    new = [n for n, event in enumerate(events) if isinstance(event, said.DeliveryObjected) and event.because == "new_evidence"]
    return last(events[new[-1] :] if new else events, said.DecisionMade)


def window(past):
    """When the time to object ends, while it runs."""
    if not has_it(past) or ending(past) or is_raised(past):
        return None
    return max(event.objection_until for event in since(run(past), said.DeliveryObjected) if getattr(event, "objection_until", None))


def promises(past):
    """All terms that ever were, by id."""
    found = {}
    for event in past:
        match event:
            case said.ObligationsTakenOver(promises=terms):
                new = list(terms)
            case said.PromiseMade(promise=terms) | said.PromiseRenegotiated(becomes=terms):
                new = [terms]
            case _:
                continue
        for terms in new:
            assert terms.promise_id not in found, "13: promised twice under one id"
            found[terms.promise_id] = terms
    return found


def ends(past):
    """The ids of the promises that ended, once for each end."""
    for event in past:
        match event:
            case said.PromiseKept(promise_id=one) | said.PromiseBroken(promise_id=one) | said.PromiseRenegotiated(promise_id=one):
                yield one
            case said.CaseClosed(released=released):
                yield from released


def open_promises(past):
    ended = set(ends(past))
    return {one: terms for one, terms in promises(past).items() if one not in ended}


def promises_of(past):
    """The generation in which each promise was made here or taken over, by id."""
    found = {}
    for n, event in enumerate(past):
        for promise_id in promises([event]):
            found[promise_id] = generation(past[: n + 1])
    return found


def came_up(past, event):
    """What this event is the customer's word about, by its place in the past."""
    match event:
        case said.PromiseRenegotiated(promise_id=promise_id):
            return next(n for n, one in enumerate(past) if promise_id in promises([one]))
        case said.DeliveryConfirmed():
            kinds, wanted = (said.Delivered, said.MisunderstandingRaised), {}
        case said.MisunderstandingCleared():
            kinds, wanted = said.MisunderstandingRaised, {}
        case said.CounterOfferAccepted(offer_id=offer_id) | said.CounterOfferRefused(offer_id=offer_id):
            kinds, wanted = said.CounterOfferMade, {"offer_id": offer_id}
    return max(n for n, one in enumerate(past) if isinstance(one, kinds) and wanted.items() <= dict(one).items())


def known_at(past, reply):
    """When a reply was first known, by its place in the past."""
    return next(n for n in range(len(past)) if reply in replies(past[: n + 1]))


def replies(past):
    """The generation in which each reply was first known, by id."""
    found = {}
    for event in past:
        match event:
            case said.ObligationsTakenOver(replies=ids):
                new = {str(one): event.generation for one in ids}
            case said.ReplyReceived(reply_id=reply_id) | said.ReplyNoted(reply_id=reply_id):
                new = {str(reply_id): event.generation}
            case _:
                continue
        found = new | found
    return found


# ---- the invariants --------------------------------------------------------------------------------------------------------


def may_go_on(past, event, beside, now, policy):
    """That this may happen next, decided at `now` under this policy, with what is beside it (itself among it)."""
    if isinstance(event, INSIDE):
        assert is_open(past), "1: before ownership"
        assert not ending(past) or isinstance(event, said.ExplanationGiven), "after the end"
        assert getattr(event, "generation", generation(past)) == generation(past)
    if isinstance(event, MOVED):
        assert not is_raised(past), "3: a stage moves while a misunderstanding is raised"
    if (proof := getattr(event, "proof", None)) and proof.kind == "reply":
        assert proof.ref in replies(past), "17: nobody received it"
        first = promises_of(past)[event.promise_id] if isinstance(event, said.PromiseRenegotiated) else generation(past)
        assert replies(past)[proof.ref] >= first, "17: said before it was opened again"
        assert known_at(past, proof.ref) >= came_up(past, event), "17: said before this came up"
    match event:
        case said.DecisionMade():
            deciding(past, event, beside)
        case said.FixStarted():
            assert decision(past), "decide first"
        case said.FixCompleted():
            verdict = decision(past).verdict
            started = last(since(run(past), said.DeliveryObjected), said.FixStarted)
            assert started or verdict in {"decline", "clarified"}, "1: completed before it was started"
        case said.Delivered():
            delivering(past, event, beside, now + policy.objection_window)
        case said.DeliveryConfirmed():
            assert has_it(past), "1: confirmed before delivery"
        case said.DeliveryAssumed():
            assert now >= window(past), "before the end of the time to object"
        case said.DeliveryObjected(because=because):
            assert has_it(past) or (objects(past) and because == "new_evidence"), "1: objected to nothing"
        case said.ExplanationGiven():
            assert has_it(past), "2: before delivery, or while an objection is open"
            assert not is_raised(past), "2: a misunderstanding raised after delivery counts as an objection"
        case said.MisunderstandingCleared(objection_until=until):
            assert is_raised(past)
            assert until == (now + policy.objection_window if has_it(past) else None)
        case said.WithdrawalCameTooLate():
            assert is_open(past)
            assert has_it(past)
            assert not is_raised(past)
        case said.CaseClosed(released=released, generation=new):
            assert set(released) == open_promises(past).keys(), "13: not all are released"
            assert new > generation(past) or not has_it(past) or is_raised(past), "it was delivered"
        case said.PromiseKept() | said.PromiseBroken() | said.PromiseRenegotiated():
            ending_a_promise(past, event, now)
        case _:
            pass


def deciding(past, event, beside):
    assert decision(past) is None, "5: overturned without new evidence"
    assert event.reasons
    if event.verdict == "decline":
        offers = [e.offer_id for e in (*run(past), *beside) if isinstance(e, said.CounterOfferMade)]
        assert event.no_alternative or event.offer_id in offers, "4"
    assert not (event.verdict == "clarified" and event.remedies)


def delivering(past, event, beside, window_ends):
    ready = since(run(past), said.DeliveryObjected)
    assert last(ready, said.FixCompleted), "1: delivered before it was fixed"
    assert not last(ready, said.Delivered), "delivered twice"
    kept = {e.promise_id for e in beside if isinstance(e, said.PromiseKept) and e.by == str(event.delivery_id)}
    assert set(event.still_promised) | kept == open_promises(past).keys()
    assert not set(event.still_promised) & kept
    assert event.objection_until == window_ends


def ending_a_promise(past, event, now):
    terms = open_promises(past).get(event.promise_id)
    assert terms, "13: ended twice, or never made"
    if isinstance(event, said.PromiseBroken):
        assert now >= terms.due_at == event.due_at, "13: broken too early"
    else:
        assert now < terms.due_at, "13: after it was due"
    if isinstance(event, said.PromiseKept):
        deliveries = {str(one.delivery_id) for one in past if isinstance(one, said.Delivered)}
        assert event_place(event.by) or event.by in deliveries, "17: kept by no event"
