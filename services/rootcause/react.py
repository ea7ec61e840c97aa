"""What streams of ours tell each other: a learning asks a problem, the problem answers."""

from collections.abc import Sequence

from shared.contract.rootcause import AskToJoin, JoinAnswered, NoteProblemCorrection, ProblemJoinSought
from shared.machine.mind import Fact, Request


def react(fact: Fact) -> Sequence[Request]:
    """A fact of ours that another stream of ours must hear of."""
    match fact.event:
        case ProblemJoinSought(problem_id=problem_id, generation=generation):
            return [Request(problem_id, AskToJoin(complaint_id=fact.stream, generation=generation))]
        case JoinAnswered(complaint_id=complaint_id, generation=generation, correction=correction, why_not=why_not):
            answer = NoteProblemCorrection(problem_id=fact.stream, correction=correction, why_not=why_not, generation=generation)
            return [Request(complaint_id, answer)]
        case _:
            return ()
