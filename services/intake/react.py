"""What streams of ours tell each other: nothing yet, since there is one kind of stream."""

from collections.abc import Sequence

from shared.machine.mind import Fact, Request


def react(_: Fact) -> Sequence[Request]:
    """A fact of ours that another stream of ours must hear of."""
    return ()
