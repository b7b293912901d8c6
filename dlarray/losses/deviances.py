"""Losses for numbers above 0: half the deviance, whose spread grows with the mean y = exp z."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import finite
from dlarray.core.layer import Activation
from dlarray.losses.terms import FromLogits
from dlarray.losses.values import refuse

__all__ = ["Gamma", "Tweedie"]

LEAST = 1e-8
"""The smallest prediction that is divided by."""


@dataclass(frozen=True)
class Exponential(Activation):
    """y = exp z,  dz = y dy: a mean from its logarithm."""

    abstract: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, Array]:
        y = array_namespace(z).exp(z)
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        return y * dy


@dataclass(frozen=True)
class Gamma(FromLogits):
    """l = t / y - 1 - log(t / y),  dy = (y - t) / y²,  with y = exp z:  dz = 1 - t exp(-z).

    Half the deviance of the gamma distribution, for t > 0 whose standard deviation is proportional to their mean, such
    as durations and costs: only the ratio t / y counts, so l has no unit. ``from_logits=True`` means log means, and the
    ``output_activation`` is the exponential: l = exp d - 1 - d with d = log t - z. From means, y is at least 1e-8.
    Source: McCullagh and Nelder 1989; half of scikit-learn's mean_gamma_deviance.
    """

    activation: ClassVar[type[Activation]] = Exponential

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(z)
        d = _log(t) - z
        more = xp.expm1(d)
        return more - xp.where(more < float("inf"), d, 0.0), more

    def slopes_of_logits(self, saved: Any) -> Array:
        return -saved

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        y = array_namespace(y).maximum(y, LEAST)
        ratio = t / y
        return ratio - 1 - _log(ratio), (y, ratio)

    def slopes_of_predictions(self, saved: Any) -> Array:
        y, ratio = saved
        return (1 - ratio) / y

    def check_values(self, t: Array, outputs: int) -> None:
        refuse(self._name, t, t <= 0, "targets must be above 0", "where 0 occurs use Tweedie, for any sign Huber")


def _log(t: Array) -> Array:
    """log t, and 0 for the t <= 0 that ``check_values`` refuses where values are read."""
    xp = array_namespace(t)
    return xp.log(xp.where(t > 0, t, 1.0))


@dataclass(frozen=True)
class Tweedie(FromLogits):
    """l = y^(2-p) / (2-p) + t y^(1-p) / (p-1) - t^(2-p) / ((p-1) (2-p)),  dy = y^(1-p) - t y^-p,  with y = exp z.

    Half the deviance of a sum of a Poisson number of gamma amounts: many t are exactly 0 and the others above it, such
    as claims or rainfall. The variance is proportional to y^p, with ``power`` p between 1 (Poisson) and 2 (Gamma).
    ``from_logits=True`` means log means, with dz = y^(2-p) - t y^(1-p), and the ``output_activation`` is the
    exponential. From means, y is at least 1e-8. Raises ValueError unless 1 < p < 2.
    Source: Jørgensen 1987; half of scikit-learn's mean_tweedie_deviance.
    """

    activation: ClassVar[type[Activation]] = Exponential
    power: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 < finite("power", self.power) < 2:
            raise ValueError(f"power must lie between 1 (use Poisson) and 2 (use Gamma), got {self.power!r}")

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(z)
        falling = xp.exp(xp.where(t > 0, (1 - self.power) * z, 0.0))  # not used where t = 0, and may overflow
        return self._terms(xp.exp((2 - self.power) * z), falling, t)

    def slopes_of_logits(self, saved: Any) -> Array:
        growing, falling, t = saved
        return growing - t * falling

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        y = array_namespace(y).maximum(y, LEAST)
        terms, saved = self._terms(y ** (2 - self.power), y ** (1 - self.power), t)
        return terms, (y, *saved)

    def slopes_of_predictions(self, saved: Any) -> Array:
        y, growing, falling, t = saved
        return (growing - t * falling) / y

    def _terms(self, growing: Array, falling: Array, t: Array) -> tuple[Array, Any]:
        """The terms from y^(2-p) and y^(1-p)."""
        p = self.power
        least = t ** (2 - p) / ((p - 1) * (2 - p))
        return growing / (2 - p) + t * falling / (p - 1) - least, (growing, falling, t)

    def check_values(self, t: Array, outputs: int) -> None:
        refuse(self._name, t, t < 0, "targets must be at least 0", "for numbers of either sign use MeanSquaredError")
