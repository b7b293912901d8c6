"""Calls of Python within a plan: functions of NumPy, and exchanges with other ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.planner.trace.collectives import Collective
from dlarray.planner.trace.node import Node

__all__ = ["EagerCall", "Exchange"]


class EagerCall:
    """An eager call, whose result is copied into planned memory."""

    def __init__(self, node: Node, out: np.ndarray) -> None:
        self._function = node.attribute
        self._out = out

    def __call__(self, *args: np.ndarray) -> None:
        result = self._function(*args)
        if np.shape(result) != self._out.shape:
            raise RuntimeError(
                f"{self._function.function} gave shape {np.shape(result)}, planned was {self._out.shape}"
            )
        self._out[...] = result


class Exchange:
    """A collective whose result is in planned memory: ``start`` and later ``wait`` are called at each step.

    ``own`` is where this rank's array must be in it; None if it is elsewhere. Then the start waits for the result.
    """

    def __init__(self, collective: Collective, out: np.ndarray) -> None:
        self._collective = collective
        self._out = out
        self._wait: Callable[[], None] = _nothing
        self.own: np.ndarray | None = None
        if collective.is_sum:
            self.own = out
        elif collective.is_gather:
            self.own = out[slice(*collective.bounds(len(out)))]

    def start(self, given: np.ndarray) -> None:
        """Start it for this rank's array."""
        if self._collective.is_sum:
            self._wait = self._collective.ranks.start_sum(self._out)
        elif self._collective.is_gather:
            self._wait = self._collective.ranks.start_gather(self._out)
        else:
            np.copyto(self._out, self._collective(given))

    def wait(self) -> None:
        """Wait until the result is in planned memory."""
        wait, self._wait = self._wait, _nothing
        wait()


def _nothing(*_: Any) -> None:
    pass
