"""What a case is, read from its past alone: written apart from the rules, so that the two can contradict each other."""

from shared.contract import resolution as said

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
