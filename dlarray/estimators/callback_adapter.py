"""Callbacks with the hooks of ``dlarray.fit``, along the walk of an estimator: what they are told, and may ask for."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from dlarray.core.layout import Theta
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
    """Where a walk is, for callbacks with the hooks ``on_start``, ``on_step``, ``on_epoch`` and ``on_end``.

    Each is given this object. ``figures`` and ``history`` hold the loss of each epoch and, where there are examples set
    apart, ``validation_loss`` and ``validation_score``; ``trained`` is the model as it is now, whose loss is dlarray's
    own: a mean over examples and outputs, and of squares without a half.
    """

    resumable = False
    """No training of an estimator is resumed from a file: a checkpoint holds the model alone."""

    epoch_incomplete = False
    """An estimator's epochs are all whole."""

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
        """How long the walk has taken so far."""
        return perf_counter() - self._began

    @property
    def metrics(self) -> dict[str, float]:
        """The latest epoch's figures by name; empty before the first."""
        return self.history.epochs[-1] if self.history.epochs else {}

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self._rate.value if self._rate.changes else float(self.optimizer.rate(np.asarray(float(self.steps))))

    @property
    def trained(self) -> Trained:
        """The model as it is now, a copy."""
        theta, buffers = copy_tree((self.state["theta"], self.state["buffers"]))
        return Trained(self.model, theta, buffers, public_loss(self.loss), self.device, self.dtype, self.history)

    def memory(self, callback: Any) -> dict[str, Any]:
        """What belongs to this callback in this run: a dict of its own, empty at first."""
        return self._memories.setdefault(id(callback), {})

    def stop(self, reason: str) -> None:
        """End the walk after this epoch; the first reason given counts."""
        self.stopped = self.stopped or reason

    def set_result(self, theta: Theta, buffers: Theta | None = None) -> None:
        """Have the estimator keep this θ instead of the one that the walk ends with."""
        self._result = theta, self.state["buffers"] if buffers is None else buffers

    def check_rate_can_change(self) -> None:
        """The rate of an estimator is changed by its own parameters alone: raises TypeError."""
        raise TypeError("callbacks do not change an estimator's rate: learning_rate='adaptive', or a schedule, does")

    # What the walk says

    def begins(self, state: dict[str, Any], epochs: int, names: tuple[str, ...]) -> None:
        """Before the first step."""
        self.state, self.epochs, self.names = state, epochs, names
        self._call("on_start")

    def step_done(self, state: dict[str, Any], value: Any) -> None:
        """After each step."""
        self.state, self.latest_loss = state, value
        self.steps += 1
        self._call("on_step")

    def epoch_done(self, state: dict[str, Any], losses: np.ndarray, figures: dict[str, float]) -> bool:
        """After each epoch: whether somebody wants to stop."""
        self.state, self.latest_loss = state, float(losses[-1])
        self.epoch += 1
        self.history.steps.extend(float(loss) for loss in losses)
        self.history.epochs.append(figures)
        self._call("on_epoch")
        return bool(self.stopped)

    def ends(self, state: dict[str, Any]) -> dict[str, Any]:
        """After the last epoch; the state to keep."""
        self.state = state
        if (error := self._ended()) is not None:
            raise error
        if self._result is None:
            return state
        theta, buffers = copy_tree(self._result)
        return {**state, "theta": theta, "buffers": buffers}

    def fails(self, error: BaseException) -> None:
        """Where training ends with an error, which may be an ``on_end``'s own: then all have been called."""
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
