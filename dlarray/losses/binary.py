"""Losses for yes or no: each output predicts one of two classes, so several outputs of a row may be yes.

A term is one output. Targets are 0 for no and 1 for yes; the hinges take -1 and 1 too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from dlarray.activations import Sigmoid, Softplus
from dlarray.core.array import Array, array_namespace, device
from dlarray.core.check import fraction, non_negative, positive
from dlarray.core.layer import Activation, Shape
from dlarray.losses.terms import FromLogits, SumOfTerms, bounded_log
from dlarray.losses.values import check_probabilities, plain_weights, refuse
from dlarray.losses.weights import times

__all__ = ["BinaryCrossEntropy", "Focal", "Hinge", "SquaredHinge"]


@dataclass(frozen=True)
class _TwoClasses(SumOfTerms):
    """``class_weight = (weight of no, weight of yes)`` weights each term by its target."""

    abstract: ClassVar[bool] = True
    task: ClassVar[Literal["regression", "binary", "multiclass"]] = "binary"
    class_weight: tuple[float, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weight is not None:
            object.__setattr__(self, "class_weight", weights := plain_weights(self.class_weight))
            if len(weights) != 2:
                raise ValueError(f"{self._name}: class_weight is two weights, of no and of yes, got {weights!r}")

    def term_weights(self, t: Array) -> Array | None:
        if self.class_weight is None:
            return None
        no, yes = self._ratios(self.class_weight)
        t = array_namespace(t).maximum(t, 0.0)  # -1 is a no as well
        return no * (1 - t) + yes * t


@dataclass(frozen=True)
class BinaryCrossEntropy(_TwoClasses, FromLogits):
    """l = -t log y - (1 - t) log(1 - y),  dy = (1 - t) / (1 - y) - t / y,  with y = sigmoid z:  dz = y - t.

    From logits it is (1 - t) max(z, 0) + t max(-z, 0) + log(1 + exp(-|z|)), with dz = (1 - t) σ(z) - t σ(-z): exact in
    both tails, with the limits at ±inf. From probabilities, logarithms are at least -100 and denominators at least
    1e-12. t in [0, 1]; ``label_smoothing`` ε replaces t by t (1 - ε) + ε / 2. ``pos_weight`` multiplies t where it
    stands alone: one number, or one for each output. It weights rare yeses, and unlike ``class_weight`` the mean is not
    divided by it. Raises ValueError unless weights are above 0, one for each output.
    Source: torch's BCEWithLogitsLoss and BCELoss; Szegedy et al. 2016 (smoothing).
    """

    aliases: ClassVar[tuple[str, ...]] = ("bce",)
    activation: ClassVar[type[Activation]] = Sigmoid
    label_smoothing: float = 0.0
    pos_weight: float | tuple[float, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("label_smoothing", self.label_smoothing)
        if self.pos_weight is not None:
            object.__setattr__(self, "pos_weight", _above_zero(self.pos_weight))

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Any]:
        xp, (no, yes) = array_namespace(z), self._sides(t)
        terms = times(no, xp.maximum(z, 0.0))
        terms += times(yes, xp.maximum(-z, 0.0))
        both = xp.log1p(xp.exp(-xp.abs(z)))
        terms += both if self.pos_weight is None else (no + yes) * both
        return terms, (z, no, yes)

    def slopes_of_logits(self, saved: Any) -> Array:
        z, no, yes = saved
        _, (y, miss) = Sigmoid().forward(z)
        return no * y - yes * miss

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        no, yes = self._sides(t)
        return -(yes * bounded_log(y) + no * bounded_log(1 - y)), (y, no, yes)

    def slopes_of_predictions(self, saved: Any) -> Array:
        (y, no, yes), xp = saved, array_namespace(*saved)
        return no / xp.maximum(1 - y, 1e-12) - yes / xp.maximum(y, 1e-12)

    def _sides(self, t: Array) -> tuple[Array, Array]:
        """The factors of log(1 - y) and of log y: 1 - t and t after smoothing, t times ``pos_weight``."""
        if self.label_smoothing:
            t = t * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.pos_weight is None:
            return 1 - t, t
        factor = self.pos_weight
        if isinstance(factor, tuple):
            factor = array_namespace(t).asarray(factor, dtype=t.dtype, device=device(t))
        return 1 - t, t * factor

    def check_outputs(self, shape: Shape) -> None:
        super().check_outputs(shape)
        if isinstance(self.pos_weight, tuple) and len(self.pos_weight) != shape[-1]:
            raise ValueError(
                f"{self._name}: pos_weight has {len(self.pos_weight)} numbers for {shape[-1]} outputs; "
                f"give one for each output, or one number for all"
            )

    def check_values(self, t: Array, outputs: int) -> None:
        check_probabilities(
            self._name,
            t,
            "targets must be 0, 1 or a probability between them",
            "for more than two classes use SparseCategoricalCrossEntropy; for numbers give float targets, or "
            "loss='mean_squared_error'",
        )


def _above_zero(given: float | Iterable[float]) -> float | tuple[float, ...]:
    """One number above 0, or a tuple of them."""
    return (
        tuple(positive("pos_weight", w) for w in given)
        if isinstance(given, Iterable)
        else positive("pos_weight", given)
    )


@dataclass(frozen=True)
class Focal(FromLogits):
    """l = -a (1 - p)^γ log p,  dp = a (1 - p)^γ (γ log p / (1 - p) - 1 / p),  p the probability of the right class.

    p = y where t = 1 and 1 - y where t = 0, with y = sigmoid z; dz = ±a (1 - p)^γ (γ p log p - (1 - p)), + where
    t = 1. A cross-entropy in which examples that are already classified well have little weight: for rare classes.
    ``gamma`` >= 0; 0 gives the cross-entropy. ``alpha``: a is alpha for yes and 1 - alpha for no, or 1 if it is None; a
    mean is not divided by the sum of these factors. Several classes are several outputs, each yes or no, as in the
    paper; there is no softmax form. Targets are 0 and 1. Source: Lin et al. 2017; torchvision's sigmoid_focal_loss.
    """

    activation: ClassVar[type[Activation]] = Sigmoid
    task: ClassVar[Literal["regression", "binary", "multiclass"]] = "binary"
    gamma: float = 2.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        non_negative("gamma", self.gamma)
        if self.alpha is not None:
            fraction("alpha", self.alpha)

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Any]:
        wrong = array_namespace(z).where(t > 0, -z, z)  # the logit of the wrong class
        _, (miss, p) = Sigmoid().forward(wrong)  # 1 - p and p
        entropy = Softplus().predict(wrong)  # -log p
        factor = self._alpha(t) * miss**self.gamma
        return times(factor, entropy), (factor, miss, p, entropy, t)

    def slopes_of_logits(self, saved: Any) -> Array:
        factor, miss, p, entropy, t = saved
        slope = factor * (self.gamma * times(p, entropy) + miss)
        return array_namespace(t).where(t > 0, -slope, slope)

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        p = array_namespace(y).where(t > 0, y, 1 - y)
        return -self._alpha(t) * (1 - p) ** self.gamma * bounded_log(p), (p, t)

    def slopes_of_predictions(self, saved: Any) -> Array:
        (p, t), xp = saved, array_namespace(*saved)
        miss = xp.maximum(1 - p, 1e-12)  # log p / (1 - p) tends to -1 as p tends to 1
        ratio = xp.where(p < 1, bounded_log(p) / miss, -1.0)
        slope = self._alpha(t) * (1 - p) ** self.gamma * (self.gamma * ratio - 1 / xp.maximum(p, 1e-12))
        return xp.where(t > 0, slope, -slope)

    def _alpha(self, t: Array) -> Array | float:
        return 1.0 if self.alpha is None else (1 - self.alpha) + (2 * self.alpha - 1) * t

    def check_values(self, t: Array, outputs: int) -> None:
        refuse(
            self._name,
            t,
            (t != 0) & (t != 1),
            "targets must be 0 or 1",
            "several classes are several columns of 0 and 1; for soft targets use BinaryCrossEntropy",
        )


@dataclass(frozen=True)
class Hinge(_TwoClasses):
    """l = max(0, 1 - t z),  dz = -t where t z < 1, else 0,  for t of -1 or 1.

    An output on the right side with a margin of 1 or more has no loss. z is a score: its sign is the prediction.
    Targets above 0 count as 1, all others as -1: 0 and 1 may be given too.
    Source: Cortes and Vapnik 1995; scikit-learn's hinge_loss.
    """

    threshold: ClassVar[float] = 0.0

    def terms(self, z: Array, t: Array) -> tuple[Array, Any]:
        h = array_namespace(z).maximum(1 - t * z, 0.0)
        return h, (h, t)

    def slopes(self, saved: Any) -> Array:
        h, t = saved
        return -t * array_namespace(h).sign(h)

    def encode(self, z: Array, t: Array) -> Array:
        return 2 * array_namespace(t).astype(t > 0, z.dtype) - 1

    def check_values(self, t: Array, outputs: int) -> None:
        xp = array_namespace(t)
        other = xp.where(xp.any(t == -1), t != -1, t != 0)
        refuse(
            self._name,
            t,
            (t != 1) & other,
            "labels must be -1 and 1, or 0 and 1",
            "give one column of them to each class",
        )


@dataclass(frozen=True)
class SquaredHinge(Hinge):
    """l = max(0, 1 - t z)²,  dz = -2 t max(0, 1 - t z),  for t of -1 or 1.

    The hinge without its kink; targets as in Hinge. Source: scikit-learn's LinearSVC(loss="squared_hinge").
    """

    def terms(self, z: Array, t: Array) -> tuple[Array, Any]:
        h, saved = super().terms(z, t)
        return h * h, saved

    def slopes(self, saved: Any) -> Array:
        h, t = saved
        return -2 * t * h
