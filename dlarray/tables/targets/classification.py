"""Targets that are one of several classes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlarray import metrics
from dlarray.core.array import Array, array_namespace, largest_column
from dlarray.core.check import did_you_mean, fraction
from dlarray.core.text import escape, quote
from dlarray.losses import Loss, SparseCategoricalCrossEntropy
from dlarray.tables.conversion import BOOLEANS, NUMBERS, TEXT, is_present_as, label_indices
from dlarray.tables.reading import Cells
from dlarray.tables.targets.base import Target
from dlarray.tables.values import as_text, is_text, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ClassificationTarget"]

MAX_CLASSES = 1000
INTEGER = r"-?[1-9]\d*|0"
RARE = 0.1  # a class is rare if it has less than this share of the rows of the most frequent class


@dataclass(frozen=True)
class ClassificationTarget(Target):
    """One of several ``labels``. Predictions have them as the training table had: text, integers or booleans.

    Labels whose ``value_kind`` is not text also match by value: 1.50 is 1.5. Of two labels the second is predicted if
    its probability is at least the ``threshold``; without one, the most probable label.
    """

    task: ClassVar[str] = "classification"

    labels: tuple[str, ...] | tuple[int, ...]
    value_kind: str = TEXT
    threshold: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.threshold is not None and fraction("threshold", self.threshold) == 0:
            raise ValueError(f"threshold must lie between 0 and 1, got {self.threshold!r}")
        if self.threshold is not None and len(self.labels) != 2:
            raise ValueError(
                f"a threshold is for two classes, and the target {quote(self.name)} has {len(self.labels)}"
            )
        if not (len({type(label) for label in self.labels}) == 1 and isinstance(self.labels[0], (str, int))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"labels must be text or integers, got {quote(self.labels)}")

    @classmethod
    def fit(cls, values: pl.Series | Cells) -> ClassificationTarget:
        """The classes in a column. Raises ValueError for fewer than two or more than 1,000 of them."""
        pl = polars()
        cells = Cells.of(values)
        found = pl.DataFrame({"value": cells.typed, "text": cells.text}).drop_nulls().unique("text")
        found = found.sort("text" if cells.kind == TEXT else "value")  # of Yes and yes, one is the label
        labels: list[Any] = found["text"].to_list()
        if cells.kind == NUMBERS and all(re.fullmatch(INTEGER, label) for label in labels):
            labels = [int(label) for label in labels]
        elif cells.kind == BOOLEANS and not is_text(cells.raw):
            labels = found["value"].to_list()
        if len(labels) < 2:
            shown = quote(labels[0]) if isinstance(labels[0], str) else labels[0]
            raise ValueError(f"the target {quote(values.name)} is {shown} in every row: there is nothing to learn")
        if len(labels) > MAX_CLASSES:
            remedy = "it may be an identifier, or a number: --task regression (task='regression')"
            raise ValueError(f"the target {quote(values.name)} has {len(labels):,} distinct values: {remedy}")
        return cls(values.name, tuple(labels), cells.kind, format=cells.format)

    @property
    def names(self) -> tuple[str, ...]:
        """The labels as text."""
        return tuple(str(label).lower() if isinstance(label, bool) else str(label) for label in self.labels)

    @property
    def outputs(self) -> int:
        return len(self.labels)

    @property
    def loss(self) -> Loss:
        return SparseCategoricalCrossEntropy()

    @property
    def description(self) -> str:
        shown = ", ".join(map(escape, self.names[:6])) + (", …" if self.outputs > 6 else "")
        return f"classification of {escape(self.name)}, {self.outputs} classes: {shown}"

    def is_present(self, values: pl.Series) -> pl.Series:
        return is_present_as(values, self.value_kind, self.format)

    def refit(self, training: Cells) -> ClassificationTarget:
        return self

    def encode(self, values: pl.Series) -> np.ndarray:
        found = label_indices(values, self.names, self.value_kind, self.format).fill_null(-1)
        if len(unknown := values.filter(found < 0)):
            label = as_text(unknown, self.format)[0]
            hint = did_you_mean(label, self.names)
            raise ValueError(
                f"the target {quote(self.name)} holds {quote(label)}, which is no class of this model{hint}"
            )
        return found.to_numpy()

    def predictions(self, y: np.ndarray) -> pl.DataFrame:
        """``prediction`` is the label that is chosen; a column ``p(label)`` for each label is its probability."""
        pl = polars()
        chosen = pl.Series("prediction", list(self.labels)).gather(self.choose(y).astype(np.uint32))
        return pl.DataFrame([chosen, *(pl.Series(f"p({name})", y[:, i]) for i, name in enumerate(self.names))])

    def choose(self, y: Array) -> Array:
        """The number of the label that is predicted for each row of probabilities, (rows,)."""
        xp = array_namespace(y)
        if self.threshold is not None:
            return xp.astype(y[:, 1] >= self.threshold, xp.int32)
        return xp.minimum(largest_column(y), self.outputs - 1)  # a row of NaN has no largest number

    def losses(self, t: np.ndarray, y: np.ndarray) -> np.ndarray:
        return -np.log(np.maximum(y[np.arange(len(t)), t], np.finfo(np.float32).tiny))

    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """Accuracy, balanced accuracy (the mean recall), log loss, and the area under the ROC curve (``auc``)."""
        chosen = self.choose(y)
        recalls = np.asarray(metrics.recall(t, chosen, average=None, classes=self.outputs))
        present = np.bincount(t, minlength=self.outputs) > 0
        right = np.asarray(chosen == t)
        return {
            "accuracy": float(np.mean(right)),
            "balanced_accuracy": float(np.mean(recalls[present])),
            "log_loss": float(metrics.log_loss(t, y)),
            "auc": float(metrics.roc_auc(t, y.astype(np.float64))) if np.sum(present) > 1 else float("nan"),
        }

    def baseline(self, t: np.ndarray, rows: int) -> np.ndarray:
        """The frequency of each class in the training part."""
        frequencies = np.bincount(t, minlength=self.outputs) / len(t)
        return np.tile(frequencies.astype(np.float32), (rows, 1))

    def imbalance(self, t: np.ndarray) -> str:
        """A message if a class is rare compared with the most frequent one, else ""."""
        return self.imbalance_of(np.bincount(t, minlength=self.outputs))

    def imbalance_of(self, counts: np.ndarray) -> str:
        """The same from the number of rows of each class."""
        if counts.min() >= RARE * counts.max():
            return ""
        rare, common = self.names[int(counts.argmin())], self.names[int(counts.argmax())]
        return (
            f"classes are imbalanced: {quote(common)} has {counts.max():,} rows, {quote(rare)} has {counts.min():,}; "
            "look at balanced accuracy rather than accuracy, or weight the classes equally with --balanced"
        )
