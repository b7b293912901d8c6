"""The programs of one step: one for each kind of arguments, used only if it does what the eager step does.

The same for NumPy's arrays and for a GPU's. What differs is how a program is made and how its first step is checked.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from dlarray.planner.run.refusals import PlannerWarning, why_no_more
from dlarray.planner.run.signature import Key

__all__ = ["FirstStep", "Programs", "Refusal", "warn"]

_P = TypeVar("_P")


class FirstStep(Protocol):
    """The first step of a program. It is made before the eager step, whose arguments it copies."""

    @property
    def planned(self) -> Any:
        """What the plan has returned."""
        ...

    def disagreement(self, eager: Any) -> str:
        """Why the program must not be used, given what the eager step has returned; "" if it can be used."""
        ...


class Refusal(NamedTuple):
    """Why there is no program for a key; without a key the reason is not about one kind of arguments."""

    key: Key | None
    why: str


class Programs(dict[Key, "_P | None"], Generic[_P]):
    """Programs by structures, types, shapes and dtypes, at most 64; None if the step runs eagerly."""

    def __init__(self) -> None:
        super().__init__()
        self._warned: set[str] = set()

    def plan(self, key: Key, make: Callable[[], _P], why_not: str = "") -> _P | Refusal:
        """A new program, or why there is none: ``why_not`` if given, or because ``make`` fails.

        Raises MemoryError if ``make`` does.
        """
        if why := why_no_more(self, key):
            return Refusal(None, why)
        if why_not:
            return Refusal(key, why_not)
        try:
            return make()
        except MemoryError:
            raise
        except Exception as error:
            return Refusal(key, f"it cannot be traced: {type(error).__name__}: {error}")

    def checked(self, key: Key, program: _P, first: FirstStep, eager: Any) -> Any:
        """Use the program from now on if it agrees with the eager step. Returns what the first step returns."""
        if why := first.disagreement(eager):
            self.refuse(Refusal(key, why))
            return eager
        self[key] = program
        return first.planned

    def refuse(self, refusal: Refusal) -> None:
        """From now on the step runs eagerly for this key. Called after the eager step, whose error is more useful."""
        if refusal.key is None:
            self.warn_once(refusal.why)
        else:
            warn(_EAGERLY + refusal.why)
            self[refusal.key] = None

    def drop(self, program: _P, why: str) -> None:
        """From now on the step runs eagerly for the arguments of this program."""
        for key, known in self.items():
            if known is program:
                self[key] = None
        warn(_EAGERLY + why)

    def warn_once(self, why: str) -> None:
        """Warn that the step runs eagerly, once for each reason."""
        if why not in self._warned:
            self._warned.add(why)
            warn(_EAGERLY + why)


_EAGERLY = "the step runs eagerly, uncompiled, because "


def warn(message: str) -> None:
    """A ``PlannerWarning`` at the line outside of the planner that called it."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").startswith("dlarray.planner."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, PlannerWarning, stacklevel=level)
