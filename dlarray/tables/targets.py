"""What is to be told from a table: classes by their names, or a number. Kept as data beside the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlarray import metrics
from dlarray.check import did_you_mean, finite, one_of, plain_numbers, positive
from dlarray.losses import Loss, MeanSquaredError, SparseCategoricalCrossEntropy
from dlarray.names import classes, spelling
from dlarray.tables.columns import standard
from dlarray.tables.values import numbers, polars, words

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Classes", "Quantity", "Target", "choose_target"]

FEW = 20  # whole numbers with at most so many values are classes
MOST = 1000  # classes, at the most
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
    def on(self, training: pl.Series) -> Target:
        """The target with the numbers that the training part alone may teach."""

    @abstractmethod
    def encode(self, values: pl.Series) -> np.ndarray:
        """The column as a loss wants it. Raises ValueError for values that it cannot be."""

    @abstractmethod
    def answers(self, y: np.ndarray) -> pl.DataFrame:
        """A model's predictions as a table: ``prediction``, and what belongs to it."""

    @abstractmethod
    def figures(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
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
        return known[kind](**fields)


@dataclass(frozen=True)
class Classes(Target):
    """One of ``labels``, which are text, whole numbers or booleans and come back as they were."""

    task: ClassVar[str] = "classification"
    best: ClassVar[str] = "accuracy"

    labels: tuple[str, ...] | tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if not (len({type(label) for label in self.labels}) == 1 and isinstance(self.labels[0], (str, int))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"labels are words or whole numbers, got {self.labels!r}")

    @classmethod
    def learn(cls, values: pl.Series) -> Classes:
        """The classes in a column. Raises ValueError where there are fewer than two of them, or too many."""
        pl = polars()
        known = values.drop_nulls()
        if not (known.dtype.is_integer() or known.dtype == pl.Boolean):
            known = words(known)
            if known.cast(pl.Int64, strict=False).null_count() == 0:  # 1.0 and 2.0 are classes 1 and 2
                known = known.cast(pl.Int64)
        labels = known.unique().sort().to_list()
        if len(labels) < 2:
            raise ValueError(f"the target {values.name!r} is {labels[0]!r} in every row: there is nothing to learn")
        if len(labels) > MOST:
            remedy = "it may be an identifier, or a number: --task regression, task='regression'"
            raise ValueError(f"the target {values.name!r} has {len(labels):,} different values: {remedy}")
        return cls(values.name, tuple(labels))

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

    def on(self, training: pl.Series) -> Classes:
        return self

    def encode(self, values: pl.Series) -> np.ndarray:
        pl = polars()
        text = words(values)
        codes = text.replace_strict({w: i for i, w in enumerate(self.words)}, default=None, return_dtype=pl.Int32)
        if codes.null_count():
            strange = text.filter(codes.is_null())[0]
            hint = did_you_mean(strange, self.words)
            raise ValueError(f"the target {self.name!r} holds {strange!r}, which is no class of this model{hint}")
        return codes.to_numpy()

    def answers(self, y: np.ndarray) -> pl.DataFrame:
        """``prediction`` is the most probable label; a column ``p(label)`` for each of them is its probability."""
        pl = polars()
        told = pl.Series("prediction", list(self.labels)).gather(np.argmax(y, axis=1).astype(np.uint32))
        return pl.DataFrame([told, *(pl.Series(f"p({w})", y[:, i]) for i, w in enumerate(self.words))])

    def figures(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
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
    """A number, trained as (t - μ) / σ and told as it is."""

    task: ClassVar[str] = "regression"
    best: ClassVar[str] = "r2"

    mean: float
    scale: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        finite("mean", self.mean)
        positive("scale", self.scale)

    @classmethod
    def learn(cls, values: pl.Series) -> Quantity:
        """Mean and deviation of a column. Raises ValueError where it is no number, or always the same."""
        pl = polars()
        if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Duration)):
            raise ValueError(f"the target {values.name!r} is of type {values.dtype}: regression needs numbers")
        t = numbers(values)
        t = t[~np.isnan(t)]
        if t.min() == t.max():
            raise ValueError(f"the target {values.name!r} is {t[0]:g} in every row: there is nothing to learn")
        return cls(values.name, *standard(t))

    @property
    def outputs(self) -> int:
        return 1

    @property
    def loss(self) -> Loss:
        return MeanSquaredError()

    def on(self, training: pl.Series) -> Quantity:
        return Quantity.learn(training)

    def encode(self, values: pl.Series) -> np.ndarray:
        t = numbers(values)
        if np.isnan(t).any():
            raise ValueError(f"the target {self.name!r} holds values that are no numbers")
        return ((t - self.mean) / self.scale).astype(np.float32)

    def answers(self, y: np.ndarray) -> pl.DataFrame:
        return polars().DataFrame({"prediction": self._told(y)})

    def figures(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
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


def choose_target(values: pl.Series, task: str | None = None) -> tuple[Target, str]:
    """Classification or regression, and why, in words: by ``task`` where it is given, else by the column.

    Text, booleans, and whole numbers of at most 20 different values are classes; other numbers are a quantity. Raises
    ValueError for another task, for a column that cannot be its target, that never changes or has no values.
    """
    pl = polars()
    if task is not None:
        one_of("task", task, ("classification", "regression"))
    if values.dtype.is_float():
        values = values.fill_nan(None)
    known = values.drop_nulls()
    if not len(known):
        raise ValueError(f"the target {values.name!r} is missing in every row")
    if values.dtype in (pl.Date, pl.Datetime, pl.Time) or values.dtype.is_nested() or values.dtype == pl.Binary:
        raise ValueError(f"the target {values.name!r} is of type {values.dtype}: it must be numbers, text or booleans")
    if task is not None:
        return (Classes if task == "classification" else Quantity).learn(values), "as asked"
    different = known.n_unique()
    if known.dtype.is_numeric():
        whole = known.dtype.is_integer() or bool((known == known.round()).all())
        if whole and different <= FEW:
            return Classes.learn(values), f"whole numbers of {different} different values"
        return Quantity.learn(values), f"{'whole numbers' if whole else 'numbers'} of {different:,} different values"
    if values.dtype == pl.Duration:
        return Quantity.learn(values), "a length of time, in seconds"
    if different > max(FEW, len(known) / 2):
        raise ValueError(
            f"the target {values.name!r} is text with {different:,} different values in {len(known):,} rows: it looks "
            "like an identifier; --task classification (task='classification') learns it all the same"
        )
    return Classes.learn(values), "true and false" if values.dtype == pl.Boolean else "text"
