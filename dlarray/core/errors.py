"""Exceptions that are made from more than their message, and still pass from process to process."""

from __future__ import annotations

import copyreg
from typing import Any

__all__ = ["Picklable"]


class Picklable:
    """To be named before the exception's other base class: ``class DivergedError(Picklable, ArithmeticError)``.

    Python rebuilds an exception by calling its class with ``args``, the message alone, which fails where ``__init__``
    takes other arguments; a process pool whose worker raises it then waits for ever. This one is rebuilt without
    ``__init__``, from its message and its attributes.
    """

    args: tuple[Any, ...]

    def __reduce__(self) -> Any:
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
