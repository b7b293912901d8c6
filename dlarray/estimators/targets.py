"""Labels as targets, and outputs as labels; class weights."""

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
from dlarray.training.trained import Trained

__all__ = ["Labels", "check_known", "check_same", "weights_by_class"]


class Labels:
    """The classes of a classifier, from the labels of training.

    ``kind`` is scikit-learn's type of target: "binary", "multiclass", "multilabel-indicator".
    """

    def __init__(self, y: Any) -> None:
        if (
            type(y) is np.ndarray
            and y.ndim == 1
            and y.dtype.kind in "biuU"
            and 2 * len(found := np.unique(y)) <= len(y)
        ):
            y = np.concatenate([found, found])  # the same classes; scikit-learn sorts the labels several times
        self.binarizer = LabelBinarizer().fit(y)
        self.kind: str = self.binarizer.y_type_
        self.classes: np.ndarray = self.binarizer.classes_
        self.sparse: bool = self.binarizer.sparse_input_

    @classmethod
    def of_classes(cls, y: Any, classes: Any) -> Labels:
        """The classes if y is only a part of the data: those given, or the columns of several labels."""
        return cls(y if type_of_target(y).startswith("multilabel") else classes)

    @classmethod
    def of_trained(cls, trained: Trained, classes: Any) -> Labels:
        """The given classes of a trained model, or 0, 1, …; with a binary loss several outputs are then several labels.

        Raises ValueError unless they are sorted, different, and as many as the model distinguishes.
        """
        outputs = trained.model.outputs
        if classes is None and outputs > 1 and trained.loss.task == "binary":
            return cls(np.eye(outputs, dtype=int))
        count = max(outputs, 2)
        known = np.arange(count) if classes is None else np.asarray(classes)
        if known.shape != (count,) or not np.array_equal(known, np.unique(known)):
            raise ValueError(
                f"classes must hold {count} different labels in ascending order, one for each class of the model, got "
                f"{classes!r}: scikit-learn's classes_ are sorted, so number the classes in this order for training"
            )
        return cls(known)

    def columns(self, loss: Loss) -> int:
        """The number of outputs: one for two classes, unless the loss is multiclass."""
        if self.kind == "binary":
            return 2 if loss.task == "multiclass" else 1
        return len(self.classes)

    def encode(self, y: Any, loss: Loss, index: np.ndarray | None) -> np.ndarray:
        """Targets (n, outputs) of 0 and 1; class indices (n,) for a loss that needs them. ``index`` is ``index(y)``."""
        if index is not None and loss.targets_are_labels:
            return index.astype(np.int32)
        rows: np.ndarray = self.binarizer.transform(y) if index is None else self._rows(index)
        if self.kind == "binary" and loss.task == "multiclass":
            rows = np.hstack([1 - rows, rows])
        return np.argmax(rows, axis=1).astype(np.int32) if loss.targets_are_labels else rows

    def index(self, y: Any) -> np.ndarray | None:
        """The number of each label's class, (n,); None if only scikit-learn can tell, or if a label is unknown."""
        if self.kind == "multilabel-indicator" or type(y) is not np.ndarray or y.ndim != 1:
            return None
        if y.dtype.kind not in "biufU" or y.dtype.kind != self.classes.dtype.kind:
            return None
        index = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
        return index if bool((self.classes[index] == y).all()) else None

    def _rows(self, index: np.ndarray) -> np.ndarray:
        """Rows of 0 and 1 from numbers of classes: one column for two classes."""
        if self.kind == "binary":
            return (index == 1).astype(np.int64).reshape(-1, 1)
        return (index.reshape(-1, 1) == np.arange(len(self.classes))).astype(np.int64)

    def chosen(self, y: Array, loss: Loss) -> Array:
        """The class index of each example's prediction, (n,); for several labels rows of 0 and 1."""
        xp = array_namespace(y)
        if y.shape[1] > 1 and self.kind != "multilabel-indicator":
            if type(y) is np.ndarray:
                return np.argmax(y, axis=1)
            return xp.minimum(largest_column(y), y.shape[1] - 1)  # a row of NaN has no largest number
        yes = xp.astype(y > loss.threshold, xp.int32)
        if self.kind == "multilabel-indicator":
            return yes
        return xp.reshape(yes, (-1,)) * (1 if len(self.classes) > 1 else 0)

    def decode(self, chosen: np.ndarray) -> Any:
        """The labels, on the host and in their original form, from what ``chosen`` returns."""
        if self.kind != "multilabel-indicator":
            return self.classes[chosen]
        rows = chosen.astype(np.int64)
        return sparse.csr_array(rows) if self.sparse else rows


def check_same(estimator: Any, y: Any) -> None:
    """Raise ValueError unless y has exactly the classes of training."""
    index = estimator._labels.index(y)
    if index is not None and len(np.unique(index)) == len(estimator.classes_):
        return
    found, known = unique_labels(y), estimator.classes_
    if set(found) != set(known):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
            f"Previously got {known}, `y` has {found}"
        )


def check_known(estimator: Any, y: Any) -> None:
    """Raise ValueError if y has classes that are unknown in training."""
    known = estimator.classes_
    if strange := sorted(set(unique_labels(y)) - set(known)):
        raise ValueError(f"`y` has classes not in `self.classes_`: {strange}; `self.classes_` has {known}")


def weights_by_class(given: Any, labels: Labels, y: Any, own: np.ndarray | None) -> np.ndarray:
    """The class weight of each example, (n,). ``own`` are the other weights, by which "balanced" counts examples.

    ``given`` is "balanced", a mapping from labels, or a number for each class in the order of ``classes_``. For several
    labels it is "balanced" or a list with one of these for each label; their weights are multiplied. Raises ValueError
    and TypeError as ``dlarray.training.class_weight.apply_class_weight`` does, and for a mapping with unknown labels.
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
        raise ValueError(f"class_weight for several labels must be 'balanced' or a list, one for each, got {given!r}")
    if len(each) != columns.shape[1]:
        raise ValueError(f"class_weight has {len(each)} entries for {columns.shape[1]} labels")
    both = np.arange(2)
    factors = [_one_class(one, both, columns[:, i].astype(int), counts) for i, one in enumerate(each)]
    return np.prod(factors, axis=0)


def _one_class(given: Any, classes: np.ndarray, index: np.ndarray, own: np.ndarray) -> np.ndarray:
    """``weights_by_class`` for one class per example; ``index`` is its number."""
    if isinstance(given, Mapping):  # by label, as in scikit-learn
        return np.asarray(plain_weights(compute_class_weight(given, classes=classes, y=classes)))[index]
    return class_weights(given, np.bincount(index, weights=own, minlength=len(classes)))[index]
