"""The three minds together, over topics that keep their own order and no other: whatever overtakes what, they come to agree."""

from collections import Counter, deque
from datetime import timedelta
from random import Random

import pytest

from services.intake.mind import MIND as INTAKE
from services.resolution.mind import MIND as RESOLUTION
from services.rootcause.mind import MIND as ROOTCAUSE
from shared.contract import intake, resolution, rootcause
from shared.contract.machine import TimerDue
from shared.contract.refusals import Refusal
from shared.contract.values import Proof
from shared.machine.mind import Context, Fact, Timer
from tests.spec import COMPLAINT, NOW, POLICY

MINDS = {mind.service: mind for mind in (INTAKE, RESOLUTION, ROOTCAUSE)}
REPLIES = intake.ReplyReceived | resolution.ReplyReceived
A_CAUSE = rootcause.RecordCause(kind="workflow", faltered="fix", self_inflicted=True, what="The lid does not close.", evidence="Seen.")
CALL = Proof(kind="call", ref="call/1")
HAND_OVER = intake.TransferOwnership(to="person:ravi", reason="The shift ends.", story="All that was told.")
ENDS_A_PROMISE = (
    intake.PromiseKept, intake.PromiseBroken, intake.PromiseRenegotiated, resolution.PromiseKept, resolution.PromiseBroken,
    resolution.PromiseRenegotiated,
)  # fmt: skip


