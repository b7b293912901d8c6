"""The loss of a normal distribution whose mean and variance are both predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dlarray.activations import Softplus
from dlarray.core.array import Array, array_namespace
from dlarray.core.layer import Activation, Shape
from dlarray.losses.terms import FromLogits

__all__ = ["GaussianNLL"]

LEAST = 1e-6
"""The least variance, torch's eps: without it a target that is met exactly would have the loss -inf."""


@dataclass(frozen=True)
class _MeanAndVariance(Activation):
    """(m, v) = (a, softplus(s) + 1e-6),  da = dm,  ds = σ(s) dv, for the halves a and s of each row."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        m, s = _halves(z)
        v, saved = Softplus().forward(s)
        return array_namespace(z).concat([m, v + LEAST], axis=-1), saved

    def backward(self, saved: Array, dy: Array) -> Array:
        dm, dv = _halves(dy)
        return array_namespace(dy).concat([dm, Softplus().backward(saved, dv)], axis=-1)


@dataclass(frozen=True)
class GaussianNLL(FromLogits):
    """l = ½ (log v + (t - m)² / v),  dm = (m - t) / v,  dv = ½ (1/v - (t - m)² / v²),  v the variance.

    The negative log-likelihood of t under the normal distribution with mean m and variance v, without ½ log 2π. For k
    targets in a row the model has 2k outputs: k means, then k numbers s with v = softplus(s) + 1e-6. So it learns how
    far it is off, and for which inputs. Predictions are (n, 2k), means and variances; metrics compare the means with
    the targets. With ``from_logits=False`` outputs are m and v themselves, v at least 1e-6.
    Source: Nix and Weigend 1994; Lakshminarayanan et al. 2017; torch's GaussianNLLLoss.
    """

    aliases: ClassVar[tuple[str, ...]] = ("gaussian", "normal")
    activation: ClassVar[type[Activation]] = _MeanAndVariance

    def target_columns(self, outputs: int) -> int:
        return outputs // 2

    def point(self, y: Array) -> Array:
        return _halves(y)[0]

    def check_outputs(self, shape: Shape) -> None:
        super().check_outputs(shape)
        if len(shape) != 2 or shape[1] % 2 or not shape[1]:
            raise ValueError(
                f"{self._name}: outputs must be (n, 2k), means and variances of k targets, got {shape}; "
                f"give the last layer two units for each target"
            )

    def check_shapes(self, shape: Shape, t: Array) -> None:
        super().check_shapes((shape[0], shape[1] // 2), t)

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Any]:
        y, saved = _MeanAndVariance().forward(z)
        terms, of_predictions = self.terms_of_predictions(y, t)
        return terms, (of_predictions, saved)

    def slopes_of_logits(self, saved: Any) -> Array:
        of_predictions, of_activation = saved
        return _MeanAndVariance().backward(of_activation, self.slopes_of_predictions(of_predictions))

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(y)
        m, v = _halves(y)
        v = xp.maximum(v, LEAST)
        d = m - t
        scaled = d / v
        return 0.5 * (xp.log(v) + d * scaled), (scaled, v)

    def slopes_of_predictions(self, saved: Any) -> Array:
        scaled, v = saved
        return array_namespace(v).concat([scaled, 0.5 * (1 / v - scaled * scaled)], axis=-1)


def _halves(z: Array) -> tuple[Array, Array]:
    k = z.shape[-1] // 2
    return z[..., :k], z[..., k:]
