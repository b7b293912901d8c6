"""Stop training after a number of seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarray.core.check import plain_numbers, positive
from dlarray.training.callback import Callback, Run

__all__ = ["TimeLimit"]


@dataclass(frozen=True)
class TimeLimit(Callback):
    """Stop after the first step at which ``seconds`` have passed, even in the middle of an epoch.

    The time of a resumed run counts from its first start. Raises ValueError unless seconds is above 0.
    """

    abstract: ClassVar[bool] = True  # has no default, so it has no name
    seconds: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        positive("seconds", self.seconds)

    def on_start(self, run: Run) -> None:
        if run.steps and run.seconds >= self.seconds:  # the resumed run had stopped already
            self._stop(run)

    def on_step(self, run: Run) -> None:
        if run.seconds >= self.seconds:
            self._stop(run)

    def _stop(self, run: Run) -> None:
        run.stop(f"time limit: {self.seconds:g} seconds have passed")