class Together:
    """One complaint in three services; what they tell each other waits in a queue for each pair."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.streams = {name: mind.streams[mind.listener] for name, mind in MINDS.items()}
        self.state = {name: stream.initial for name, stream in self.streams.items()}
        self.past = {name: [] for name in MINDS}
        self.topics = {(teller, name): deque() for name, mind in MINDS.items() for teller in mind.hears_from}
        self.now = NOW

    def ask(self, name, command, actor="person:ines"):
        self.now += timedelta(minutes=1)
        stream, past = self.streams[name], self.past[name]
        context = Context(self.now, POLICY, actor, stream.kind, COMPLAINT, len(past) + 1, "test")
        decided = stream.decide(self.state[name], command, context)
        if isinstance(decided, Refusal):
            assert not command.internal, f"our own fact was refused: {decided}"
            return
        for event in decided:
            self.the_customers_word_is_of_this_generation(name, event)
            self.state[name] = stream.evolve(self.state[name], event)
            past.append(event)
            for (teller, hearer), waiting in self.topics.items():
                if teller == name and event.type in MINDS[hearer].hears:
                    waiting.append(Fact(event, COMPLAINT, name, actor))
        if isinstance(command, TimerDue):
            assert stream.timers(self.state[name]).get(command.timer) != Timer(command.due_at, command.generation)

    def hear_one(self):
        waiting = [topic for topic, facts in self.topics.items() if facts]
        if waiting:
            _, hearer = topic = self.random.choice(waiting)
            command = MINDS[hearer].translate(self.topics[topic].popleft())
            if command is not None:
                self.ask(hearer, command, "service:other")

    def hear_all(self):
        while any(self.topics.values()):
            self.hear_one()

    def time_passes(self, days):
        self.now += timedelta(days=days)
        for name, stream in self.streams.items():
            for timer, wanted in sorted(stream.timers(self.state[name]).items()):
                if wanted.due_at <= self.now:
                    self.ask(name, TimerDue(timer=timer, due_at=wanted.due_at, generation=wanted.generation), "clock")

    def own(self):
        for command in (
            intake.AssignOwner(owner="person:ines"), intake.AcceptOwnership(by="person:ines"), intake.AcceptOwnership(by="person:ravi"),
            intake.Acknowledge(text=self.random.choice(["We heard you.", "Thank you for telling us."])), intake.StateNeed(need="Bread."),
            intake.MakePromise(what="A call.", due_at=self.now + timedelta(days=1)), intake.CompleteOwnership(),
        ):  # fmt: skip
            self.ask("intake", command)

    def fix(self):
        for command in (
            resolution.MakeDecision(verdict="uphold", reasons=("It was wet.",)), resolution.StartFix(),
            resolution.CompleteFix(what="Baked."), resolution.Deliver(what="Bread.", how="By hand.", evidence="Signed."),
        ):  # fmt: skip
            self.ask("resolution", command)

    def learn(self):
        self.ask("rootcause", rootcause.CloseLearning(outcome="cause_not_found", reason="The traces were gone."))

    def something_happens(self):
        acts = [
            self.own, self.own, self.fix, self.fix, self.learn, self.learn,
            lambda: self.ask("intake", intake.Withdraw(proof=CALL)),
            lambda: self.ask("intake", intake.ReopenComplaint(why="It is wet again.")),
            lambda: self.ask("intake", HAND_OVER.model_copy(update={"to": self.random.choice(["person:ravi", "person:ines"])})),
            lambda: self.ask("intake", intake.RecordReply(text="Well.")),
            lambda: self.ask("resolution", resolution.RecordReply(text="Well.")),
            lambda: self.ask("resolution", resolution.ConfirmDelivery(proof=CALL)),
            lambda: self.ask("resolution", resolution.ConfirmDelivery(proof=self.any_reply())),
            lambda: self.ask("intake", intake.Withdraw(proof=self.any_reply())),
            lambda: self.ask("rootcause", A_CAUSE),
            lambda: self.ask("resolution", resolution.ObjectToDelivery(reason="It is wet.")),
            lambda: self.ask("resolution", resolution.RaiseMisunderstanding(understood="Today.", meant="Tomorrow.")),
            lambda: self.ask("resolution", resolution.ClearMisunderstanding(proof=CALL)),
        ]  # fmt: skip
        chance = self.random.random()
        if chance < 0.45:
            self.random.choice(acts)()
        elif chance < 0.52:
            self.time_passes(self.random.choice([1, 2, 6]))
        else:
            self.hear_one()

    def any_reply(self):
        replies = [event.reply_id for name in ("intake", "resolution") for event in self.past[name] if isinstance(event, REPLIES)]
        return Proof(kind="reply", ref=str(self.random.choice(replies))) if replies else CALL

    def quiet(self):
        """Nobody does anything more, and all that was on its way arrives."""
        for _ in range(3):
            self.hear_all()
            self.time_passes(7)
        self.hear_all()

    # ---- what must always be so ------------------------------------------------------------------------------------------------

    def the_customers_word_is_of_this_generation(self, name, event):
        """Invariant 17: a reply shows nothing of what came up after it."""
        proof = getattr(event, "proof", None)
        if proof is None or proof.kind != "reply":
            return
        everything = (*self.past["intake"], *self.past["resolution"])
        (received,) = [one for one in everything if isinstance(one, REPLIES) and str(one.reply_id) == proof.ref]
        assert received.generation == self.state[name].generation

    # ---- what must be so when all is quiet ---------------------------------------------------------------------------------

    def they_agree_about_the_customers_ending(self):
        ours, cases = self.state["intake"], self.state["resolution"]
        assert not ours.endings.unsure
        if ours.is_owned:
            assert ours.generation == cases.generation == cases.opened
            assert ours.endings.customers == cases.ended

    def no_promise_ended_twice(self):
        ended = Counter()
        for event in (*self.past["intake"], *self.past["resolution"]):
            if isinstance(event, ENDS_A_PROMISE):
                ended[event.promise_id] += 1
            ended.update(getattr(event, "released", ()))
        assert all(times == 1 for times in ended.values())

    def a_cause_waits_for_the_delivery_and_for_every_objection(self):
        """Invariants 1 and 2, across the services: no cause while an objection or a misunderstanding is open, and not one moment longer."""
        case, learning = self.state["resolution"], self.state["rootcause"]
        if case.opened != self.state["intake"].generation or not learning.is_open:
            return
        objects = case.work.objected or (case.work.delivered and case.misunderstanding)
        if objects and not case.ended:
            assert learning.suspended, "nothing holds a cause up"
        elif case.in_hand or case.ended:
            assert learning.suspended != "objected", "it waits for what has been cleared up"

    def what_has_both_endings_is_settled(self):
        learning = self.state["rootcause"]
        if self.state["intake"].endings.customers is None:
            return
        if learning.is_open and not learning.suspended and learning.opened == self.state["intake"].generation:
            self.learn()
            self.hear_all()
        assert self.state["intake"].endings.settled or learning.closed != self.state["intake"].generation
        settled = [event.generation for event in self.past["intake"] if isinstance(event, intake.ComplaintSettled)]
        assert len(settled) == len(set(settled)), "each generation is settled once"


@pytest.mark.parametrize("seeds", [range(n, n + 40) for n in range(0, 400, 40)], ids=str)
def test_whatever_overtakes_what_the_services_come_to_agree(seeds):
    for seed in seeds:
        complaint = Together(seed)
        complaint.ask("intake", intake.SubmitComplaint(source="shop", ref="1", issue="Wet bread."))
        for _ in range(complaint.random.choice([15, 40, 80])):
            complaint.something_happens()
        complaint.quiet()
        complaint.they_agree_about_the_customers_ending()
        complaint.no_promise_ended_twice()
        complaint.a_cause_waits_for_the_delivery_and_for_every_objection()
        complaint.what_has_both_endings_is_settled()


def test_what_was_delivered_and_is_misunderstood_holds_a_cause_up_until_it_is_cleared_up():
    complaint = Together(0)
    complaint.ask("intake", intake.SubmitComplaint(source="shop", ref="1", issue="Wet bread."))
    for act in (complaint.own, complaint.fix):
        act()
        complaint.hear_all()
    for told, causes in (
        (resolution.RaiseMisunderstanding(understood="Today.", meant="Tomorrow."), 0),
        (resolution.ClearMisunderstanding(proof=CALL), 1),
    ):
        complaint.ask("resolution", told)
        complaint.hear_all()
        complaint.ask("rootcause", A_CAUSE)
        assert sum(isinstance(event, rootcause.CauseRecorded) for event in complaint.past["rootcause"]) == causes


def test_the_stories_are_not_dull():
    seen = Counter()
    for seed in range(400):
        complaint = Together(seed)
        complaint.ask("intake", intake.SubmitComplaint(source="shop", ref="1", issue="Wet bread."))
        for _ in range(60):
            complaint.something_happens()
        complaint.quiet()
        complaint.what_has_both_endings_is_settled()
        seen.update(type(event).__name__ for past in complaint.past.values() for event in past)
    wanted = {
        "ComplaintSettled",
        "ComplaintReopened",
        "CaseReopened",
        "WithdrawalCameTooLate",
        "CaseClosed",
        "DeliveryObjected",
        "LearningSuspended",
        "CauseRecorded",
    }
    assert {name for name in wanted if seen[name] >= 5} == wanted
