"""Labels to numbers and back: what the classes are, what the network trains towards, what its outputs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from scipy import sparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import type_of_target, unique_labels

from dlarray.core.array import Array, array_namespace, largest_column
from dlarray.losses import Loss
from dlarray.losses.values import plain_weights
from dlarray.training.class_weight import class_weights

__all__ = ["Labels", "check_known", "check_same", "weights_by_class"]


class Labels:
    """The classes of a classifier, by the labels it was given.

    ``kind`` is scikit-learn's word for them: "binary", "multiclass", "multilabel-indicator".
    """

    def __init__(self, y: Any) -> None:
        self.binarizer = LabelBinarizer().fit(y)
        self.kind: str = self.binarizer.y_type_
        self.classes: np.ndarray = self.binarizer.classes_
        self.sparse: bool = self.binarizer.sparse_input_

    @classmethod
    def of_classes(cls, y: Any, classes: Any) -> Labels:
        """The classes where y is only a part of what will come: those told, or the columns of several labels."""
        return cls(y if type_of_target(y).startswith("multilabel") else classes)

    def columns(self, loss: Loss) -> int:
        """The number of outputs: one for a yes or no, unless the loss chooses one of a row."""
        if self.kind == "binary":
            return 2 if loss.task == "multiclass" else 1
        return len(self.classes)

    def encode(self, y: Any, loss: Loss) -> np.ndarray:
        """Targets (n, outputs) of 0 and 1; whole numbers (n,) for the loss that wants these."""
        rows: np.ndarray = self.binarizer.transform(y)
        if self.kind == "binary" and loss.task == "multiclass":
            rows = np.hstack([1 - rows, rows])
        return np.argmax(rows, axis=1).astype(np.int32) if loss.targets_are_labels else rows

    def predict(self, z: Array, loss: Loss) -> Array:
        """What outputs say: the number of a class of each example, (n,) int32; of several labels a row of 0 and 1."""
        xp = array_namespace(z)
        y = loss.output_activation.predict(z)
        if z.shape[1] > 1 and self.kind != "multilabel-indicator":
            return xp.minimum(largest_column(y), z.shape[1] - 1)  # a row of NaN has no largest number
        yes = xp.astype(y > loss.threshold, xp.int32)
        if self.kind == "multilabel-indicator":
            return yes
        return xp.reshape(yes, (-1,)) * (1 if len(self.classes) > 1 else 0)

    def decode(self, chosen: np.ndarray) -> Any:
        """Labels of the host, as they were given, from what ``chosen`` says."""
        if self.kind != "multilabel-indicator":
            return self.classes[chosen]
        rows = chosen.astype(np.int64)
        return sparse.csr_array(rows) if self.sparse else rows


def check_same(estimator: Any, y: Any) -> None:
    """Raise ValueError where y has not the very classes that training began with."""
    found, known = unique_labels(y), estimator.classes_
    if set(found) != set(known):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
            f"Previously got {known}, `y` has {found}"
        )


def check_known(estimator: Any, y: Any) -> None:
    """Raise ValueError where y has classes that training does not know."""
    known = estimator.classes_
    if strange := sorted(set(unique_labels(y)) - set(known)):
        raise ValueError(f"`y` has classes not in `self.classes_`: {strange}; `self.classes_` has {known}")


def weights_by_class(given: Any, labels: Labels, y: Any, own: np.ndarray | None) -> np.ndarray:
    """What each example counts by its class, (n,), where ``own`` is what it weighs besides: as so many examples.

    ``given`` is "balanced", a mapping from labels, or a number for each class in the order of ``classes_``; of several
    labels "balanced" or one such for each, the factors multiplied. Raises ValueError and TypeError as
    ``dlarray.training.class_weight.weighted`` does, and for a mapping with labels that there are not.
    """
    counts = np.ones(int(y.shape[0])) if own is None else own
    if labels.kind != "multilabel-indicator":
        index = cast("np.ndarray", np.searchsorted(labels.classes, y))
        return _one_class(given, labels.classes, index, counts)
    columns: np.ndarray = y.toarray() if sparse.issparse(y) else np.asarray(y)
    if isinstance(given, str):
        each = [given] * columns.shape[1]
    elif isinstance(given, Sequence):
        each = list(cast("Sequence[Any]", given))
    else:
        raise ValueError(f"class_weight of several labels must be 'balanced' or a list, one for each, got {given!r}")
    if len(each) != columns.shape[1]:
        raise ValueError(f"class_weight has {len(each)} entries for {columns.shape[1]} labels")
    both = np.arange(2)
    factors = [_one_class(one, both, columns[:, i].astype(int), counts) for i, one in enumerate(each)]
    return np.prod(factors, axis=0)


def _one_class(given: Any, classes: np.ndarray, index: np.ndarray, own: np.ndarray) -> np.ndarray:
    """``weights_by_class`` of examples of one class each, which ``index`` numbers."""
    if isinstance(given, Mapping):  # by label, as scikit-learn reads it
        return np.asarray(plain_weights(compute_class_weight(given, classes=classes, y=classes)))[index]
    return class_weights(given, np.bincount(index, weights=own, minlength=len(classes)))[index]
