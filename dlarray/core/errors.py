"""Exceptions with more arguments than a message, which can be pickled."""

from __future__ import annotations

import copyreg
from typing import Any

__all__ = ["Picklable"]


class Picklable:
    """The first base class of such an exception: ``class DivergedError(Picklable, ArithmeticError)``.

    Python unpickles an exception by calling its class with ``args``, which hold only the message. This fails if
    ``__init__`` takes other arguments, and a process pool whose worker raises the exception then waits for ever. With
    this class an exception is unpickled without ``__init__``, from its message and its attributes.
    """

    args: tuple[Any, ...]

    def __reduce__(self) -> Any:
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
