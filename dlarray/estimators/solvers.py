"""What ``solver`` and ``learning_rate`` mean: dlarray's optimizers, and how scikit-learn changes their rate."""

from __future__ import annotations

from typing import Any

from dlarray.core.registry import by_name
from dlarray.estimators.descent import RateInVelocity
from dlarray.estimators.parameters import Parameters
from dlarray.optimizers import Adam, Momentum, Nesterov, Optimizer
from dlarray.schedules import Schedule

__all__ = ["Rate", "optimizer_of"]


def optimizer_of(given: Parameters) -> Optimizer:
    """The optimizer that the parameters describe.

    "sgd" is momentum with the rate inside the velocity, "adam" Adam with the ε of its paper's faster form ("hat"). Any
    other name is dlarray's, with ``learning_rate_init`` or the schedule given as ``learning_rate``; an object is taken
    as it is. Raises ValueError for an unknown name, with the nearest.
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
    """The learning rate of "sgd" from epoch to epoch; other optimizers keep theirs, or have a schedule.

    - "invscaling": η = η₀ / (t + 1)^p after an epoch that ends with t examples seen;
    - "adaptive": η / 5 each time the loss no longer falls, until it is 1e-6 or less.
    """

    def __init__(self, given: Parameters) -> None:
        self.value = float(given.learning_rate_init)
        self._first = self.value
        self.changes = given.solver == "sgd" and isinstance(given.learning_rate, str)
        """Whether this is where the rate is kept."""
        self._kind = given.learning_rate if self.changes else "constant"
        self._power = float(given.power_t)

    def epoch_ends(self, seen: int, state: dict[str, Any]) -> None:
        """After an epoch, with so many examples seen since the beginning."""
        if self._kind == "invscaling":
            self._set(self._first / (seen + 1) ** self._power, state)

    def no_progress(self, state: dict[str, Any]) -> str:
        """What follows where nothing has become better, in scikit-learn's words; it ends in "Stopping." for the end."""
        if self._kind != "adaptive":
            return "Stopping."
        if self.value <= 1e-6:
            return "Learning rate too small. Stopping."
        self._set(self.value / 5, state)
        return f"Setting learning rate to {self.value:f}"

    def _set(self, value: float, state: dict[str, Any]) -> None:
        """Into the state's own arrays where these can be written: a compiled step is bound to them."""
        self.value = value
        for own in state["optimizer"]:
            rate = own["rate"]
            rate *= 0.0
            rate += value
            own["rate"] = rate
