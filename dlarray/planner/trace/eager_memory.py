"""The memory that the eager step takes, measured while it is traced.

A symbol lives as long as the array that it stands for. So the bytes of all living symbols are those of the eager step,
on any library that frees an array when its last reference is gone.
"""

from __future__ import annotations

__all__ = ["EagerMemory"]


class EagerMemory:
    """The bytes allocated now and at most; the step's arguments are not counted."""

    def __init__(self) -> None:
        self.allocated = 0
        self.peak = 0

    def allocate(self, nbytes: int) -> None:
        """Count an array that is made."""
        self.allocated += nbytes
        self.peak = max(self.peak, self.allocated)

    def free(self, nbytes: int) -> None:
        """Count an array whose last reference is gone."""
        self.allocated -= nbytes
