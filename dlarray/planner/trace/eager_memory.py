"""What a step would take of memory, were it run plainly: learnt while it is traced.

A symbol comes and goes as the array does for which it stands. So the bytes of all that is there at once are those of
the plain step, on any library that lets go of an array when nobody holds it any more.
"""

from __future__ import annotations

__all__ = ["EagerMemory"]


class EagerMemory:
    """The bytes that are taken, and the most that ever were; what the step is given is not among them."""

    def __init__(self) -> None:
        self.allocated = 0
        self.peak = 0

    def allocate(self, nbytes: int) -> None:
        """An array is made."""
        self.allocated += nbytes
        self.peak = max(self.peak, self.allocated)

    def free(self, nbytes: int) -> None:
        """Nobody holds it any more."""
        self.allocated -= nbytes
