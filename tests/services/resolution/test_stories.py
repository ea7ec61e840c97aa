"""Whole cases, driven by random commands, intake's facts in any order and the clock; held against their past alone after each step."""

from datetime import timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.resolution.case import OBJECTION, STREAM
from services.resolution.mind import MIND
from shared.contract import resolution as said
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import decode
from shared.contract.values import PromiseTerms, Proof
from shared.machine.mind import Context, Fact, Timer
from tests.invariants import case
from tests.services.resolution.said import (
    A_COMPLETION,
    A_DECISION,
    A_DECLINE,
    AN_INVESTIGATION,
    AN_OFFER,
    AN_OPENING,
    CALL,
    COMPLAINT,
    DAY,
    HOUR,
    LOAVES,
    NOW,
    POLICY,
    STEP,
    fold,
)

TURNS = st.sampled_from([0, 0, 0, 0, -1, 1])
"""How far a fact of intake's is from the newest generation that was heard of."""
PEOPLE = st.sampled_from(["person:ines", "person:ravi"])
PROOFS = st.sampled_from([CALL, CALL, CALL, None, Proof(kind="reply", ref=str(UUID(int=11))), Proof(kind="reply", ref=str(UUID(int=12)))])
WORDS = st.sampled_from(["It is there.", "It is not there."])
OFFERS = st.sampled_from([AN_OFFER, said.OfferTerms(asked="All of it.", can_do="Half of it.")])
DECLINES = (A_DECLINE, said.MakeDecision(verdict="decline", reasons=("No flour.",), no_alternative="The harvest failed."))
DECISIONS = st.sampled_from([
    A_DECISION,
    A_DECISION,
    *DECLINES,
    said.MakeDecision(verdict="uphold_in_part", reasons=("It was late.",)),
    said.MakeDecision(verdict="clarified", reasons=("It came by the second van.",)),
    said.MakeDecision(verdict="uphold"),
    said.MakeDecision(verdict="decline", reasons=("No flour.",)),
    said.MakeDecision(verdict="clarified", reasons=("It came.",), remedies=A_DECISION.remedies),
])  # fmt: skip
FIXING = st.one_of(
    DECISIONS,
    st.builds(said.StartFix, what=st.none() | WORDS),
    st.sampled_from([A_COMPLETION, said.CompleteFix(what="The answer.")]),
    st.sampled_from([AN_INVESTIGATION, said.RecordInvestigation(facts="The order says 100.")]),
    st.builds(said.MakeCounterOffer, offer=OFFERS),
    st.builds(said.AnswerOffer, answer=st.sampled_from(["accepted", "refused"]), proof=PROOFS),
)
DELIVERING = st.one_of(
    st.builds(said.ConfirmDelivery, proof=PROOFS, words=st.none() | WORDS),
    st.builds(said.ObjectToDelivery, reason=WORDS, because=st.sampled_from(["new_evidence", "not_as_decided"])),
    st.builds(said.GiveExplanation, text=WORDS),
)
TALK = st.one_of(
    st.builds(said.RaiseMisunderstanding, understood=WORDS, meant=WORDS),
    st.builds(said.ClearMisunderstanding, proof=PROOFS),
    st.builds(said.RecordReply, text=WORDS, ref=st.sampled_from([None, "m-1", "m-2"])),
    st.builds(said.NoteReply, reply_id=st.sampled_from([UUID(int=12), UUID(int=13)]), generation=st.sampled_from([1, 2])),
)


def opening(generation, owner="person:ines", again=()):
    """Each generation has promises of its own. `again`: what is open here already, told again as intake never would."""
    step = PromiseTerms(promise_id=UUID(int=100 * generation), what="The next step.", due_at=NOW + generation * DAY, made_at="own")
    first = (STEP, LOAVES) if generation == 1 else ()
    told = {"generation": generation, "owner": owner, "product": None if generation == 2 else "bread"}
    return AN_OPENING.model_copy(update=told | {"promises": (*first, step, *again), "next_step": step})


