"""The interface of every loss, and what all of them share: checks of targets, weights of examples.

    value, saved = loss.forward(z, t, weight=None)     z the model's outputs, t the targets, both (n, outputs)
    dz           = loss.backward(saved)                dL/dz
    y            = loss.output_activation.predict(z)   outputs turned into predictions

A loss is a frozen dataclass: it holds configuration and no arrays.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, Literal, Self

from dlarray.activations import Identity
from dlarray.core.array import Array, array_namespace, fits, is_array, is_floating, is_known, one_hot, size
from dlarray.core.keywords import WithSynonyms
from dlarray.core.layer import Activation, Shape
from dlarray.losses.values import check_label_shape, check_labels, refuse
from dlarray.losses.weights import largest

__all__ = ["Loss", "Reduction"]

Reduction = Literal["mean", "sum", "none"]
"""How terms become a loss: their weighted mean, their sum, or no number but the terms."""


class Loss(WithSynonyms):
    """The distance of outputs from targets as one number, and the gradient of that number.

    Targets have the outputs' shape and are cast to the outputs' dtype, or are class labels (``targets_are_labels``).
    Raises ValueError if shapes or dtypes do not fit, if the batch is empty, and for the first target with a value that
    the loss cannot use, such as a label outside [0, K); TypeError for masked arrays. While a step is traced there are
    no values to read: ``check_targets`` reads them before. On an accelerator reading waits for the device, so a step
    whose targets have been checked uses the loss ``unchecked``.

    A subclass defines ``forward`` and ``backward``, and sets what differs from the defaults below. For a loss that is a
    sum of terms, ``SumOfTerms`` has the rest.
    """

    abstract: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ()
    task: ClassVar[Literal["regression", "binary", "multiclass"]] = "regression"
    """What is predicted: numbers; yes or no by each output; or one class by all outputs of a row."""

    threshold: ClassVar[float] = 0.5
    """In a binary task, a prediction above it is a yes."""

    targets_are_labels: ClassVar[bool] = False
    """Whether targets are class labels: integers (n,) in [0, outputs), which the formula gets as one-hot rows."""

    additive: ClassVar[bool] = False
    """Whether L is a sum or a weighted mean over examples. Then ``fit(accumulate=…)`` may compute a batch in parts."""

    reduction: Reduction = "mean"
    """How terms become L: "mean" divides by Σ w, "sum" does not, "none" returns the terms, which cannot be trained."""

    _reads: ClassVar[bool] = True
    """Whether ``forward`` reads the values of targets."""

    @property
    def output_activation(self) -> Activation:
        """The activation that turns the model's outputs z into predictions."""
        return Identity()

    def forward(self, z: Array, t: Array, weight: Array | None = None) -> tuple[Array, Any]:
        """(L, saved). ``weight`` holds one number per example, (n,); a mean divides by their sum."""
        raise NotImplementedError

    def backward(self, saved: Any, /) -> Array:
        """dL/dz, of the shape of z."""
        raise NotImplementedError

    def target_columns(self, outputs: int) -> int:
        """The number of targets of each example for this many outputs; labels are one column."""
        return outputs

    def point(self, y: Array) -> Array:
        """Of predictions, those that metrics compare with the targets."""
        return y

    def example_weights(self, t: Array, weight: Array | None, dtype: Any) -> Array | None:
        """The weight of each example in a batch's mean, (n,), including the weight of its class; None if all are 1.

        Without ``weight`` it is None for all batches or for none.
        ``dtype`` is the dtype of class weights, or its name.
        """
        return weight

    def combine(self, values: Array, weights: Array) -> Array:
        """The loss of several batches together, from the loss and the Σ w of each: Σ w L / Σ w, 0 if all w are 0."""
        w = weights / largest(weights)  # Σ w may overflow
        total = array_namespace(w).sum(w)
        return array_namespace(values).sum(values * w) / array_namespace(w).where(total == 0, 1.0, total)

    def unchecked(self) -> Self:
        """The same loss, whose ``forward`` reads no values: for steps whose targets have been checked already."""
        same = copy(self)
        object.__setattr__(same, "_reads", False)
        return same

    def check_targets(self, t: Array, outputs: int) -> None:
        """Check the values of targets, once, before they train a model with this many outputs.

        Raises ValueError that names the first bad value, its row and the remedy; TypeError for an array of objects.
        """
        self._check_form((*t.shape[:1], outputs), t)
        if is_floating(t):
            xp = array_namespace(t)
            refuse(self._name, t, ~xp.isfinite(t), "targets must be finite", "drop or fill these examples")
        self.check_values(t, outputs)
        self.check_rows(t)

    def prepare(self, z: Array, t: Array) -> Array:
        """The targets as the formula takes them, in the outputs' dtype. ``forward`` calls it first.

        Raises as the class does for outputs and targets that do not fit.
        """
        if not is_array(t):
            raise TypeError(f"{self._name}: targets must be an array, got {type(t).__name__}")
        array_namespace(z, t)  # of one library
        if not is_floating(z):
            raise ValueError(f"{self._name}: outputs must be real floating-point numbers, got {z.dtype}")
        self._check_form(tuple(z.shape), t)
        if self._reads:
            self.check_values(t, int(z.shape[-1]))
        return self.encode(z, t)

    def encode(self, z: Array, t: Array) -> Array:
        """Checked targets in the outputs' dtype; labels become one-hot rows."""
        if self.targets_are_labels:
            return one_hot(t, z.shape[1], z.dtype)
        return array_namespace(t).astype(t, z.dtype, copy=False)

    def check_outputs(self, shape: Shape) -> None:
        """Raise ValueError if outputs cannot have this shape."""
        if not shape:
            raise ValueError(f"{self._name}: outputs must be (n, outputs), got a single number")

    def check_shapes(self, shape: Shape, t: Array) -> None:
        """Raise ValueError if these targets do not fit outputs of this shape."""
        if self.targets_are_labels:
            check_label_shape(self._name, shape, t)
        elif not fits(given := tuple(t.shape), shape):
            known = is_known((*given, *shape))
            remedy = f"; reshape the targets to {shape}" if known and size(given) == size(shape) else ""
            raise ValueError(f"{self._name}: targets of shape {given} do not match outputs of shape {shape}{remedy}")

    def check_values(self, t: Array, outputs: int) -> None:
        """Raise ValueError if a finite target of the right shape has a value that this loss cannot use."""
        if self.targets_are_labels:
            check_labels(self._name, t, outputs, "number the classes from 0 and give the model one output for each")

    def counts(self, t: Array) -> Array | None:
        """Whether each example counts, (n,) of booleans, by its target; None if all do."""
        return None

    def check_rows(self, t: Array) -> None:
        """Raise ValueError if a row of targets cannot be trained on although each of its values can."""

    def _check_form(self, shape: Shape, t: Array) -> None:
        """Raise if outputs of this shape, or targets of this shape and dtype, cannot be right."""
        if not array_namespace(t).isdtype(t.dtype, ("bool", "integral", "real floating")):
            kind = TypeError if str(t.dtype) == "object" else ValueError
            raise kind(f"{self._name}: targets must be real numbers, got {t.dtype}")
        self.check_outputs(shape)
        self.check_shapes(shape, t)

    def refuse_empty(self, z: Array) -> None:
        """Raise ValueError if there are no outputs to take a mean of."""
        if 0 in tuple(z.shape):
            raise ValueError(f"{self._name}: an empty batch, outputs of shape {tuple(z.shape)}, has no mean")

    def weight_column(self, z: Array, weight: Array) -> Array:
        """The examples' weights in z's dtype, shaped to multiply z row by row."""
        xp, n = array_namespace(z, weight), z.shape[0]
        if not fits(tuple(weight.shape), (n,)):
            raise ValueError(
                f"{self._name}: weight must hold one number per example, shape ({n},), got {tuple(weight.shape)}"
            )
        return xp.reshape(xp.astype(weight, z.dtype, copy=False), (-1, *[1] * (z.ndim - 1)))

    @property
    def _name(self) -> str:
        return type(self).__name__
