"""The parameters ``solver`` and ``learning_rate`` as dlarray's optimizers, with scikit-learn's changes of the rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.core.registry import by_name
from dlarray.device import Device
from dlarray.estimators.descent import RateInVelocity
from dlarray.estimators.parameters import Parameters
from dlarray.optimizers import Adam, Momentum, Nesterov, Optimizer
from dlarray.schedules import Schedule

__all__ = ["Rate", "optimizer_of"]


def optimizer_of(given: Parameters) -> Optimizer:
    """The optimizer from the parameters.

    "sgd" is momentum with the rate inside the velocity, "adam" Adam with the ε of its paper's faster form ("hat"). Any
    other name is dlarray's, with ``learning_rate_init`` or the schedule given as ``learning_rate``. An object is used
    unchanged. Raises ValueError for an unknown name, with the closest match.
    """
    if isinstance(given.solver, Optimizer):
        return given.solver
    scheduled = isinstance(given.learning_rate, Schedule)
    rate: Any = given.learning_rate if scheduled else float(given.learning_rate_init)
    if given.solver == "sgd":
        momentum = Nesterov if given.nesterovs_momentum else Momentum
        return RateInVelocity(momentum(1.0, float(given.momentum)), rate)
    if given.solver == "adam":
        betas = float(given.beta_1), float(given.beta_2)
        return Adam(rate, *betas, eps=float(given.epsilon), eps_mode="hat")
    return by_name(Optimizer, given.solver)(learning_rate=rate)  # pyright: ignore[reportCallIssue]


class Rate:
    """The learning rate of "sgd", which can change after an epoch, and a factor of that of any other optimizer.

    - "invscaling": η = η₀ / (t + 1)^p after t examples, only with "sgd";
    - "adaptive": η / 5 each time the loss stops decreasing, until η is 1e-6 or less, only with "sgd";
    - "plateau": the same with every optimizer.
    """

    def __init__(self, given: Parameters, optimizer: Optimizer) -> None:
        self.changes = given.solver == "sgd" and isinstance(given.learning_rate, str)
        """Whether this object determines the rate."""
        self._kind = given.learning_rate if self.changes or given.learning_rate == "plateau" else "constant"
        self._scales = self._kind == "plateau" and not self.changes
        if self._scales and not optimizer.scalable:
            raise ValueError(f"learning_rate='plateau' cannot change the rate of {optimizer!r}: give a schedule")
        self.value = float(optimizer.rate(np.asarray(0.0))) if self._scales else float(given.learning_rate_init)
        self._first = self.value
        self._power = float(given.power_t)

    @property
    def factor(self) -> float:
        """What the rate of another optimizer than "sgd" is multiplied by."""
        return self.value / self._first if self._scales else 1.0

    def begins(self, state: dict[str, Any], device: Device, dtype: str) -> None:
        """Put the factor into a new state, so that a step is compiled with it."""
        if self._scales:
            one = np.asarray(self.factor, dtype=dtype)
            state["optimizer"] = tuple({**own, "scale": device.asarray(one)} for own in state["optimizer"])

    def epoch_ends(self, seen: int, state: dict[str, Any]) -> None:
        """After an epoch, with ``seen`` examples since the beginning."""
        if self._kind == "invscaling":
            self._set(self._first / (seen + 1) ** self._power, state)

    def no_progress(self, state: dict[str, Any]) -> str:
        """Reduce the rate if possible. Returns scikit-learn's message; "Stopping." at its end stops training."""
        if self._kind not in ("adaptive", "plateau"):
            return "Stopping."
        if self.value <= 1e-6:
            return "Learning rate too small. Stopping."
        self._set(self.value / 5, state)
        return f"Setting learning rate to {self.value:f}"

    def _set(self, value: float, state: dict[str, Any]) -> None:
        """Write into the arrays of the state if possible: a compiled step is bound to them."""
        self.value = value
        name, number = ("scale", self.factor) if self._scales else ("rate", value)
        for own in state["optimizer"]:
            array = own[name]
            array *= 0.0
            array += number
            own[name] = array
