"""scikit-learn's losses from dlarray's: means over examples, sums over outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from dlarray.core.array import Array, array_namespace, example_count
from dlarray.core.check import one_of
from dlarray.core.layer import Activation
from dlarray.core.registry import make, spelling
from dlarray.losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
)
from dlarray.losses.terms import FromLogits
from dlarray.losses.weights import shares
from dlarray.model import MLP

__all__ = [
    "PerExample",
    "PoissonDeviance",
    "SquaredError",
    "classifier_loss",
    "output_activation",
    "public_loss",
    "regressor_loss",
]

SPELLINGS = {"sigmoid": "logistic", "exponential": "exp"}


@dataclass(frozen=True)
class PerExample(Loss):
    """L = Σ w l / Σ w with Σ over outputs too: a loss summed (``reduction="sum"``) and divided by examples alone."""

    abstract: ClassVar[bool] = True
    summed: Loss

    @property
    def output_activation(self) -> Activation:
        return self.summed.output_activation

    def forward(self, z: Array, t: Array, weight: Array | None = None) -> tuple[Array, Any]:
        n = example_count(z)
        if weight is None:
            value, saved = self.summed.forward(z, t)
            return value / n, (saved, n)
        value, saved = self.summed.forward(z, t, shares(weight, n))
        return value, (saved, 1)

    def backward(self, saved: Any, /) -> Array:
        saved, n = saved
        return self.summed.backward(saved) / n

    def unchecked(self) -> Self:
        return replace(self, summed=self.summed.unchecked())

    def check_targets(self, t: Array, outputs: int) -> None:
        self.summed.check_targets(t, outputs)


@dataclass(frozen=True)
class SquaredError(PerExample):
    """L = ½ Σ w (z - t)² / (Σ w · outputs),  dz = w (z - t) / Σ w.

    For several outputs dz is the derivative of the sum over them, but L is the mean over them: this is needed to get
    the curves and the weights of scikit-learn.
    """

    abstract: ClassVar[bool] = True
    summed: Loss = MeanSquaredError(reduction="sum")

    def forward(self, z: Array, t: Array, weight: Array | None = None) -> tuple[Array, Any]:
        value, saved = super().forward(z, t, weight)
        return value * (0.5 / z.shape[1]), saved

    def backward(self, saved: Any, /) -> Array:
        return 0.5 * super().backward(saved)


@dataclass(frozen=True)
class PoissonDeviance(PerExample):
    """L = Σ w (t log(t / y) - t + y) / Σ w,  dz = w (y - t) / Σ w,  y = exp z: half the deviance of counts t >= 0."""

    abstract: ClassVar[bool] = True
    summed: Loss = Poisson(reduction="sum")

    def forward(self, z: Array, t: Array, weight: Array | None = None) -> tuple[Array, Any]:
        value, saved = super().forward(z, t, weight)
        xp = array_namespace(z, t)
        least = xp.where(t > 0, t * xp.log(xp.where(t > 0, t, 1.0)), 0.0) - t  # independent of the model
        if weight is not None:
            least = least * xp.reshape(shares(weight, example_count(z)), (-1, 1))
        return value + xp.sum(least) / saved[1], saved


def total_weight(t: Array, weight: Array | None, dtype: Any) -> Array | int:
    """Σ w; without weights the number of examples; 1 if all weights are 0. ``dtype`` is that of the loss."""
    if weight is None:
        return example_count(array_namespace(t).astype(t if t.ndim > 1 else t[:, None], dtype))
    xp = array_namespace(weight)
    total = xp.sum(weight)
    return xp.where(total == 0, 1.0, total)


def classifier_loss(given: Any, kind: str) -> Loss:
    """The loss of a classifier for this kind of targets, by scikit-learn's or dlarray's name or as an object.

    Raises ValueError for a regression loss, and for a multiclass loss with several labels per example.
    """
    if given == "log_loss":
        several = CategoricalCrossEntropy if kind == "multiclass" else BinaryCrossEntropy
        return PerExample(several(reduction="sum"))
    loss = make(Loss, given)
    if loss.task == "regression":
        raise ValueError(f"{given!r} is a loss for numbers, not for classes: use it in an MLPRegressor")
    if loss.task == "multiclass" and kind == "multilabel-indicator":
        raise ValueError(
            f"{given!r} is for one class per example, and y has several labels: use 'binary_cross_entropy'"
        )
    return _check_reduction(loss)


def regressor_loss(given: Any, bounded: bool = False) -> Loss:
    """The loss of a regressor, by scikit-learn's or dlarray's name or as an object.

    If the network's last layer is an activation, outputs are ``bounded`` by it, and the loss takes predictions. Raises
    ValueError for a classification loss, and for a loss that needs several outputs for each target.
    """
    own: dict[str, type[Loss]] = {
        "squared_error": SquaredError,
        "poisson": PoissonDeviance,
        "absolute_error": MeanAbsoluteError,
    }
    loss = own[given]() if isinstance(given, str) and given in own else _by_name(given, own)
    if loss.task != "regression":
        raise ValueError(f"{given!r} is a loss for classes, not for numbers: use it in an MLPClassifier")
    if loss.target_columns(2) != 2:
        raise ValueError(
            f"{given!r} needs more than one output for each target, and an estimator has one: train with dlarray.fit, "
            f"such as dlarray.fit(dlarray.mlp(inputs, 100, 2), x, y, loss={given!r})"
        )
    return _check_reduction(_of_predictions(loss) if bounded else loss)


def _of_predictions(loss: Loss) -> Loss:
    """The same loss of predictions instead of logits."""
    if isinstance(loss, PerExample):
        return replace(loss, summed=_of_predictions(loss.summed))
    return replace(loss, from_logits=False) if isinstance(loss, FromLogits) else loss


def _by_name(given: Any, own: dict[str, type[Loss]]) -> Loss:
    try:
        return make(Loss, given)
    except ValueError as error:
        raise ValueError(f"{error}, {', '.join(own)}") from None


def _check_reduction(loss: Loss) -> Loss:
    one_of("reduction of the loss", loss.reduction, ("mean", "sum"))
    return loss


def output_activation(model: MLP, loss: Loss) -> str:
    """scikit-learn's name of the output activation: "softmax", "logistic", "identity", "exp"."""
    last = model.layers[-1]
    word = spelling(type(last if isinstance(last, Activation) else loss.output_activation))
    return SPELLINGS.get(word, word)


def public_loss(loss: Loss) -> Loss:
    """The loss of dlarray with the same predictions, which files can name. It differs by a constant factor."""
    if not isinstance(loss, PerExample):
        return loss
    summed: Any = loss.summed
    return replace(summed, reduction="mean")
