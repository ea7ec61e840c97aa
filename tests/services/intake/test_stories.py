"""Whole complaints, driven by random commands; the other services' facts come in any order and of any generation."""

from datetime import timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.intake.complaint import STREAM
from shared.contract import intake as said
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal, Rule
from shared.contract.said import decode
from shared.contract.values import Proof
from shared.machine.mind import Context, Timer
from shared.obligations.promises import TIMER
from tests.invariants.complaint import ENDED, Past
from tests.services.intake.said import AN_ACKNOWLEDGEMENT, COMPLAINT, HAND_OVER, NOW, POLICY, TOLD, fold

PEOPLE = st.sampled_from(["person:ines", "person:ravi", "person:mira"])
WORDS = st.sampled_from(["Eighty loaves for Saturday.", "My money back.", "A word from the baker."])
VERSIONS = st.sampled_from([None, "1", "2", "3"])
SUBMISSIONS = st.one_of(
    st.builds(said.SubmitComplaint, source=st.just("bakery"), ref=st.just("2026/0817"), issue=WORDS, upstream_version=VERSIONS),
    st.builds(said.ReportFinding, source=st.just("bakery"), ref=st.just("2026/0817"), issue=WORDS, exposed=st.just(("C-1",))),
)
PEOPLES = st.one_of(
    st.builds(said.AssignOwner, owner=PEOPLE),
    st.builds(said.AcceptOwnership, by=PEOPLE),
    PEOPLE.map(lambda to: HAND_OVER.model_copy(update={"to": to})),
)
TALK = st.one_of(
    st.builds(said.Acknowledge, text=WORDS),
    st.builds(said.StateNeed, need=WORDS),
    st.builds(said.RaiseMisunderstanding, understood=WORDS, meant=st.just("What we can do.")),
    st.builds(said.RecordReply, text=WORDS, ref=st.sampled_from([None, "mail/1", "mail/2"])),
    st.builds(said.NoteReply, reply_id=st.sampled_from([UUID(int=11), UUID(int=12)]), generation=st.sampled_from([1, 2])),
    st.builds(
        said.Classify,
        product=st.just("bread"),
        defect_kind=st.sampled_from(["delivery", "billing", "karma"]),
        severity=st.just("high"),
        central=st.booleans(),
    ),
)
GENERATIONS = st.integers(0, 2)
"""0 is the one before the current, 1 the current, 2 the next."""
FACTS = st.one_of(
    st.tuples(st.just(said.NoteCustomersEnding), st.fixed_dictionaries({"ending": st.sampled_from(["confirmed", "assumed"])})),
    st.tuples(st.sampled_from([said.NoteLateWithdrawal, said.NoteTimelyWithdrawal]), st.just({})),
    st.tuples(st.just(said.NoteLearning), st.fixed_dictionaries({"outcome": st.sampled_from(["corrected", "no_fault"])})),
)


