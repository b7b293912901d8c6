"""Losses of relative errors: an error counts by its ratio to the target, or by the difference of logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dlarray.core.array import Array, array_namespace
from dlarray.core.layer import Activation
from dlarray.losses.terms import FromLogits, SumOfTerms
from dlarray.losses.values import refuse

__all__ = ["MeanAbsolutePercentageError", "MeanSquaredLogarithmicError"]


@dataclass(frozen=True)
class MeanAbsolutePercentageError(SumOfTerms):
    """l = |z - t| / max(|t|, ε),  dz = sign(z - t) / max(|t|, ε),  ε the dtype's machine epsilon.

    A share, not a percentage: 0.1 is 10 %. For targets near 0 it is huge. Source: scikit-learn's
    mean_absolute_percentage_error.
    """

    aliases: ClassVar[tuple[str, ...]] = ("mape",)

    def terms(self, z: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(z)
        d, size = z - t, xp.maximum(xp.abs(t), float(xp.finfo(z.dtype).eps))
        return xp.abs(d) / size, (d, size)

    def slopes(self, saved: Any) -> Array:
        d, size = saved
        return array_namespace(d).sign(d) / size


@dataclass(frozen=True)
class _MinusOne(Activation):
    """y = exp z - 1,  dz = (y + 1) dy: a number above -1 from its log1p."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        y = array_namespace(z).expm1(z)
        return y, y

    def backward(self, y: Array, dy: Array) -> Array:
        return (y + 1) * dy


@dataclass(frozen=True)
class MeanSquaredLogarithmicError(FromLogits):
    """l = (z - log(1 + t))²,  dz = 2 (z - log(1 + t)),  with y = exp z - 1: the model's outputs are log(1 + y).

    For numbers of several magnitudes, such as prices: a factor too much costs as much as a factor too little. With
    ``from_logits=False`` outputs are y:  l = (log(1 + y) - log(1 + t))²,  dy = 2 (log(1 + y) - log(1 + t)) / (1 + y),
    with 1 + y at least the dtype's machine epsilon. Targets are above -1. Source: scikit-learn's
    mean_squared_log_error.
    """

    aliases: ClassVar[tuple[str, ...]] = ("msle",)
    activation: ClassVar[type[Activation]] = _MinusOne

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Array]:
        d = z - array_namespace(t).log1p(t)
        return d * d, d

    def slopes_of_logits(self, saved: Array) -> Array:
        return 2 * saved

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(y)
        y = xp.maximum(y, float(xp.finfo(y.dtype).eps) - 1)
        d = xp.log1p(y) - xp.log1p(t)
        return d * d, (d, y)

    def slopes_of_predictions(self, saved: Any) -> Array:
        d, y = saved
        return 2 * d / (1 + y)

    def check_values(self, t: Array, outputs: int) -> None:
        remedy = "for numbers of either sign use MeanSquaredError"
        refuse(self._name, t, t <= -1, "targets must be above -1", remedy)
