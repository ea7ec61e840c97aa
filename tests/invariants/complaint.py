"""A complaint's past, read apart from the state that the rules use: what may follow on it, by the invariants."""

from shared.contract import intake as said
from shared.contract.envelope import event_place

ENDED = said.PromiseKept | said.PromiseBroken | said.PromiseRenegotiated
IN_OWN = (
    said.OwnerAssigned
    | said.AcknowledgementSent
    | said.NeedStated
    | said.MisunderstandingRaised
    | said.MisunderstandingCleared
    | said.PromiseMade
    | ENDED
    | said.ComplaintOwned
)
"""What happens in own and nowhere else."""
BEFORE_THE_END = IN_OWN | said.OwnershipAccepted | said.OwnershipTransferred | said.ComplaintClassified


class Past(list):
    """The events of one complaint so far."""

    def of(self, *kinds):
        return [event for event in self if isinstance(event, kinds)]

    @property
    def generation(self):
        return 1 + len(self.of(said.ComplaintReopened)) if self else 0

    @property
    def this_generation(self):
        starts = [n for n, event in enumerate(self) if isinstance(event, said.ComplaintReceived | said.ComplaintReopened)]
        return self[starts[-1] :] if starts else []

    @property
    def is_owned(self):
        return any(isinstance(event, said.ComplaintOwned) for event in self.this_generation)

    @property
    def customers_ending(self):
        """The event that is it, or None."""
        found = None
        for event in self.this_generation:
            if isinstance(event, said.ComplaintWithdrawn | said.CustomersEndingNoted):
                found = event
            elif isinstance(event, said.WithdrawalOverruled):
                found = None
        return found

    @property
    def people(self):
        """Who accepted last, and who was asked since."""
        owner = asked = None
        for event in self:
            match event:
                case said.OwnerAssigned(owner=one) | said.OwnershipTransferred(to=one):
                    asked = None if one == owner else one
                case said.OwnershipAccepted(owner=one):
                    owner, asked = one, None
        return owner, asked

    @property
    def open_promises(self):
        found = {}
        for event in self.this_generation:
            match event:
                case said.PromiseMade(promise=terms):
                    found[terms.promise_id] = terms
                case said.PromiseKept(promise_id=one) | said.PromiseBroken(promise_id=one):
                    del found[one]
                case said.PromiseRenegotiated(promise_id=one, becomes=terms):
                    del found[one]
                    found[terms.promise_id] = terms
                case said.ComplaintOwned() | said.ComplaintWithdrawn():
                    found = {}
        return found

    @property
    def replies(self):
        """The generation in which each was received, by id."""
        found = {}
        for event in self:
            if isinstance(event, said.ReplyReceived | said.ReplyNoted):
                found.setdefault(str(event.reply_id), event.generation)
        return found

    def known_at(self, reply):
        """When a reply was first known, by its place in the past."""
        return next(n for n, one in enumerate(self) if str(getattr(one, "reply_id", None)) == reply)

    def came_up(self, event):
        """What this event is the customer's word about, by its place in the past: of a withdrawal, all of it."""
        match event:
            case said.MisunderstandingCleared():
                return max(n for n, one in enumerate(self) if isinstance(one, said.MisunderstandingRaised))
            case said.PromiseRenegotiated(promise_id=promise_id):
                terms = [getattr(one, "promise", getattr(one, "becomes", None)) for one in self]
                return next(n for n, one in enumerate(terms) if one and one.promise_id == promise_id)
        return 0

    @property
    def is_misunderstood(self):
        marks = [said.MisunderstandingRaised, said.MisunderstandingCleared, said.ComplaintWithdrawn]
        found = self.of(*marks)
        return bool(found) and isinstance(found[-1], said.MisunderstandingRaised)

    # ---- the invariants ----------------------------------------------------------------------------------------------------

    def may_go_on(self, event, now, policy):
        """That this may happen next, decided at `now` under this policy."""
        assert bool(self) != isinstance(event, said.ComplaintReceived), "it is received first, and once"
        ending = self.customers_ending
        assert not (ending and isinstance(event, BEFORE_THE_END)), f"it has ended: {event!r}"
        assert not (self.is_owned and isinstance(event, IN_OWN)), f"it is resolution's: {event!r}"
        match event:
            case said.ComplaintReopened(generation=generation):
                assert generation == self.generation + 1, "10"
            case said.StaleFactIgnored(generation=generation, current=current):
                assert generation != current == self.generation
            case said.ReplyNoted():
                pass  # of the generation in which it was received, whenever it is told
            case _ if self:
                assert getattr(event, "generation", self.generation) == self.generation, "10: of another generation"
        match event:
            case said.SubmissionRepeated() | said.SubmissionConflicted():
                self.telling(event)
            case said.OwnershipAccepted(owner=owner):
                assert owner == self.people[1], "only whoever was asked"
            case said.OwnerAssigned():
                assert self.people[0] is None, "16: without the story"
            case said.OwnershipTransferred():
                assert self.people[0], "nobody has it"
                assert event.story, "16"
            case said.ComplaintOwned():
                self.owning(event, now)
            case said.PromiseKept(promise_id=promise_id) | said.PromiseRenegotiated(promise_id=promise_id):
                assert now < self.open_promises[promise_id].due_at, "13: broken by then"
                assert isinstance(event, said.PromiseRenegotiated) or event_place(event.by), "17: kept by no event"
            case said.PromiseBroken(promise_id=promise_id, due_at=due_at):
                assert self.open_promises[promise_id].due_at == due_at <= now, "13: not due"
            case said.ComplaintWithdrawn(released=released):
                assert ending is None, "it has ended"
                assert set(released) == self.open_promises.keys(), "13"
            case said.CustomersEndingNoted():
                assert self.is_owned, "1: nothing was handed over"
                assert ending is None
            case said.WithdrawalOverruled() | said.WithdrawalStood():
                assert isinstance(ending, said.ComplaintWithdrawn)
                assert self.is_owned
            case said.LearningNoted():
                assert not any(isinstance(one, said.LearningNoted) for one in self.this_generation)
            case said.ComplaintSettled():
                self.settling(event, ending)
            case said.ComplaintReopened():
                self.reopening(event, ending, now, policy)
        proof = getattr(event, "proof", None)
        if proof and proof.kind == "reply":
            assert proof.ref in self.replies, "17: nobody received it"
            assert self.replies[proof.ref] >= self.generation, "17: said before it was opened again"
            assert self.known_at(proof.ref) > self.came_up(event), "17: said before this came up"
        assert not hasattr(event, "proof") or proof, "17"

    def telling(self, event):
        held = {self[0].content_digest: self[0].upstream_version}
        held |= {one.content_digest: one.upstream_version for one in self.of(said.SubmissionRepeated) if one.update}
        conflicting = {one.digest for one in self.of(said.SubmissionConflicted)}
        if isinstance(event, said.SubmissionConflicted):
            assert event.digest not in held.keys() | conflicting, "the same conflict twice"
            assert event.known in held
        elif event.update:
            assert event.content_digest not in held.keys() | conflicting, "the same update twice"
            assert event.upstream_version not in {None, *held.values()}, "two contents for one version"
        else:
            assert event.content_digest in held.keys() | conflicting, "it was never told"

    def owning(self, event, now):
        owner, asked = self.people
        assert (owner, asked) == (event.owner, None), "1: an accepting owner"
        assert any(isinstance(one, said.AcknowledgementSent) for one in self.this_generation), "1: an acknowledgement"
        assert event.need == self.of(said.NeedStated)[-1].need, "1: a need"
        assert event.next_step in event.promises, "1: a next step"
        assert event.next_step.due_at > now, "1: a date ahead"
        assert {one.promise_id: one for one in event.promises} == self.open_promises, "13"
        assert not self.is_misunderstood, "3"
        assert {str(one) for one in event.replies} == {one for one, told in self.replies.items() if told == self.generation}, "16"

    def settling(self, event, ending):
        generation = self.this_generation
        assert not any(isinstance(one, said.ComplaintSettled) for one in generation), "settled twice"
        assert event.outcome in [one.outcome for one in generation if isinstance(one, said.LearningNoted)]
        if event.ending == "withdrawn":
            assert isinstance(ending, said.ComplaintWithdrawn)
            since = generation[generation.index(ending) :]
            assert not self.is_owned or any(isinstance(one, said.WithdrawalStood) for one in since), "it may have been delivered"
        else:
            assert event.ending == ending.ending

    def reopening(self, event, ending, now, policy):
        at = ending.withdrawn_at if isinstance(ending, said.ComplaintWithdrawn) else ending.ended_at
        assert now <= at + policy.reopen_window
        assert event.owner == self.people[0], "10"
        assert event.need == next((one.need for one in reversed(self.of(said.NeedStated))), None), "16"
