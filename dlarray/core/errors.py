"""Exceptions with more than a message: those with arguments can be pickled, and those about a row can be moved."""

from __future__ import annotations

import copyreg
from typing import Any, Self

__all__ = ["Picklable", "RowError"]


class Picklable:
    """The first base class of such an exception: ``class DivergedError(Picklable, ArithmeticError)``.

    Python unpickles an exception by calling its class with ``args``, which hold only the message. This fails if
    ``__init__`` takes other arguments, and a process pool whose worker raises the exception then waits for ever. With
    this class an exception is unpickled without ``__init__``, from its message and its attributes.
    """

    args: tuple[Any, ...]

    def __reduce__(self) -> Any:
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


class RowError(Picklable, ValueError):
    """A row of the data is wrong: a message with the row's number between two texts.

    ``at`` gives the same error for another number, where the rows are a part of the data.
    """

    def __init__(self, before: str, row: int, after: str = "") -> None:
        super().__init__(f"{before} row {row}{after}")
        self.row = row
        self._texts = before, after

    def at(self, row: int) -> Self:
        """The same error in another row."""
        before, after = self._texts
        return type(self)(before, row, after)
