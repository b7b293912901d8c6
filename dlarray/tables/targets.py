"""The target of a table model: a class or a number. Saved as data with the model."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlarray import metrics
from dlarray.core.check import did_you_mean, finite, plain_numbers, positive
from dlarray.core.registry import classes, spelling
from dlarray.losses import Loss, MeanSquaredError, SparseCategoricalCrossEntropy
from dlarray.tables.conversion import BOOLEANS, NUMBERS, TEXT, is_present_as, label_indices, numbers
from dlarray.tables.numerals import check_decimal
from dlarray.tables.reading import Cells
from dlarray.tables.scaling import mean_and_deviation
from dlarray.tables.values import as_text, is_text, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ClassificationTarget", "RegressionTarget", "Target"]

MAX_CLASSES = 1000
INTEGER = r"-?[1-9]\d*|0"
RARE = 0.1  # a class is rare if it has less than this share of the rows of the most frequent class


@dataclass(frozen=True)
class Target(ABC):
    """The column to predict, by ``name``."""

    abstract: ClassVar[bool] = True
    task: ClassVar[str]

    name: str

    @property
    @abstractmethod
    def outputs(self) -> int:
        """The number of outputs that a model needs for it."""

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss that a model is trained with."""

    @property
    @abstractmethod
    def description(self) -> str:
        """The task in words."""

    @abstractmethod
    def is_present(self, values: pl.Series) -> pl.Series:
        """Whether each row has a target."""

    @abstractmethod
    def refit(self, training: Cells) -> Target:
        """The target with its statistics from the training part alone."""

    @abstractmethod
    def encode(self, values: pl.Series) -> np.ndarray:
        """The targets as a loss takes them, each value alone. Raises ValueError for values that do not fit."""

    @abstractmethod
    def predictions(self, y: np.ndarray) -> pl.DataFrame:
        """A model's outputs as a table: ``prediction``, and what belongs to it."""

    @abstractmethod
    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """The metrics of the outputs y for encoded targets t; the most important comes first."""

    @abstractmethod
    def baseline(self, t: np.ndarray, rows: int) -> np.ndarray:
        """The same output for every row: the best constant, given the encoded targets t of the training part."""

    def as_data(self) -> dict[str, Any]:
        """The target as JSON-ready data."""
        return {"kind": spelling(type(self)), **asdict(self)}

    @staticmethod
    def from_data(data: dict[str, Any]) -> Target:
        """The target that ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
        fields = dict(data)
        known: dict[str, Any] = {**classes(Target)}
        kind = fields.pop("kind", None)
        if kind not in known:
            raise ValueError(f"unknown kind of target {kind!r}")
        if not isinstance(fields.get("name"), str):
            raise TypeError(f"the target must have a name, got {fields.get('name')!r}")
        return known[kind](**fields)


@dataclass(frozen=True)
class ClassificationTarget(Target):
    """One of several ``labels``. Predictions have them as the training table had: text, integers or booleans.

    Labels whose ``value_kind`` is not text also match by value: 1.50 is 1.5.
    """

    task: ClassVar[str] = "classification"

    labels: tuple[str, ...] | tuple[int, ...]
    value_kind: str = TEXT
    decimal: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        check_decimal(self.decimal)
        if not (len({type(label) for label in self.labels}) == 1 and isinstance(self.labels[0], (str, int))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"labels must be text or integers, got {self.labels!r}")

    @classmethod
    def fit(cls, values: pl.Series | Cells) -> ClassificationTarget:
        """The classes in a column. Raises ValueError for fewer than two or more than 1,000 of them."""
        pl = polars()
        cells = Cells.of(values)
        found = pl.DataFrame({"value": cells.typed, "text": cells.text}).drop_nulls().unique("text").sort("value")
        labels: list[Any] = found["text"].to_list()
        if cells.kind == NUMBERS and all(re.fullmatch(INTEGER, label) for label in labels):
            labels = [int(label) for label in labels]
        elif cells.kind == BOOLEANS and not is_text(cells.raw):
            labels = found["value"].to_list()
        if len(labels) < 2:
            raise ValueError(f"the target {values.name!r} is {labels[0]!r} in every row: there is nothing to learn")
        if len(labels) > MAX_CLASSES:
            remedy = "it may be an identifier, or a number: --task regression (task='regression')"
            raise ValueError(f"the target {values.name!r} has {len(labels):,} distinct values: {remedy}")
        return cls(values.name, tuple(labels), cells.kind, cells.decimal)

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
        shown = ", ".join(self.names[:6]) + (", …" if self.outputs > 6 else "")
        return f"classification of {self.name}, {self.outputs} classes: {shown}"

    def is_present(self, values: pl.Series) -> pl.Series:
        return is_present_as(values, self.value_kind, self.decimal)

    def refit(self, training: Cells) -> ClassificationTarget:
        return self

    def encode(self, values: pl.Series) -> np.ndarray:
        found = label_indices(values, self.names, self.value_kind, self.decimal).fill_null(-1)
        if len(unknown := values.filter(found < 0)):
            label = as_text(unknown)[0]
            hint = did_you_mean(label, self.names)
            raise ValueError(f"the target {self.name!r} holds {label!r}, which is no class of this model{hint}")
        return found.to_numpy()

    def predictions(self, y: np.ndarray) -> pl.DataFrame:
        """``prediction`` is the most probable label; a column ``p(label)`` for each label is its probability."""
        pl = polars()
        chosen = pl.Series("prediction", list(self.labels)).gather(np.argmax(y, axis=1).astype(np.uint32))
        return pl.DataFrame([chosen, *(pl.Series(f"p({name})", y[:, i]) for i, name in enumerate(self.names))])

    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        recalls = np.asarray(metrics.recall(t, y, average=None))
        present = np.bincount(t, minlength=self.outputs) > 0
        return {
            "accuracy": float(metrics.accuracy(t, y)),
            "balanced_accuracy": float(np.mean(recalls[present])),
            "log_loss": float(metrics.log_loss(t, y)),
        }

    def baseline(self, t: np.ndarray, rows: int) -> np.ndarray:
        """The frequency of each class in the training part."""
        frequencies = np.bincount(t, minlength=self.outputs) / len(t)
        return np.tile(frequencies.astype(np.float32), (rows, 1))

    def imbalance(self, t: np.ndarray) -> str:
        """A message if a class is rare compared with the most frequent one, else ""."""
        counts = np.bincount(t, minlength=self.outputs)
        if counts.min() >= RARE * counts.max():
            return ""
        rare, common = self.names[int(counts.argmin())], self.names[int(counts.argmax())]
        return (
            f"classes are imbalanced: {common!r} has {counts.max():,} rows, {rare!r} has {counts.min():,}; look at "
            "balanced accuracy rather than accuracy, or weight the classes equally with --balanced"
        )


@dataclass(frozen=True)
class RegressionTarget(Target):
    """A number. Training sees (t - μ) / σ, predictions have the target's unit.

    ``decimal`` is the decimal mark of numbers written as text.
    """

    task: ClassVar[str] = "regression"

    mean: float
    scale: float
    decimal: str | None = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_decimal(self.decimal)
        finite("mean", self.mean)
        positive("scale", self.scale)

    @classmethod
    def fit(cls, values: pl.Series | Cells) -> RegressionTarget:
        """Mean and standard deviation of a column. Raises ValueError if it is not numeric or is constant."""
        pl = polars()
        cells = Cells.of(values)
        values = cells.typed
        if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Duration)):
            raise ValueError(f"the target {values.name!r} is of type {values.dtype}: regression needs numbers")
        t = numbers(values)
        t = t[~np.isnan(t)]
        if t.min() == t.max():
            raise ValueError(f"the target {values.name!r} is {t[0]:g} in every row: there is nothing to learn")
        return cls(values.name, *mean_and_deviation(t), cells.decimal)

    @property
    def outputs(self) -> int:
        return 1

    @property
    def loss(self) -> Loss:
        return MeanSquaredError()

    @property
    def description(self) -> str:
        return f"regression of {self.name}, mean {self.mean:.4g}, standard deviation {self.scale:.4g}"

    def is_present(self, values: pl.Series) -> pl.Series:
        return is_present_as(values, NUMBERS, self.decimal)

    def refit(self, training: Cells) -> RegressionTarget:
        return RegressionTarget.fit(training)

    def encode(self, values: pl.Series) -> np.ndarray:
        t = numbers(values, self.decimal)
        if np.isnan(t).any():
            raise ValueError(f"the target {self.name!r} holds values that are not numbers")
        return ((t - self.mean) / self.scale).astype(np.float32)

    def predictions(self, y: np.ndarray) -> pl.DataFrame:
        return polars().DataFrame({"prediction": self._unscale(y)})

    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """R², and the root mean squared and mean absolute error in the target's unit."""
        truth, predicted = self._unscale(t), self._unscale(y)
        return {
            "r2": float(metrics.r2(truth, predicted)) if np.ptp(truth) > 0 else float("nan"),
            "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
            "mae": float(metrics.mean_absolute_error(truth, predicted)),
        }

    def baseline(self, t: np.ndarray, rows: int) -> np.ndarray:
        """The mean of the training part's targets."""
        return np.full(rows, np.mean(t, dtype=np.float64))

    def _unscale(self, y: np.ndarray) -> np.ndarray:
        return self.mean + self.scale * np.asarray(y, dtype=np.float64).reshape(-1)
