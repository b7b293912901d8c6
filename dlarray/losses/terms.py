"""Losses that are sums of terms, one for each output or for each example: their weights and reductions, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from dlarray.activations import Identity
from dlarray.core.array import Array, array_namespace, element_count
from dlarray.core.check import one_of, plain_numbers
from dlarray.core.layer import Activation
from dlarray.losses.base import Loss, Reduction
from dlarray.losses.weights import shares

__all__ = ["FromLogits", "SumOfTerms", "bounded_log"]


@dataclass(frozen=True)
class SumOfTerms(Loss):
    """L = Σ w l(z, t) / Σ w,  dz = w l'(z, t) / Σ w: a loss made of one term for each output, or for each example.

    A subclass defines l and l': ``terms(z, t) -> l, saved`` and ``slopes(saved) -> dl/dz``. w is the example's weight,
    or 1, times the weight of its class in losses that have class weights. ``reduction``:

    - "mean" divides by Σ w over all terms: by examples times outputs, or by examples where a term is a whole row;
    - "sum" does not divide;
    - "none" returns the terms w l; the gradient is that of their sum.

    If all weights of a batch are 0, the mean and its gradient are 0 (torch has NaN).
    Source: the ``reduction`` of torch's losses.
    """

    abstract: ClassVar[bool] = True
    additive: ClassVar[bool] = True
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
        t = self.prepare(z, t)
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
        w = self.term_weights(xp.astype(t, dtype))
        if w is None or self.reduction == "sum":
            return weight
        w = xp.mean(xp.reshape(w, (t.shape[0], -1)), axis=1)
        return w if weight is None else w * weight

    def combine(self, values: Array, weights: Array) -> Array:
        return array_namespace(values).sum(values) if self.reduction == "sum" else super().combine(values, weights)

    def _scale(self, terms: Array, t: Array, weight: Array | None) -> Array | float:
        """The factor of each term: w, and for the mean w / Σ w."""
        count = element_count(terms)
        if self.reduction == "mean":
            self.refuse_empty(terms)
        w = self.term_weights(t)
        if weight is not None:
            column = self.weight_column(terms, weight)
            w = column if w is None else w * column
        if w is None:
            return 1 / count if self.reduction == "mean" else 1.0
        if self.reduction == "mean":
            return shares(w, count)
        return w

    def term_weights(self, t: Array) -> Array | None:
        """The weight of each term by the class of its target, as (n, 1) or of the shape of t; None if all are 1.

        A loss of labels that has class weights overrides ``example_weights`` too: labels are no one-hot rows there.
        """
        return None

    def _ratios(self, weights: tuple[float, ...]) -> tuple[float, ...]:
        """The weights of classes, for a mean relative to the largest: their products with others may overflow."""
        return tuple(w / max(weights) for w in weights) if self.reduction == "mean" else weights

    def _unreduced(self, terms: Array) -> Array:
        return terms


@dataclass(frozen=True)
class FromLogits(SumOfTerms):
    """A loss of predictions y = activation(z) that takes the logits z or, with ``from_logits=False``, y itself.

    From logits (the default) activation and loss are one formula, stable at any z, and the activation is the
    ``output_activation``. With ``from_logits=False`` the model's outputs are y, as in the textbook. A subclass defines
    both formulas and the slopes of each.
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
        """``terms`` from logits."""
        raise NotImplementedError

    def slopes_of_logits(self, saved: Any, /) -> Array:
        """dl/dz with respect to the logits."""
        raise NotImplementedError

    def terms_of_predictions(self, y: Array, t: Array, /) -> tuple[Array, Any]:
        """``terms`` from predictions."""
        raise NotImplementedError

    def slopes_of_predictions(self, saved: Any, /) -> Array:
        """dl/dy with respect to the predictions."""
        raise NotImplementedError


def bounded_log(y: Array) -> Array:
    """log y, at least -100: a prediction that is certain and wrong has a large, finite loss (torch's BCELoss)."""
    xp = array_namespace(y)
    floor = 3.720075976020836e-44  # exp(-100)
    return xp.where(y <= floor, -100.0, xp.log(xp.maximum(y, floor)))
