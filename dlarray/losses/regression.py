"""Losses for numbers: the distance of z from t. A mean is over examples and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dlarray.core.array import Array, array_namespace, element_count
from dlarray.core.check import fraction, positive
from dlarray.core.layer import Activation
from dlarray.losses.base import Loss
from dlarray.losses.deviances import Exponential
from dlarray.losses.terms import FromLogits, SumOfTerms
from dlarray.losses.values import refuse
from dlarray.losses.weights import shares, times

__all__ = ["Huber", "LogCosh", "MeanAbsoluteError", "MeanSquaredError", "Pinball", "Poisson", "RootMeanSquaredError"]


@dataclass(frozen=True)
class MeanSquaredError(SumOfTerms):
    """l = (z - t)²,  dz = 2 (z - t): L2, without a half.

    Not robust: the squared error of one outlier may exceed all others. z and t have the same unit; l has its square.
    Source: torch's MSELoss.

    Examples
    --------
    >>> import numpy as np
    >>> import dlarray
    >>> loss = dlarray.MeanSquaredError()
    >>> value, saved = loss.forward(np.asarray([[1.0], [4.0]]), np.asarray([[1.0], [2.0]]))
    >>> print(value, loss.backward(saved).tolist())
    2.0 [[0.0], [2.0]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("l2", "mse")

    def terms(self, z: Array, t: Array) -> tuple[Array, Array]:
        d = z - t
        return d * d, d

    def slopes(self, d: Array) -> Array:
        return 2 * d


@dataclass(frozen=True)
class MeanAbsoluteError(SumOfTerms):
    """l = |z - t|,  dz = sign(z - t), 0 where z = t: L1, robust to outliers.

    The gradient has the same size for small and large errors. Source: torch's L1Loss.
    """

    aliases: ClassVar[tuple[str, ...]] = ("l1", "mae")

    def terms(self, z: Array, t: Array) -> tuple[Array, Array]:
        d = z - t
        return array_namespace(d).abs(d), d

    def slopes(self, d: Array) -> Array:
        return array_namespace(d).sign(d)


@dataclass(frozen=True)
class RootMeanSquaredError(Loss):
    """L = sqrt(Σ w (z - t)² / Σ w),  dz = w (z - t) / (L Σ w), and 0 where L = 0.

    The root of a mean, in the unit of z and t: it is no sum of terms, so it has no ``reduction``. Differences are
    divided by the largest of them before they are squared: neither 1e200 nor 1e-200 leaves the range of the dtype.
    """

    aliases: ClassVar[tuple[str, ...]] = ("rmse",)

    def forward(self, z: Array, t: Array, weight: Array | None = None) -> tuple[Array, Any]:
        t = self.prepare(z, t)
        self.refuse_empty(z)
        xp, count = array_namespace(z), element_count(z)
        w = 1 / count if weight is None else shares(self.weight_column(z, weight), count)
        d = z - t
        largest = xp.max(xp.abs(d))
        largest = xp.where(largest == 0, 1.0, largest)
        d = xp.where(xp.abs(d) == largest, xp.sign(d), d / largest)  # ±1 for an infinite one, 0 for the others
        root = xp.sqrt(xp.sum(d * d * w))
        return largest * root, (d, w, root)

    def backward(self, saved: Any, /) -> Array:
        d, w, root = saved
        return d * w / array_namespace(d).where(root == 0, 1.0, root)

    def combine(self, values: Array, weights: Array) -> Array:
        """The root of the batches' mean square."""
        xp = array_namespace(values)
        largest = xp.max(values)
        scaled = values / xp.where(largest == 0, 1.0, largest)
        return largest * xp.sqrt(super().combine(scaled * scaled, weights))


@dataclass(frozen=True)
class Huber(SumOfTerms):
    """l = ½ d² where |d| <= δ, else δ |d| - ½ δ²,  dz = clip(d, -δ, δ),  with d = z - t.

    Quadratic for small errors and linear for large ones; ``delta``, in the unit of z, is the limit between them. Both
    branches are c (d - ½ c) with c = clip(d, -δ, δ), which squares nothing large. Raises ValueError unless delta > 0.
    Source: Huber 1964; torch's HuberLoss.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("delta", self.delta)

    def terms(self, z: Array, t: Array) -> tuple[Array, Array]:
        xp, d = array_namespace(z), z - t
        c = xp.minimum(xp.maximum(d, -self.delta), self.delta)
        return c * (d - 0.5 * c), c

    def slopes(self, c: Array) -> Array:
        return c


@dataclass(frozen=True)
class LogCosh(SumOfTerms):
    """l = log cosh d,  dz = tanh d,  with d = z - t: like ½ d² when small, like |d| - log 2 when large.

    For |d| < ½ it is log(1 + 2 sinh²(d/2)), which keeps the digits of small errors; else
    |d| + log(1 + exp(-2 |d|)) - log 2, which does not overflow.
    """

    def terms(self, z: Array, t: Array) -> tuple[Array, Array]:
        xp, d = array_namespace(z), z - t
        a = xp.abs(d)
        s = xp.sinh(0.5 * xp.minimum(a, 0.5))
        large = a + xp.log1p(xp.exp(-2 * a)) - 0.6931471805599453  # log 2
        return xp.where(a < 0.5, xp.log1p(2 * s * s), large), d

    def slopes(self, d: Array) -> Array:
        return array_namespace(d).tanh(d)


@dataclass(frozen=True)
class Pinball(SumOfTerms):
    """l = q (t - z) where t > z, else (1 - q) (z - t);  dz = -q where t > z, 1 - q where t < z, 0 where t = z.

    Its least mean is at the q-quantile of the targets: with ``quantile`` q = 0.9 nine of ten targets lie below the
    predictions. q = 0.5 trains the median and is half the absolute error. Raises ValueError unless 0 < q < 1.
    Source: Koenker and Bassett 1978; scikit-learn's mean_pinball_loss.
    """

    aliases: ClassVar[tuple[str, ...]] = ("quantile",)
    quantile: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("quantile", fraction("quantile", self.quantile))

    def terms(self, z: Array, t: Array) -> tuple[Array, Array]:
        xp, d = array_namespace(z), z - t
        return (1 - self.quantile) * xp.maximum(d, 0.0) + self.quantile * xp.maximum(-d, 0.0), d

    def slopes(self, d: Array) -> Array:
        xp = array_namespace(d)
        return 0.5 * xp.sign(d) + (0.5 - self.quantile) * xp.abs(xp.sign(d))


@dataclass(frozen=True)
class Poisson(FromLogits):
    """From log rates z: l = exp z - t z,  dz = exp z - t. From rates y: l = y - t log(y + ε),  dy = 1 - t / (y + ε).

    The negative log-likelihood of counts t >= 0 at the rate y = exp z, without log t!, which does not depend on z.
    ``from_logits=True`` means log rates, and the ``output_activation`` is the exponential. y and t are numbers of
    events, ε = 1e-8. For z above about 709 (88 in float32) the loss exceeds the range of the dtype and is inf.
    Source: torch's PoissonNLLLoss(log_input, full=False).
    """

    activation: ClassVar[type[Activation]] = Exponential

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(z)
        y = xp.exp(z)
        return y - times(t, xp.where(y < float("inf"), z, 0.0)), (y, t)

    def slopes_of_logits(self, saved: Any) -> Array:
        y, t = saved
        return y - t

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(y)
        return y - t * xp.log(xp.where(y < float("inf"), y, 1.0) + 1e-8), (y, t)

    def slopes_of_predictions(self, saved: Any) -> Array:
        y, t = saved
        return 1 - t / (y + 1e-8)

    def check_values(self, t: Array, outputs: int) -> None:
        remedy = "for numbers of either sign use MeanSquaredError"
        refuse(self._name, t, t < 0, "targets must be counts of at least 0", remedy)
