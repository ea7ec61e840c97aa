"""What a simulation finds."""


class Violation(AssertionError):
    """One of the eleven things that must always hold does not."""

    def __init__(self, number: int, what: str) -> None:
        """`number`: which of them (faults.md's order, told in docs/guarantees.md)."""
        super().__init__(f"{number}: {what}")
        self.number = number