class Stories(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.state, self.past, self.now = STREAM.initial, Past(), NOW

    def ask(self, command):
        self.now += timedelta(minutes=1)
        context = Context(self.now, POLICY, "person:ines", "complaint", COMPLAINT, len(self.past) + 1, "test")
        decided = STREAM.decide(self.state, command, context)
        assert decided == STREAM.decide(self.state, command, context)
        if isinstance(decided, Refusal):
            assert not command.internal, f"our own fact was refused: {decided}"
            assert decided.sentence
            assert (decided.rule is Rule.UNKNOWN_STREAM) == (not self.past)
            return
        for event in decided:
            self.past.may_go_on(event, self.now, POLICY)
            self.state = STREAM.evolve(self.state, event)
            self.past.append(event)
        if isinstance(command, TimerDue):
            assert STREAM.timers(self.state).get(command.timer) != Timer(command.due_at, command.generation), "it would fire for ever"
        again = STREAM.decide(self.state, command, context)
        if isinstance(command, said.SubmitComplaint | said.ReportFinding):
            assert [(type(one), one.update) for one in again] == [(said.SubmissionRepeated, False)]
        elif not any(isinstance(event, said.StaleFactIgnored) for event in decided):
            assert again == [] or isinstance(again, Refusal), f"{command!r} twice gives {again!r}"

    # ---- what may come -----------------------------------------------------------------------------------------------------

    @initialize(begin=st.sampled_from(["nothing", "received", "ready", "owned", "owned"]))
    def begin(self, begin):
        if begin != "nothing":
            self.ask(TOLD)
        if begin in {"ready", "owned"}:
            self.do_what_is_missing()
        if begin == "owned":
            self.ask(said.CompleteOwnership())

    @rule(command=SUBMISSIONS)
    def an_upstream_tells(self, command):
        self.ask(command)

    @rule(command=PEOPLES)
    def somebody_is_found(self, command):
        self.ask(command)

    @rule(command=TALK)
    def talk(self, command):
        self.ask(command)

    @rule(what=WORDS, hours=st.integers(-1, 72))
    def promise(self, what, hours):
        self.ask(said.MakePromise(what=what, due_at=self.now + timedelta(hours=hours)))

    @rule(data=st.data(), by=st.sampled_from([None, "call/1548", "g1/intake/3/17", "g1/intake/3/18"]))
    def keep_a_promise(self, data, by):
        self.ask(said.KeepPromise(promise_id=self.a_promise(data), by=by))

    @rule(data=st.data(), hours=st.integers(-1, 72))
    def renegotiate_a_promise(self, data, hours):
        due_at = self.now + timedelta(hours=hours)
        self.ask(said.RenegotiatePromise(promise_id=self.a_promise(data), due_at=due_at, reason="She asked.", proof=self.a_proof(data)))

    def a_promise(self, data):
        made = [one.promise.promise_id for one in self.past.of(said.PromiseMade)] + [
            one.becomes.promise_id for one in self.past.of(said.PromiseRenegotiated)
        ]
        return data.draw(st.sampled_from([UUID(int=7), *made, *list(self.past.open_promises) * 3]))

    def a_proof(self, data):
        replies = [Proof(kind="reply", ref=str(one.reply_id)) for one in self.past.of(said.ReplyReceived, said.ReplyNoted)]
        others = [Proof(kind="call", ref="call/0917"), Proof(kind="token", ref="t-1"), Proof(kind="reply", ref="none"), None]
        return data.draw(st.sampled_from([*others, *replies * 2]))

    @rule(data=st.data())
    def clear_up(self, data):
        self.ask(said.ClearMisunderstanding(proof=self.a_proof(data)))

    @rule(data=st.data(), what=WORDS)
    def promise_and_renegotiate(self, data, what):
        self.promise(what, 24)
        self.renegotiate_a_promise(data, 48)

    @rule(data=st.data())
    def take_it_back(self, data):
        self.ask(said.Withdraw(proof=self.a_proof(data)))

    @rule(first=FACTS, answer=st.sampled_from([said.NoteLateWithdrawal, said.NoteTimelyWithdrawal]))
    def take_it_back_and_hear_what_resolution_says(self, first, answer):
        self.ask(said.Withdraw(proof=Proof(kind="call", ref="call/0917")))
        if self.past:
            self.tell(first, self.past.generation)
            self.tell((answer, {}), self.past.generation)

    @rule()
    def complete(self):
        self.ask(said.CompleteOwnership())

    def do_what_is_missing(self, but=None):
        self.ask(said.AssignOwner(owner="person:ines"))
        steps = [
            said.AcceptOwnership(by=self.past.people[1] or "person:ines"),
            AN_ACKNOWLEDGEMENT,
            said.StateNeed(need="Eighty loaves for Saturday."),
            said.MakePromise(what="A call", due_at=self.now + timedelta(days=1)),
        ]
        for step in steps:
            if not isinstance(step, but or ()):
                self.ask(step)

    @rule(but=st.sampled_from([None, said.AcceptOwnership, said.Acknowledge, said.StateNeed, said.MakePromise]))
    def complete_with_or_without_something(self, but):
        self.do_what_is_missing(but)
        self.complete()

    @rule(why=WORDS)
    def reopen(self, why):
        self.ask(said.ReopenComplaint(why=why))

    @rule(fact=FACTS, ahead=GENERATIONS)
    def another_service_tells(self, fact, ahead):
        self.tell(fact, max(1, self.past.generation + ahead - 1))

    @rule(fact=FACTS)
    def another_service_tells_of_this_generation(self, fact):
        self.tell(fact, max(1, self.past.generation))

    def tell(self, fact, generation):
        command, told = fact
        if command is said.NoteCustomersEnding:
            told = told | {"ended_at": self.now}
        self.ask(command(generation=generation, **told))

    @rule(hours=st.sampled_from([1, 24, 24 * 31]))
    def time_passes(self, hours):
        self.now += timedelta(hours=hours)

    @rule()
    def the_time_of_a_promise_comes(self):
        self.now = max([self.now, *(timer.due_at for timer in STREAM.timers(self.state).values())])
        self.due_timers_fire()

    @rule()
    def due_timers_fire(self):
        for name, timer in STREAM.timers(self.state).items():
            if timer.due_at <= self.now:
                self.ask(TimerDue(timer=name, due_at=timer.due_at, generation=timer.generation))

    @rule(data=st.data())
    def a_timer_fires_that_nobody_wants_any_more(self, data):
        ended = [(one.promise_id, self.now) for one in self.past.of(ENDED)] + [
            (terms.promise_id, terms.due_at) for one in self.past.of(said.ComplaintOwned) for terms in one.promises
        ]
        promise_id, due_at = data.draw(st.sampled_from([(UUID(int=7), self.now), *ended]))
        before = len(self.past)
        self.ask(TimerDue(timer=f"{TIMER}{promise_id}", due_at=due_at))
        assert len(self.past) == before

    # ---- what always holds -------------------------------------------------------------------------------------------------

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
    def the_clock_watches_every_open_promise_and_no_other(self):
        wanted = {f"{TIMER}{one}": Timer(terms.due_at, self.past.generation) for one, terms in self.past.open_promises.items()}
        assert STREAM.timers(self.state) == wanted

    @invariant()
    def both_endings_are_there_exactly_where_it_is_settled(self):
        settled = any(isinstance(one, said.ComplaintSettled) for one in self.past.this_generation)
        assert STREAM.is_closed(self.state) == settled
        learned = any(isinstance(one, said.LearningNoted) for one in self.past.this_generation)
        if learned and isinstance(self.past.customers_ending, said.CustomersEndingNoted):
            assert settled


Stories.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


class TestStories(Stories.TestCase):
    pass


def test_one_long_story_holds_every_fact_there_can_be():
    story = Stories()
    call = Proof(kind="call", ref="call/0917")

    def told(command, **fields):
        story.ask(command(generation=story.past.generation, **fields))

    def promised(hours):
        story.ask(said.MakePromise(what=f"A call in {hours} hours", due_at=story.now + timedelta(hours=hours)))
        return next(reversed(story.past.open_promises))

    for command in (TOLD, TOLD, TOLD.model_copy(update={"summary": "All loaves missing"})):
        story.ask(command)
    story.ask(said.Classify(product="bread", defect_kind="delivery", severity="high", central=True))
    story.ask(said.RaiseMisunderstanding(understood="Today.", meant="On Saturday."))
    story.ask(said.RecordReply(text="On Saturday, then."))
    story.ask(said.NoteReply(reply_id=UUID(int=11), generation=1))
    story.ask(said.ClearMisunderstanding(proof=call))
    promised(1)
    story.the_time_of_a_promise_comes()
    story.ask(said.KeepPromise(promise_id=promised(2), by="g1/intake/3/17"))
    story.ask(said.RenegotiatePromise(promise_id=promised(3), due_at=story.now + timedelta(days=1), reason="She asked.", proof=call))
    story.do_what_is_missing()
    story.complete()
    story.ask(HAND_OVER)
    story.ask(said.Withdraw(proof=call))
    told(said.NoteLateWithdrawal)
    told(said.NoteCustomersEnding, ending="confirmed", ended_at=story.now)
    told(said.NoteLearning, outcome="corrected")
    story.reopen("Sixty came.")
    story.ask(said.NoteLearning(generation=1, outcome="corrected"))
    story.do_what_is_missing()
    story.complete()
    story.ask(said.Withdraw(proof=call))
    told(said.NoteTimelyWithdrawal)
    told(said.NoteLearning, outcome="no_fault")
    assert [one.ending for one in story.past.of(said.ComplaintSettled)] == ["confirmed", "withdrawn"]
    assert {one.type for one in story.past} == said.INTAKE_EVENTS.keys()
