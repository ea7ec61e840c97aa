"""What streams of ours tell each other: nothing. A case concerns one complaint, and no other case must hear of it."""

from collections.abc import Sequence

from shared.machine.mind import Fact, Request


def react(_: Fact) -> Sequence[Request]:
    """A fact of ours that another stream of ours must hear of: none is."""
    return ()
