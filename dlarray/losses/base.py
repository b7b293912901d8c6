"""The interface of every loss, and what all of them share: shapes, weights and reduction.

    value, saved = loss.forward(z, t, weight=None)     z the model's outputs, t the targets, both (n, outputs)
    dz           = loss.backward(saved)                dL/dz
    y            = loss.output_activation.predict(z)                outputs turned into predictions

A loss holds configuration alone and is a frozen dataclass.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

from dlarray.activations import Identity
from dlarray.core.array import Array, array_namespace, is_array, is_floating, size
from dlarray.core.check import one_of, plain_numbers
from dlarray.core.layer import Activation, Shape
from dlarray.losses.values import refuse
from dlarray.losses.weights import largest, shares

__all__ = ["FromLogits", "Loss", "Reduction", "SumOfTerms", "check_parts", "held_log"]

Reduction = Literal["mean", "sum", "none"]


class Loss:
    """How far outputs lie from targets, as one number, and the slope of that number.

    Targets have the outputs' shape and are cast to the outputs' dtype, save where a loss says otherwise. Raises
    ValueError where shapes, dtypes or an empty batch make no sense, and for the first target with a value that the
    loss cannot read, such as a label outside [0, K); TypeError for masked arrays. While a step is traced there are no
    values, and nobody reads them: ``check_targets`` does that before. On an accelerator reading waits for the device,
    so a step whose targets have been checked takes the loss ``unchecked``.
    """

    abstract: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ()
    task: ClassVar[Literal["regression", "binary", "multiclass"]] = "regression"
    """What is predicted: numbers; yes or no by each output; or one class by the outputs of a row together."""

    threshold: ClassVar[float] = 0.5
    """Above it a single prediction is a yes."""

    _reads: ClassVar[bool] = True
    """Whether ``forward`` reads the values of targets."""

    @property
    def output_activation(self) -> Activation:
        """The activation that turns the model's outputs z into predictions."""
        return Identity()

    def forward(self, z: Array, t: Array, weight: Array | None = None) -> tuple[Array, Any]:
        """(L, saved). ``weight``, where given, holds one number per example, (n,); a mean divides by their sum."""
        raise NotImplementedError

    def backward(self, saved: Any, /) -> Array:
        """dL/dz, of the shape of z."""
        raise NotImplementedError

    def example_weights(self, t: Array, weight: Array | None, dtype: Any) -> Array | None:
        """What each example weighs in a batch's mean, (n,), the weight of its class included; None where all are 1.

        ``dtype`` is that of weights which the loss has by class, and its name will do.
        """
        return weight

    def combine(self, values: Array, weights: Array) -> Array:
        """The loss of several batches as one, from the loss and the Σ w of each: their mean, by which each counts.

        0 where all weights are.
        """
        w = weights / largest(weights)  # Σ w may overflow
        total = array_namespace(w).sum(w)
        return array_namespace(values).sum(values * w) / array_namespace(w).where(total == 0, 1.0, total)

    def unchecked(self) -> Self:
        """The same loss, whose ``forward`` reads no values: for steps whose targets have been checked already."""
        same = copy(self)
        object.__setattr__(same, "_reads", False)
        return same

    def check_targets(self, t: Array, outputs: int) -> None:
        """Reads the values of targets before they train a model with this many outputs.

        Once, before training: a formula never looks at values. Raises ValueError that names the first bad value, its
        row and the remedy; TypeError for an array of objects.
        """
        self._check_form((*t.shape[:1], outputs), t)
        if is_floating(t):
            xp = array_namespace(t)
            refuse(self._name, t, ~xp.isfinite(t), "targets must be finite", "drop or fill these examples")
        self._check_values(t, outputs)
        self._check_rows(t)

    def _prepare(self, z: Array, t: Array) -> Array:
        """The targets as the formula wants them, after every check that needs no values."""
        if not is_array(t):
            raise TypeError(f"{self._name}: targets must be an array, got {type(t).__name__}")
        array_namespace(z, t)  # of one library
        if not is_floating(z):
            raise ValueError(f"{self._name}: outputs must be real floating-point numbers, got {z.dtype}")
        self._check_form(tuple(z.shape), t)
        if self._reads:
            self._check_values(t, int(z.shape[-1]))
        return self._encode(z, t)

    def _encode(self, z: Array, t: Array) -> Array:
        """Checked targets in the outputs' dtype."""
        return array_namespace(t).astype(t, z.dtype, copy=False)

    def _check_form(self, shape: Shape, t: Array) -> None:
        """Raises where outputs of ``shape``, or targets of this shape and dtype beside them, cannot be right."""
        if not array_namespace(t).isdtype(t.dtype, ("bool", "integral", "real floating")):
            kind = TypeError if str(t.dtype) == "object" else ValueError
            raise kind(f"{self._name}: targets must be real numbers, got {t.dtype}")
        self._check_outputs(shape)
        self._check_pair(shape, t)

    def _check_outputs(self, shape: Shape) -> None:
        if not shape:
            raise ValueError(f"{self._name}: outputs must be (n, outputs), got a single number")

    def _check_pair(self, shape: Shape, t: Array) -> None:
        if (given := tuple(t.shape)) != shape:
            remedy = f"; reshape the targets to {shape}" if size(given) == size(shape) else ""
            raise ValueError(f"{self._name}: targets of shape {given} do not match outputs of shape {shape}{remedy}")

    def _check_values(self, t: Array, outputs: int) -> None:
        """Raises ValueError where a finite target of the right form has a value that this loss cannot read."""

    def _check_rows(self, t: Array) -> None:
        """Raises ValueError where the values of a row are right and the row is not, to train on."""

    def _refuse_empty(self, z: Array) -> None:
        if size(tuple(z.shape)) == 0:
            raise ValueError(f"{self._name}: an empty batch, outputs of shape {tuple(z.shape)}, has no mean")

    def _column(self, z: Array, weight: Array) -> Array:
        """The examples' weights in z's dtype, shaped to multiply z row by row."""
        xp, n = array_namespace(z, weight), z.shape[0]
        if tuple(weight.shape) != (n,):
            raise ValueError(
                f"{self._name}: weight must hold one number per example, shape ({n},), got {tuple(weight.shape)}"
            )
        return xp.reshape(xp.astype(weight, z.dtype, copy=False), (n, *[1] * (z.ndim - 1)))

    @property
    def _name(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class SumOfTerms(Loss):
    """L = Σ w l(z, t) / Σ w,  dz = w l'(z, t) / Σ w: a loss made of one term for each output, or for each example.

    A subclass states l and l', side by side: ``terms(z, t) -> l, saved`` and ``slopes(saved) -> dl/dz``. Here stands
    the rest: w is 1, or the example's weight, times the weight of its class where a loss has such. ``reduction``:

    - "mean" divides by Σ w over all terms: by examples times outputs, or by examples where a term is a whole row;
    - "sum" does not divide;
    - "none" gives the terms w l, and as gradient that of their sum.

    Where all weights of a batch are 0 the mean and its slope are 0: such a batch teaches nothing (torch has NaN).
    Source: the ``reduction`` of torch's losses.
    """

    abstract: ClassVar[bool] = True
    reduction: Reduction = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        plain_numbers(self)
        one_of("reduction", self.reduction, get_args(Reduction))

    def terms(self, z: Array, t: Array, /) -> tuple[Array, Any]:
        """(l, saved): the terms, of the shape of z, or (n, 1) where a term is a whole row."""
        raise NotImplementedError

    def slopes(self, saved: Any, /) -> Array:
        """dl/dz, of the shape of z."""
        raise NotImplementedError

    def forward(self, z: Array, t: Array, weight: Array | None = None) -> tuple[Array, Any]:
        t = self._prepare(z, t)
        terms, saved = self.terms(z, t)
        scale = self._scale(terms, t, weight)
        value = terms * scale
        if self.reduction == "none":
            return self._unreduced(value), (saved, scale)
        return array_namespace(z).sum(value), (saved, scale)

    def backward(self, saved: Any, /) -> Array:
        saved, scale = saved
        return self.slopes(saved) * scale

    def example_weights(self, t: Array, weight: Array | None, dtype: Any) -> Array | None:
        xp = array_namespace(t)
        dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
        w = self._class_weights(xp.astype(t, dtype))
        if w is None or self.reduction == "sum":
            return weight
        w = xp.mean(xp.reshape(w, (t.shape[0], -1)), axis=1)
        return w if weight is None else w * weight

    def combine(self, values: Array, weights: Array) -> Array:
        return array_namespace(values).sum(values) if self.reduction == "sum" else super().combine(values, weights)

    def _scale(self, terms: Array, t: Array, weight: Array | None) -> Array | float:
        """What multiplies each term: w, and for the mean w / Σ w."""
        count = size(tuple(terms.shape))
        if self.reduction == "mean":
            self._refuse_empty(terms)
        w = self._class_weights(t)
        if weight is not None:
            column = self._column(terms, weight)
            w = column if w is None else w * column
        if w is None:
            return 1 / count if self.reduction == "mean" else 1.0
        if self.reduction == "mean":
            return shares(w, count)
        return w

    def _class_weights(self, t: Array) -> Array | None:
        """The weight of each term by the class of its target, as (n, 1) or of the shape of t; None where all are 1."""
        return None

    def _ratios(self, weights: tuple[float, ...]) -> tuple[float, ...]:
        """The weights of classes, for a mean relative to the largest: their products with others may overflow."""
        return tuple(w / max(weights) for w in weights) if self.reduction == "mean" else weights

    def _unreduced(self, terms: Array) -> Array:
        return terms


@dataclass(frozen=True)
class FromLogits(SumOfTerms):
    """A loss of predictions y that a model may give as logits z instead, y = activation(z).

    From logits (the default) the activation and the loss are one formula, stable at any z, and the activation is the
    ``output_activation``. With ``from_logits=False`` the model's outputs are y itself, as the book has it. A subclass
    states both formulas, each with its slope.
    """

    abstract: ClassVar[bool] = True
    activation: ClassVar[type[Activation]] = Identity
    from_logits: bool = field(default=True, kw_only=True)

    @property
    def output_activation(self) -> Activation:
        return self.activation() if self.from_logits else Identity()

    def terms(self, z: Array, t: Array, /) -> tuple[Array, Any]:
        return self.terms_of_logits(z, t) if self.from_logits else self.terms_of_predictions(z, t)

    def slopes(self, saved: Any, /) -> Array:
        return self.slopes_of_logits(saved) if self.from_logits else self.slopes_of_predictions(saved)

    def terms_of_logits(self, z: Array, t: Array, /) -> tuple[Array, Any]:
        raise NotImplementedError

    def slopes_of_logits(self, saved: Any, /) -> Array:
        raise NotImplementedError

    def terms_of_predictions(self, y: Array, t: Array, /) -> tuple[Array, Any]:
        raise NotImplementedError

    def slopes_of_predictions(self, saved: Any, /) -> Array:
        raise NotImplementedError


def check_parts(loss: Loss, accumulate: int) -> None:
    """Raise ValueError where a batch in parts would take another step than the whole: the loss is no sum of terms."""
    if accumulate > 1 and not isinstance(loss, SumOfTerms):
        raise ValueError(
            f"accumulate={accumulate} adds up the gradients of a batch's parts, and {type(loss).__name__} is no sum "
            f"over examples: give accumulate=1, or a loss derived from dlarray.losses.SumOfTerms, such as "
            f"MeanSquaredError"
        )


def held_log(y: Array) -> Array:
    """The logarithm, but never below -100: certain and wrong costs much, not infinitely much (torch's BCELoss)."""
    xp = array_namespace(y)
    floor = 3.720075976020836e-44  # exp(-100)
    return xp.where(y <= floor, -100.0, xp.log(xp.maximum(y, floor)))
