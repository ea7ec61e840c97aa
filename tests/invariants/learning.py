"""What may follow on a learning's past, and on a problem's, by the invariants; read apart from the state that the rules use."""

from shared.contract import rootcause as said

TURNS = said.LearningOpened | said.LearningResumed | said.LearningSuspended
ABOUT_CAUSES = said.CauseRecorded | said.CauseVerified | said.CauseRefuted | said.NoFaultRecorded
CAUSES = said.CauseRecorded | said.CauseVerified | said.CauseRefuted
PLANS = said.CorrectionPlanned | said.ProblemCorrectionPlanned


def may_go_on(past, event):
    """That this may happen next."""
    if isinstance(event, ABOUT_CAUSES):
        turns = [e for e in past if isinstance(e, TURNS)]
        assert turns, "1: before delivery"
        assert not isinstance(turns[-1], said.LearningSuspended), "2: while it is suspended"
    if isinstance(event, PLANS) and event.kind == "retraining":
        assert event.procedure, "6"
        assert event.recurrence_procedure, "6"
    if isinstance(event, said.LearningClosed):
        closing(past, event)


def closing(past, event):
    opened = [n for n, e in enumerate(past) if isinstance(e, said.LearningOpened)]
    since = past[opened[-1] :]
    assert not any(isinstance(e, said.LearningClosed) for e in since), "closed twice"
    match event.outcome:
        case "corrected":
            causes = [e for e in since if isinstance(e, CAUSES)]
            assert isinstance(causes[-1], said.CauseVerified | said.CauseRecorded), "11"
            assert any(isinstance(e, said.CauseVerified) and e.digest == causes[-1].digest for e in causes), "11"
            assert any(isinstance(e, said.CorrectionCompleted) for e in since), "11"
        case "joined":
            joined = [e.correction for e in since if isinstance(e, said.CorrectionJoined)]
            assert joined, "11"
            assert joined[-1].owner, "11"
        case "no_fault":
            assert any(isinstance(e, said.NoFaultRecorded) for e in since), "11"
        case _:
            assert event.reason, "11"