class Stories(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.state, self.past, self.now = STREAM.initial, [], NOW
        self.ever_wanted = {}

    def ask(self, command):
        context = Context(
            now=self.now, policy=POLICY, actor="person:ines", kind="case", stream=COMPLAINT, version=len(self.past) + 1, input_id="test"
        )  # fmt: skip
        decided = STREAM.decide(self.state, command, context)
        assert decided == STREAM.decide(self.state, command, context), "it is not pure"
        if isinstance(decided, Refusal):
            assert not command.internal, f"our own fact was refused: {decided}"
            assert decided.sentence
            self.refused(decided)
            return decided
        for event in decided:
            assert event.type in MIND.events
            assert not MIND.react(Fact(event, COMPLAINT, "resolution", "person:ines"))
            case.may_go_on(self.past, event, decided, self.now, POLICY)
            self.state = STREAM.evolve(self.state, event)
            self.past.append(event)
        if not command.internal:
            again = STREAM.decide(self.state, command, context)
            nothing = again == [] or isinstance(again, Refusal)
            assert nothing or (isinstance(command, said.RecordReply) and command.ref is None), f"{command!r} twice gives {again!r}"
        self.ever_wanted.update({(name, timer.due_at, timer.generation): None for name, timer in STREAM.timers(self.state).items()})
        return decided

    # ---- from the past alone: not from the state that the rules use --------------------------------------------------------

    def refused(self, refusal):
        if refusal.rule is Rule.NO_FIX_BEFORE_OWNERSHIP:
            assert not case.is_open(self.past)
        elif refusal.rule is Rule.CLOSED:
            assert case.ending(self.past)
        elif refusal.rule is Rule.MISUNDERSTANDING_FIRST:
            assert case.is_raised(self.past)
        elif refusal.rule is Rule.DECISION_STANDS:
            assert case.decision(self.past)

    # ---- what is asked -----------------------------------------------------------------------------------------------------

    @initialize(owned=st.sampled_from([True, True, True, False]))
    def begin(self, owned):
        if owned:
            self.ask(opening(1))

    @rule(turn=st.sampled_from([1, 1, 1, 0, -1, 2]), owner=PEOPLE, again=st.booleans())
    def intake_tells_that_it_is_owned(self, turn, owner, again):
        generation = self.turned(turn if case.ending(self.past) or not self.past else 0)
        self.ask(opening(generation, owner, case.open_promises(self.past).values() if again else ()))

    @rule(turn=TURNS, to=PEOPLE, fact=st.sampled_from(["reopened", "withdrawn", "withdrawn", "transferred"]))
    def intake_tells_something_else(self, turn, to, fact):
        generation = self.turned(turn)
        match fact:
            case "reopened":
                self.ask(said.SuspendCase(generation=generation))
            case "withdrawn":
                self.ask(said.CloseWithdrawn(generation=generation))
            case "transferred":
                self.ask(said.ChangeOwner(generation=generation, to=to))

    def turned(self, turn):
        return max(1, case.generation(self.past) + turn)

    @rule(command=FIXING)
    def fix(self, command):
        self.ask(command)

    @rule(data=st.data())
    def deliver(self, data):
        known = list(case.promises(self.past)) or [UUID(int=9)]
        keeps = data.draw(st.lists(st.sampled_from(known), max_size=2))
        self.ask(said.Deliver(what="60 loaves.", how="By van.", evidence="Note 13.", keeps=tuple(keeps)))

    @rule(command=DELIVERING)
    def the_customer_answers(self, command):
        self.ask(command)

    @rule(answer=st.sampled_from(["accepted", "refused"]), offer=OFFERS)
    def an_offer_is_made_and_answered(self, answer, offer):
        self.ask(said.MakeCounterOffer(offer=offer))
        self.ask(said.AnswerOffer(answer=answer, proof=CALL))

    @rule(command=TALK)
    def talk(self, command):
        self.ask(command)

    @rule(data=st.data(), days=st.integers(-1, 6))
    def promise(self, data, days):
        known = st.sampled_from(list(case.promises(self.past)) or [UUID(int=9)])
        due_at = self.now + days * DAY
        commands = st.one_of(
            st.just(said.MakePromise(what="A call.", due_at=due_at)),
            st.builds(said.KeepPromise, promise_id=known, by=st.sampled_from(["g1/resolution/3/17", None])),
            st.builds(said.RenegotiatePromise, promise_id=known, due_at=st.just(due_at), reason=WORDS, proof=PROOFS),
        )
        self.ask(data.draw(commands))

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours):
        """Whatever comes due meanwhile is told first, as the machine does."""
        until = self.now + hours * HOUR
        while wanted := [(t.due_at, name, t.generation) for name, t in STREAM.timers(self.state).items() if t.due_at <= until]:
            self.fire(*min(wanted))
        self.now = until

    @rule(data=st.data())
    def any_timer_that_was_ever_wanted_fires(self, data):
        if self.ever_wanted:
            name, due_at, generation = data.draw(st.sampled_from(list(self.ever_wanted)))
            self.fire(due_at, name, generation)

    @rule()
    def the_window_passes(self):
        if OBJECTION in STREAM.timers(self.state):
            self.time_passes(24 * 6)

    @rule(straight=st.sampled_from([*DECLINES, A_DECISION]))
    def all_goes_well_until_delivery(self, straight):
        """From wherever it stands: what is in the way is put out of it."""
        if not case.is_open(self.past) or case.ending(self.past):
            self.ask(opening(self.turned(1)))
        for command in (said.ClearMisunderstanding(proof=CALL), straight, said.StartFix(), A_COMPLETION):
            self.ask(command)
        self.ask(said.Deliver(what="60 loaves.", how="By van.", evidence="Note 13."))

    def fire(self, due_at, name, generation):
        self.now = max(self.now, due_at)
        before = case.generation(self.past)
        decided = self.ask(TimerDue(timer=name, due_at=due_at, generation=generation))
        assert generation == before or decided == [], "10: a timer of an older generation"
        assert STREAM.timers(self.state).get(name) != Timer(due_at, generation), "it would fire for ever"

    # ---- always ------------------------------------------------------------------------------------------------------------

    @invariant()
    def the_state_is_the_fold_of_the_past(self):
        assert fold(STREAM, self.past) == self.state
        assert fold(STREAM, [decode(type(event), event.to_bytes()) for event in self.past]) == self.state

    @invariant()
    def the_state_is_written_and_read_without_a_difference(self):
        written = STREAM.state_type.dump_json(self.state)
        read = STREAM.state_type.validate_json(written)
        assert read == self.state
        assert STREAM.state_type.dump_json(read) == written

    @invariant()
    def each_promise_ends_once(self):
        ended = list(case.ends(self.past))
        assert len(ended) == len(set(ended)), "13"
        assert set(ended) <= case.promises(self.past).keys()

    @invariant()
    def it_wants_just_the_timers_that_its_past_asks_for(self):
        """A window that runs, and each promise that is open: nothing more, and nothing less even while it is suspended."""
        generation = case.generation(self.past)
        wanted = {f"promise/{one}": Timer(terms.due_at, generation) for one, terms in case.open_promises(self.past).items()}
        if until := case.window(self.past):
            wanted[OBJECTION] = Timer(until, generation)
        assert STREAM.timers(self.state) == wanted

    @invariant()
    def it_is_closed_when_it_has_ended_and_nothing_is_promised_any_more(self):
        assert STREAM.is_closed(self.state) == bool(case.ending(self.past) and not case.open_promises(self.past))


