"""Losses of margins: the right one of several classes should be ahead of the others by 1. Labels are integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dlarray.core.array import Array, array_namespace, largest_column, one_hot
from dlarray.core.check import positive
from dlarray.core.layer import Shape
from dlarray.losses.terms import SumOfTerms

__all__ = ["CategoricalHinge", "MultiMargin"]


@dataclass(frozen=True)
class _Margin(SumOfTerms):
    """A term is one row of K scores, t the row of its label."""

    abstract: ClassVar[bool] = True
    task: ClassVar[Literal["regression", "binary", "multiclass"]] = "multiclass"
    targets_are_labels: ClassVar[bool] = True

    def check_outputs(self, shape: Shape) -> None:
        if len(shape) != 2 or shape[1] < 2:
            raise ValueError(
                f"{self._name}: outputs must be (n, classes) with two classes or more, got {shape}; "
                f"for a single output use Hinge"
            )

    def _unreduced(self, terms: Array) -> Array:
        return array_namespace(terms).reshape(terms, (-1,))


@dataclass(frozen=True)
class CategoricalHinge(_Margin):
    """l = max(0, 1 + z_j - z_t),  dz_j = 1 and dz_t = -1 where l > 0, else 0,  j the best of the wrong classes.

    z_t is the score of the right class; of equal wrong classes j is the first. Source: Crammer and Singer 2001;
    scikit-learn's hinge_loss for several classes; Keras's CategoricalHinge.
    """

    aliases: ClassVar[tuple[str, ...]] = ("multiclass_hinge", "crammer_singer")

    def terms(self, z: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(z)
        wrong = xp.where(t > 0, float("-inf"), z)
        best = one_hot(largest_column(wrong), z.shape[1], z.dtype)
        right = xp.sum(xp.where(t > 0, z, 0.0), axis=1, keepdims=True)
        margin = xp.maximum(1 + xp.max(wrong, axis=1, keepdims=True) - right, 0.0)
        return margin, (margin, best - t)

    def slopes(self, saved: Any) -> Array:
        (margin, direction), xp = saved, array_namespace(*saved)
        return xp.where(margin > 0, direction, xp.where(margin == 0, 0.0, margin))  # NaN stays NaN


@dataclass(frozen=True)
class MultiMargin(_Margin):
    """l = (1/K) Σ_j≠t max(0, margin + z_j - z_t)^p,  dz_j = (p/K) max(0, …)^(p-1) for a wrong j,  dz_t = -Σ_j dz_j.

    Every wrong class that is too near counts, not only the best. ``exponent`` p is 1 or 2. Raises ValueError for
    another exponent and unless margin > 0. Source: Weston and Watkins 1999; torch's MultiMarginLoss.
    """

    margin: float = 1.0
    exponent: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("margin", self.margin)
        if self.exponent not in (1, 2):
            raise ValueError(f"exponent must be 1 or 2, got {self.exponent!r}")

    def terms(self, z: Array, t: Array) -> tuple[Array, Any]:
        xp = array_namespace(z)
        right = xp.sum(xp.where(t > 0, z, 0.0), axis=1, keepdims=True)
        short = xp.where(t > 0, 0.0, xp.maximum(self.margin + z - right, 0.0))
        share = 1 / z.shape[1]
        return xp.sum(short if self.exponent == 1 else short * short, axis=1, keepdims=True) * share, (short, t)

    def slopes(self, saved: Any) -> Array:
        (short, t), xp = saved, array_namespace(*saved)
        wrong = xp.where(short > 0, 1.0, short) if self.exponent == 1 else 2 * short
        wrong *= 1 / t.shape[1]
        return wrong - t * xp.sum(wrong, axis=1, keepdims=True)
