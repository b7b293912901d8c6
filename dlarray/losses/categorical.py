"""Losses for one class of several: z and t are (n, K), a term is one row, a mean is over examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from dlarray.activations import LogSoftmax, Softmax
from dlarray.core.array import Array, array_namespace, device, is_integer
from dlarray.core.check import fraction, whole
from dlarray.core.layer import Activation, Shape
from dlarray.losses.terms import FromLogits, bounded_log
from dlarray.losses.values import check_probabilities, check_rows, plain_weights

__all__ = ["CategoricalCrossEntropy", "KLDivergence", "SparseCategoricalCrossEntropy"]


@dataclass(frozen=True)
class _Distribution(FromLogits):
    """A loss between a row of targets, a distribution over K classes, and the softmax of a row of outputs."""

    abstract: ClassVar[bool] = True
    activation: ClassVar[type[Activation]] = Softmax
    task: ClassVar[Literal["regression", "binary", "multiclass"]] = "multiclass"

    def slopes_of_logits(self, saved: Any) -> Array:
        """dl/dz = q Σ t - t of cross-entropy and divergence, which is q - t, because the rows of t sum to 1.

        Computed as t (q - 1) + q (Σ t - t), with q - 1 from log q, which keeps its digits near q = 1.
        """
        (log_q, t), xp = saved, array_namespace(*saved)
        return t * xp.expm1(log_q) + xp.exp(log_q) * (xp.sum(t, axis=-1, keepdims=True) - t)

    def check_outputs(self, shape: Shape) -> None:
        if len(shape) != 2 or shape[1] < 2:
            raise ValueError(
                f"{self._name}: outputs must be (n, classes) with two classes or more, got {shape}; "
                f"for a single output use BinaryCrossEntropy"
            )

    def check_shapes(self, shape: Shape, t: Array) -> None:
        if not self.targets_are_labels and is_integer(t) and tuple(t.shape) in (shape[:1], (shape[0], 1)):
            raise ValueError(
                f"{self._name}: targets must be one-hot rows or probabilities of shape {shape}, got "
                f"integer labels of shape {tuple(t.shape)}; for these use SparseCategoricalCrossEntropy"
            )
        super().check_shapes(shape, t)

    def check_values(self, t: Array, outputs: int) -> None:
        super().check_values(t, outputs)
        if not self.targets_are_labels:
            check_probabilities(self._name, t, "targets must be probabilities, in [0, 1]", "divide each row by its sum")

    def check_rows(self, t: Array) -> None:
        if not self.targets_are_labels:
            check_rows(self._name, t)

    def _unreduced(self, terms: Array) -> Array:
        return array_namespace(terms).reshape(terms, (-1,))


@dataclass(frozen=True)
class CategoricalCrossEntropy(_Distribution):
    """l = -Σ t log q over the classes,  dq = -t / q,  with q = softmax z:  dz = q - t.

    t are one-hot rows or probabilities. From logits, log q is computed by log-softmax. From probabilities q, logarithms
    are at least -100 and denominators at least 1e-12. ``label_smoothing`` ε replaces t by t (1 - ε) + ε / K.
    ``class_weight`` holds K numbers: the weight of an example is Σ t class_weight, for a one-hot row the weight of its
    class, and the mean divides by the sum of these. Raises ValueError for integer labels. Source: torch's
    CrossEntropyLoss, which weights smoothed and soft targets by class and not by example.
    """

    aliases: ClassVar[tuple[str, ...]] = ("cross_entropy",)
    label_smoothing: float = 0.0
    class_weight: tuple[float, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("label_smoothing", self.label_smoothing)
        if self.class_weight is not None:
            object.__setattr__(self, "class_weight", plain_weights(self.class_weight))

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Any]:
        t, log_q = self._smooth(t), LogSoftmax().predict(z)
        return -_expectation(t, log_q), (log_q, t)

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        t = self._smooth(t)
        return -_expectation(t, bounded_log(y)), (y, t)

    def slopes_of_predictions(self, saved: Any) -> Array:
        q, t = saved
        return -t / array_namespace(q).maximum(q, 1e-12)

    def _smooth(self, t: Array) -> Array:
        return t * (1 - self.label_smoothing) + self.label_smoothing / t.shape[1] if self.label_smoothing else t

    def term_weights(self, t: Array) -> Array | None:
        if self.class_weight is None:
            return None
        return array_namespace(t).sum(t * self._by_class(t, t.dtype), axis=-1, keepdims=True)

    def _by_class(self, like: Array, dtype: Any) -> Array:
        """The weights of the classes, (K,), on the device of an array."""
        weights = self._ratios(self.class_weight or ())
        return array_namespace(like).asarray(weights, dtype=dtype, device=device(like))

    def check_outputs(self, shape: Shape) -> None:
        super().check_outputs(shape)
        if self.class_weight is not None and len(self.class_weight) != shape[1]:
            raise ValueError(f"{self._name}: class_weight has {len(self.class_weight)} weights for {shape[1]} classes")


@dataclass(frozen=True)
class SparseCategoricalCrossEntropy(CategoricalCrossEntropy):
    """l = -log q at the class t,  dz = q - one-hot(t): CategoricalCrossEntropy for integer labels t in [0, K), (n,).

    Examples with the label ``ignore_index`` do not count: their loss and gradient are 0, and the mean is over the
    others; torch's default is -100. Raises ValueError for one-hot rows, for labels that are not integers and for the
    first other label outside [0, K). In a traced step there are no values to read: there such a label belongs to no
    class.

    Examples
    --------
    >>> import numpy as np
    >>> import dlarray
    >>> loss = dlarray.SparseCategoricalCrossEntropy()
    >>> value, saved = loss.forward(np.asarray([[2.0, 0.0, 0.0]]), np.asarray([0]))
    >>> print(value.round(4), loss.backward(saved).round(4))  # dz = softmax(z) - one-hot(t)
    0.2395 [[-0.213   0.1065  0.1065]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("sparse_cross_entropy",)
    targets_are_labels: ClassVar[bool] = True
    ignore_index: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore_index is not None:
            whole("ignore_index", self.ignore_index, -(2**31), 2**31 - 1)

    def counts(self, t: Array) -> Array | None:
        return None if self.ignore_index is None else t != self.ignore_index

    def encode(self, z: Array, t: Array) -> Array:
        rows = super().encode(z, t)
        if (counts := self.counts(t)) is not None:
            xp = array_namespace(rows)
            rows *= xp.astype(xp.reshape(counts, (-1, 1)), rows.dtype)
        return rows

    def term_weights(self, t: Array) -> Array | None:
        """An ignored example has a row of zeros."""
        if self.ignore_index is None or self.class_weight is not None:
            return super().term_weights(t)
        return array_namespace(t).sum(t, axis=-1, keepdims=True)

    def check_values(self, t: Array, outputs: int) -> None:
        counts = self.counts(t)
        super().check_values(t if counts is None else array_namespace(t).where(counts, t, 0), outputs)

    def slopes_of_logits(self, saved: Any) -> Array:
        (log_q, t), xp = saved, array_namespace(*saved)
        return t * xp.expm1(log_q) + xp.exp(log_q) * (1 - t)

    def example_weights(self, t: Array, weight: Array | None, dtype: Any) -> Array | None:
        counts = self.counts(t)
        if (self.class_weight is None and counts is None) or self.reduction == "sum":
            return weight
        xp = array_namespace(t)
        dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
        w = xp.astype(xp.ones_like(t) if counts is None else counts, dtype)
        if self.class_weight is not None:
            w = w * xp.take(self._by_class(t, dtype), t if counts is None else xp.where(counts, t, 0), axis=0)
        return w if weight is None else w * weight


@dataclass(frozen=True)
class KLDivergence(_Distribution):
    """l = Σ p (log p - log q) over the classes,  dq = -p / q,  with q = softmax z:  dz = q - p.

    The divergence of the outputs' distribution q from the targets' distribution p; 0 if they are equal. A class with
    p = 0 adds nothing; from probabilities, one with q = 0 < p makes the divergence +inf and its slope -inf.
    Source: Kullback and Leibler 1951; torch's KLDivLoss("batchmean"), which takes log q.
    """

    aliases: ClassVar[tuple[str, ...]] = ("kl", "kld")

    def terms_of_logits(self, z: Array, t: Array) -> tuple[Array, Any]:
        log_q = LogSoftmax().predict(z)
        return _expectation(t, _log(t, 0.0) - log_q), (log_q, t)

    def terms_of_predictions(self, y: Array, t: Array) -> tuple[Array, Any]:
        return _expectation(t, _log(t, 0.0) - _log(y, float("-inf"))), (y, t)

    def slopes_of_predictions(self, saved: Any) -> Array:
        (q, p), xp = saved, array_namespace(*saved)
        return xp.where((q == 0) & (p > 0), float("-inf"), -p / xp.where(q == 0, 1.0, q))


def _expectation(p: Array, x: Array) -> Array:
    """Σ p x over each row, as a column. A term with p = 0 is 0, even for an infinite x."""
    xp = array_namespace(p)
    return xp.sum(p * xp.where(p == 0, 0.0, x), axis=-1, keepdims=True)


def _log(p: Array, at_zero: float) -> Array:
    """log p, with the given value at p = 0."""
    xp = array_namespace(p)
    return xp.where(p == 0, at_zero, xp.log(xp.where(p == 0, 1.0, p)))
