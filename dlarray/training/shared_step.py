"""One compiled step for several calls of ``fit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlarray.device import Device
from dlarray.training.step import Step

__all__ = ["SharedStep"]


class SharedStep:
    """A compiler for ``fit``: what the device's backend has made of the first step is used for all that are equal.

    Runs with another seed or other examples have equal steps; they save the time of planning and checking. Raises
    ValueError for a step with another model, loss or optimizer.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._step: Step | None = None
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, step: Step) -> Callable[..., Any]:
        backend = self._device.backend
        if not backend.compiles_on(self._device.handle):
            return step
        if self._compiled is None:
            self._step, self._compiled = step, backend.compile(step)
        if step != self._step:
            raise ValueError("a shared step is for runs with one model, loss and optimizer")
        return self._compiled
