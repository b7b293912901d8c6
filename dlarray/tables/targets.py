"""What is to be told from a table: classes by their names, or a number. Kept as data beside the model."""

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
from dlarray.tables.columns import standard
from dlarray.tables.conversion import NUMBERS, TEXT, TRUTHS, codes, numbers, present
from dlarray.tables.numerals import mark
from dlarray.tables.reading import Cells
from dlarray.tables.values import is_text, polars, words

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Classes", "Quantity", "Target"]

MOST = 1000  # classes, at the most
WHOLE = r"-?[1-9]\d*|0"
RARE = 0.1  # a class is rare where it has less than this share of the most frequent one's rows


@dataclass(frozen=True)
class Target(ABC):
    """The column that is told, by ``name``."""

    abstract: ClassVar[bool] = True
    task: ClassVar[str]
    best: ClassVar[str]

    name: str

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many outputs a model needs for it."""

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss that a model is trained with."""

    @abstractmethod
    def there(self, values: pl.Series) -> pl.Series:
        """Which rows have a target."""

    @abstractmethod
    def on(self, training: Cells) -> Target:
        """The target with the numbers that the training part alone may teach."""

    @abstractmethod
    def encode(self, values: pl.Series) -> np.ndarray:
        """The column as a loss wants it, each value alone. Raises ValueError for values that it cannot be."""

    @abstractmethod
    def answers(self, y: np.ndarray) -> pl.DataFrame:
        """A model's predictions as a table: ``prediction``, and what belongs to it."""

    @abstractmethod
    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """How good predictions y are beside the encoded truth t, the figure that counts first."""

    @abstractmethod
    def guess(self, t: np.ndarray, rows: int) -> np.ndarray:
        """What one who knows the training's targets t alone would predict for so many rows."""

    @abstractmethod
    def story(self) -> str:
        """What is told, in words."""

    def as_data(self) -> dict[str, Any]:
        """The target as JSON-ready data."""
        return {"kind": spelling(type(self)), **asdict(self)}

    @staticmethod
    def from_data(data: dict[str, Any]) -> Target:
        """What ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
        fields = dict(data)
        known: dict[str, Any] = {**classes(Target)}
        kind = fields.pop("kind", None)
        if kind not in known:
            raise ValueError(f"unknown kind of target {kind!r}")
        if not isinstance(fields.get("name"), str):
            raise TypeError(f"the target must have a name, got {fields.get('name')!r}")
        return known[kind](**fields)


@dataclass(frozen=True)
class Classes(Target):
    """One of ``labels``, which come back as they were: text of a file as it is written there, whole numbers, booleans.

    Labels ``of`` another kind than text are also known by their value: 1.50 is 1.5.
    """

    task: ClassVar[str] = "classification"
    best: ClassVar[str] = "accuracy"

    labels: tuple[str, ...] | tuple[int, ...]
    of: str = TEXT
    decimal: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        mark(self.decimal)
        if not (len({type(label) for label in self.labels}) == 1 and isinstance(self.labels[0], (str, int))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"labels are words or whole numbers, got {self.labels!r}")

    @classmethod
    def learn(cls, values: pl.Series | Cells) -> Classes:
        """The classes in a column. Raises ValueError where there are fewer than two of them, or too many."""
        pl = polars()
        cells = Cells.of(values)
        found = pl.DataFrame({"value": cells.typed, "word": cells.words}).drop_nulls().unique("word").sort("value")
        labels: list[Any] = found["word"].to_list()
        if cells.kind == NUMBERS and all(re.fullmatch(WHOLE, label) for label in labels):
            labels = [int(label) for label in labels]
        elif cells.kind == TRUTHS and not is_text(cells.raw):
            labels = found["value"].to_list()
        if len(labels) < 2:
            raise ValueError(f"the target {values.name!r} is {labels[0]!r} in every row: there is nothing to learn")
        if len(labels) > MOST:
            remedy = "it may be an identifier, or a number: --task regression, task='regression'"
            raise ValueError(f"the target {values.name!r} has {len(labels):,} different values: {remedy}")
        return cls(values.name, tuple(labels), cells.kind, cells.decimal)

    @property
    def words(self) -> tuple[str, ...]:
        """The labels as text."""
        return tuple(str(label).lower() if isinstance(label, bool) else str(label) for label in self.labels)

    @property
    def outputs(self) -> int:
        return len(self.labels)

    @property
    def loss(self) -> Loss:
        return SparseCategoricalCrossEntropy()

    def there(self, values: pl.Series) -> pl.Series:
        return present(values, self.of, self.decimal)

    def on(self, training: Cells) -> Classes:
        return self

    def encode(self, values: pl.Series) -> np.ndarray:
        found = codes(values, self.words, self.of, self.decimal).fill_null(-1)
        if len(strange := values.filter(found < 0)):
            strange = words(strange)[0]
            hint = did_you_mean(strange, self.words)
            raise ValueError(f"the target {self.name!r} holds {strange!r}, which is no class of this model{hint}")
        return found.to_numpy()

    def answers(self, y: np.ndarray) -> pl.DataFrame:
        """``prediction`` is the most probable label; a column ``p(label)`` for each of them is its probability."""
        pl = polars()
        told = pl.Series("prediction", list(self.labels)).gather(np.argmax(y, axis=1).astype(np.uint32))
        return pl.DataFrame([told, *(pl.Series(f"p({w})", y[:, i]) for i, w in enumerate(self.words))])

    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        shares = np.asarray(metrics.recall(t, y, average=None))
        met = np.bincount(t, minlength=self.outputs) > 0
        return {
            "accuracy": float(metrics.accuracy(t, y)),
            "balanced_accuracy": float(np.mean(shares[met])),
            "log_loss": float(metrics.log_loss(t, y)),
        }

    def guess(self, t: np.ndarray, rows: int) -> np.ndarray:
        """The share of each class in training, the most frequent one first among equals."""
        shares = np.bincount(t, minlength=self.outputs) / len(t)
        return np.tile(shares.astype(np.float32), (rows, 1))

    def story(self) -> str:
        shown = ", ".join(self.words[:6]) + (", …" if self.outputs > 6 else "")
        return f"classification of {self.name}: {self.outputs} classes ({shown})"

    def imbalance(self, t: np.ndarray) -> str:
        """Words about a class that is rare beside the most frequent one; "" where none is."""
        counts = np.bincount(t, minlength=self.outputs)
        if counts.min() >= RARE * counts.max():
            return ""
        rare, common = self.words[int(counts.argmin())], self.words[int(counts.argmax())]
        return (
            f"classes are imbalanced: {common!r} has {counts.max():,} rows, {rare!r} {counts.min():,}; balanced "
            "accuracy says more than accuracy here, and --balanced gives every class the same weight"
        )


@dataclass(frozen=True)
class Quantity(Target):
    """A number, trained as (t - μ) / σ and told as it is. ``decimal`` is the decimal mark of numbers that are text."""

    task: ClassVar[str] = "regression"
    best: ClassVar[str] = "r2"

    mean: float
    scale: float
    decimal: str | None = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        mark(self.decimal)
        finite("mean", self.mean)
        positive("scale", self.scale)

    @classmethod
    def learn(cls, values: pl.Series | Cells) -> Quantity:
        """Mean and deviation of a column. Raises ValueError where it is no number, or always the same."""
        pl = polars()
        cells = Cells.of(values)
        values = cells.typed
        if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Duration)):
            raise ValueError(f"the target {values.name!r} is of type {values.dtype}: regression needs numbers")
        t = numbers(values)
        t = t[~np.isnan(t)]
        if t.min() == t.max():
            raise ValueError(f"the target {values.name!r} is {t[0]:g} in every row: there is nothing to learn")
        return cls(values.name, *standard(t), cells.decimal)

    @property
    def outputs(self) -> int:
        return 1

    @property
    def loss(self) -> Loss:
        return MeanSquaredError()

    def there(self, values: pl.Series) -> pl.Series:
        return present(values, NUMBERS, self.decimal)

    def on(self, training: Cells) -> Quantity:
        return Quantity.learn(training)

    def encode(self, values: pl.Series) -> np.ndarray:
        t = numbers(values, self.decimal)
        if np.isnan(t).any():
            raise ValueError(f"the target {self.name!r} holds values that are no numbers")
        return ((t - self.mean) / self.scale).astype(np.float32)

    def answers(self, y: np.ndarray) -> pl.DataFrame:
        return polars().DataFrame({"prediction": self._told(y)})

    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """R², and the errors in the target's own unit."""
        truth, told = self._told(t), self._told(y)
        return {
            "r2": float(metrics.r2(truth, told)) if np.ptp(truth) > 0 else float("nan"),
            "rmse": float(metrics.root_mean_squared_error(truth, told)),
            "mae": float(metrics.mean_absolute_error(truth, told)),
        }

    def guess(self, t: np.ndarray, rows: int) -> np.ndarray:
        """The mean of the training's targets."""
        return np.full(rows, np.mean(t, dtype=np.float64))

    def story(self) -> str:
        return f"regression of {self.name}: mean {self.mean:.4g}, deviation {self.scale:.4g}"

    def _told(self, y: np.ndarray) -> np.ndarray:
        return self.mean + self.scale * np.asarray(y, dtype=np.float64).reshape(-1)