Stories.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


class TestStories(Stories.TestCase):
    pass


def test_a_whole_story_goes_through_every_kind_of_fact():
    """The random ones could all be dull: this one is not, and is held to the same."""
    story = Stories()
    story.ask(said.ChangeOwner(generation=1, to="person:ravi"))
    story.ask(opening(1))
    story.ask(AN_INVESTIGATION)
    story.ask(said.RaiseMisunderstanding(understood="Friday.", meant="Saturday."))
    story.ask(said.ClearMisunderstanding(proof=CALL))
    story.ask(A_DECLINE)
    story.ask(said.AnswerOffer(answer="refused", proof=CALL))
    story.ask(said.MakePromise(what="A call.", due_at=story.now + 2 * HOUR))
    story.ask(said.RenegotiatePromise(promise_id=STEP.promise_id, due_at=story.now + 3 * DAY, reason="They are away.", proof=CALL))
    story.time_passes(3)
    story.ask(said.RecordReply(text="Thank you.", ref="m-1"))
    story.ask(said.NoteReply(reply_id=UUID(int=33), generation=1))
    story.ask(A_COMPLETION)
    story.ask(said.Deliver(what="60 loaves.", how="By van.", evidence="Note 13.", keeps=(LOAVES.promise_id,)))
    story.ask(said.ObjectToDelivery(reason="It says 120.", because="new_evidence"))
    story.all_goes_well_until_delivery(A_DECISION)
    story.ask(said.CloseWithdrawn(generation=1))
    story.ask(said.GiveExplanation(text="The plan was full."))
    story.the_window_passes()
    story.ask(said.SuspendCase(generation=2))
    story.ask(opening(2))
    story.ask(said.MakeCounterOffer(offer=AN_OFFER))
    story.ask(said.AnswerOffer(answer="accepted", proof=CALL))
    story.all_goes_well_until_delivery(A_DECISION)
    story.ask(said.ConfirmDelivery(proof=CALL))
    story.ask(said.SuspendCase(generation=1))
    story.ask(said.CloseWithdrawn(generation=3))
    assert {type(event) for event in story.past} == set(MIND.events.values())
    assert story.now < NOW + timedelta(days=30)
    story.it_wants_just_the_timers_that_its_past_asks_for()
