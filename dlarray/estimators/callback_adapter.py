"""The state of an estimator's training for callbacks of ``dlarray.fit``."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from dlarray.core.layout import Theta
from dlarray.core.ranks import ALONE
from dlarray.core.trees import copy_tree
from dlarray.device import Device
from dlarray.estimators.descent import Descent
from dlarray.estimators.losses import public_loss
from dlarray.estimators.solvers import Rate
from dlarray.training.errors import call_on_end
from dlarray.training.history import History
from dlarray.training.trained import Trained

__all__ = ["CallbackAdapter"]


class CallbackAdapter:
    """What ``Run`` is in ``dlarray.fit``: the object that ``on_start``, ``on_step``, ``on_epoch`` and ``on_end`` get.

    ``metrics`` and ``history`` hold the loss of each epoch and, with validation examples, ``validation_loss`` and
    ``validation_score``. ``trained`` is the current model with dlarray's loss: a mean over examples and outputs, and
    for squares without the factor ½.
    """

    resumable = False
    """An estimator's training cannot be resumed from a file: a checkpoint holds only the model."""

    ranks = ALONE
    writes = True
    """An estimator is trained by one process."""

    epoch_incomplete = False
    """All epochs of an estimator are complete."""

    def __init__(self, callbacks: list[Any], descent: Descent, rate: Rate, device: Device, dtype: str) -> None:
        self.model, self.loss, self.optimizer = descent.gradient.model, descent.gradient.loss, descent.optimizer
        self.device, self.dtype, self.seed = device, dtype, 0
        self.history = History()
        self.names: tuple[str, ...] = ("loss",)
        self.epochs = self.epoch = self.steps = 0
        self.state: dict[str, Any] = {}
        self.latest_loss = float("nan")
        self.stopped = ""
        self.error: BaseException | None = None
        self._callbacks = callbacks
        self._over = False
        self._rate = rate
        self._memories: dict[int, dict[str, Any]] = {}
        self._result: tuple[Theta, Theta] | None = None
        self._began = perf_counter()

    @property
    def seconds(self) -> float:
        """How long training has taken so far, in seconds."""
        return perf_counter() - self._began

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the latest epoch by name; empty before the first."""
        return self.history.epochs[-1] if self.history.epochs else {}

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        if self._rate.changes:
            return self._rate.value
        return float(self.optimizer.rate(np.asarray(float(self.steps)))) * self._rate.factor

    @property
    def trained(self) -> Trained:
        """A copy of the current model."""
        theta, buffers = copy_tree((self.state["theta"], self.state["buffers"]))
        return Trained(self.model, theta, buffers, public_loss(self.loss), self.device, self.dtype, self.history)

    def memory(self, callback: Any) -> dict[str, Any]:
        """The memory of this callback in this training: a dict, empty at first."""
        return self._memories.setdefault(id(callback), {})

    def stop(self, reason: str) -> None:
        """Stop training after this epoch. The first reason counts."""
        self.stopped = self.stopped or reason

    def set_result(self, theta: Theta, buffers: Theta | None = None) -> None:
        """Let the estimator use this θ instead of the final one."""
        self._result = theta, self.state["buffers"] if buffers is None else buffers

    def check_rate_can_change(self) -> None:
        """Raise TypeError: only an estimator's parameters change its rate."""
        raise TypeError("callbacks cannot change an estimator's rate: use learning_rate='plateau' or a schedule")

    # Called by EpochLoop

    def begins(self, state: dict[str, Any], epochs: int, names: tuple[str, ...]) -> None:
        """Before the first step."""
        self.state, self.epochs, self.names = state, epochs, names
        self._call("on_start")

    def step_done(self, state: dict[str, Any], value: Any) -> None:
        """After each step."""
        self.state, self.latest_loss = state, value
        self.steps += 1
        self._call("on_step")

    def epoch_done(self, state: dict[str, Any], losses: np.ndarray, metrics: dict[str, float]) -> bool:
        """After each epoch. Returns whether a callback has called ``stop``."""
        self.state, self.latest_loss = state, float(losses[-1])
        self.epoch += 1
        self.history.steps.extend(float(loss) for loss in losses)
        self.history.epochs.append(metrics)
        self._call("on_epoch")
        return bool(self.stopped)

    def ends(self, state: dict[str, Any]) -> dict[str, Any]:
        """After the last epoch. Returns the final state."""
        self.state = state
        if (error := self._ended()) is not None:
            raise error
        if self._result is None:
            return state
        theta, buffers = copy_tree(self._result)
        return {**state, "theta": theta, "buffers": buffers}

    def fails(self, error: BaseException) -> None:
        """After an error. If an ``on_end`` raised it, all of them have been called already."""
        if not self._over:
            self.error = error
            self._ended()

    def _ended(self) -> BaseException | None:
        self._over = True
        return call_on_end([callback for callback in self._callbacks if hasattr(callback, "on_end")], self)

    def _call(self, hook: str) -> None:
        for callback in self._callbacks:
            if (method := getattr(callback, hook, None)) is not None:
                method(self)
