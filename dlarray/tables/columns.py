"""The kinds of columns: how each becomes features of a network. Fitted to the training part, saved as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlarray.core.check import finite, plain_numbers, positive
from dlarray.core.registry import classes, spelling
from dlarray.tables.conversion import TEXT, TIMES, booleans, day_fractions, days, label_indices, numbers
from dlarray.tables.numerals import check_decimal
from dlarray.tables.reading import Cells
from dlarray.tables.values import as_text, count, warn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Boolean", "Category", "Column", "Date", "Number"]

CYCLES = {"year": 365.2425, "week": 7.0, "day": 1.0}  # days
LIMIT = 1e6  # scaled values are clipped to it, so that no float32 becomes infinite


@dataclass(frozen=True)
class Column(ABC):
    """One column of the table: its ``name``, and the number of rows of the training part in which it was ``missing``.

    If there are such rows, the last feature is a missing-value indicator: 1 for a missing value, 0 for others.
    """

    abstract: ClassVar[bool] = True

    name: str
    missing: int

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """The names of its features."""

    @property
    @abstractmethod
    def description(self) -> str:
        """Its preprocessing in words."""

    @abstractmethod
    def transform(self, values: pl.Series) -> np.ndarray:
        """The features of new values, float32 (rows, features); each row depends on its own value alone.

        A ``TableWarning`` reports values that training did not have. Raises ValueError for values of another kind.
        """

    def as_data(self) -> dict[str, Any]:
        """The column as JSON-ready data."""
        return {"kind": spelling(type(self)), **asdict(self)}

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.name, str) or not isinstance(self.missing, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a column has a name and a number of missing values, got {self.name!r}, {self.missing!r}")

    def with_indicator(self, *features: str) -> tuple[str, ...]:
        """These names of features, and that of the missing-value indicator if there is one."""
        return (*features, f"{self.name} missing") if self.missing else features

    def add_indicator(self, x: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """These features as float32, and the missing-value indicator if there is one."""
        x = x.astype(np.float32).reshape(len(missing), -1)
        return np.column_stack([x, missing]).astype(np.float32) if self.missing else x

    def warn_missing(self, missing: int) -> None:
        """Warn about missing values in a column that had none in training."""
        if missing and not self.missing:
            warn(self.name, f"{count(missing, 'missing value')}; training had none")


@dataclass(frozen=True)
class Number(Column):
    """x → (x - μ) / σ. A missing x is replaced by the median; μ and σ are those of the column after that.

    Infinite values count as missing. Scaled values are clipped to ±10⁶. ``decimal`` is the decimal mark of numbers
    written as text, if the training part shows it.
    Source: scikit-learn's SimpleImputer(strategy="median", add_indicator=True) and StandardScaler.
    """

    median: float
    mean: float
    scale: float
    decimal: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("median", self.median)
        finite("mean", self.mean)
        positive("scale", self.scale)
        check_decimal(self.decimal)

    @classmethod
    def fit(cls, cells: Cells) -> Number:
        """The column fitted to the training part, which must have at least one value."""
        x = numbers(cells.typed)
        missing = np.isnan(x)
        median = float(np.median(x[~missing]))
        filled = np.where(missing, median, x)
        return cls(cells.name, int(missing.sum()), median, *mean_and_deviation(filled), cells.decimal)

    @property
    def features(self) -> tuple[str, ...]:
        return self.with_indicator(self.name)

    @property
    def description(self) -> str:
        scaled = f"(x {'-' if self.mean >= 0 else '+'} {abs(self.mean):.4g}) / {self.scale:.4g}"
        comma = "; decimal comma" if self.decimal == "," else ""
        return scaled + comma + _missing(self, f"replaced by the median {self.median:.4g}, with an indicator")

    def transform(self, values: pl.Series) -> np.ndarray:
        x = numbers(values, self.decimal)
        missing = np.isnan(x)
        self.warn_missing(int(missing.sum()))
        return self.add_indicator(_standardize(np.where(missing, self.median, x), self.mean, self.scale), missing)


@dataclass(frozen=True)
class Boolean(Column):
    """False and true as 0 and 1; a missing value as the more frequent of them.

    Source: scikit-learn's SimpleImputer(strategy="most_frequent", add_indicator=True).
    """

    fill: bool

    @classmethod
    def fit(cls, cells: Cells) -> Boolean:
        """The column fitted to the training part, which must have at least one value."""
        x = booleans(cells.typed)
        missing = np.isnan(x)
        return cls(cells.name, int(missing.sum()), bool(np.mean(x[~missing]) > 0.5))

    @property
    def features(self) -> tuple[str, ...]:
        return self.with_indicator(self.name)

    @property
    def description(self) -> str:
        return "0 and 1" + _missing(self, f"replaced by {int(self.fill)}, with an indicator")

    def transform(self, values: pl.Series) -> np.ndarray:
        x = booleans(values)
        missing = np.isnan(x)
        self.warn_missing(int(missing.sum()))
        return self.add_indicator(np.where(missing, self.fill, x), missing)


@dataclass(frozen=True)
class Category(Column):
    """One-hot: one feature for each category, 1 if the value is this category; all 0 for an unknown category.

    The rarest categories, ``infrequent`` of them, share the feature "other"; unknown categories have it too, if it
    exists. Categories keep the text of the file. Categories whose ``value_kind`` is not text, such as numbers that are
    names, also match by value: 1 is 1.0.
    Source: scikit-learn's OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=…).
    """

    categories: tuple[str, ...]
    infrequent: int
    value_kind: str = TEXT
    decimal: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_decimal(self.decimal)
        object.__setattr__(self, "categories", tuple(self.categories))
        if not all(isinstance(c, str) for c in self.categories):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"categories must be text, got {self.categories!r}")

    @classmethod
    def fit(cls, cells: Cells, max_categories: int) -> Category:
        """The column fitted to the training part, with at most this many features for its categories."""
        text = cells.text
        counts: dict[str, int] = dict(text.drop_nulls().value_counts(name="rows").iter_rows())
        frequent = sorted(counts, key=lambda c: (-counts[c], c))
        own = frequent if len(frequent) <= max_categories else frequent[: max_categories - 1]
        infrequent = len(frequent) - len(own)
        return cls(cells.name, text.null_count(), tuple(sorted(own)), infrequent, cells.kind or TEXT, cells.decimal)

    @property
    def features(self) -> tuple[str, ...]:
        named = [f"{self.name}={c}" for c in self.categories]
        return self.with_indicator(*named, *([f"{self.name} other"] if self.infrequent else []))

    @property
    def description(self) -> str:
        n = len(self.categories)
        text = f"{n:,} categor{'y' if n == 1 else 'ies'}, one-hot"
        if self.infrequent:
            text += f'; the {self.infrequent:,} rarest share "other"'
        return text + _missing(self, "encoded as another category")

    def transform(self, values: pl.Series) -> np.ndarray:
        found = label_indices(values, self.categories, self.value_kind, self.decimal)
        missing = found.is_null().to_numpy()
        indices = found.fill_null(-1).to_numpy()
        unknown = (indices < 0) & ~missing
        if not self.infrequent and unknown.any():
            names = as_text(values).filter(unknown).unique().sort().to_list()
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            examples = f"{', '.join(map(repr, names[:3]))}{more}"
            warn(self.name, f"{count(int(unknown.sum()), 'unknown value')} ({examples}), encoded as no category")
        self.warn_missing(int(missing.sum()))
        x = np.zeros((len(indices), len(self.categories) + bool(self.infrequent)), dtype=np.float32)
        known = indices >= 0
        x[np.flatnonzero(known), indices[known]] = 1
        if self.infrequent:
            x[unknown, -1] = 1
        return self.add_indicator(x, missing)


@dataclass(frozen=True)
class Date(Column):
    """Days since 1970, scaled like a ``Number``, and sin and cos of 2π days / period for each of the ``cycles``.

    The cycles are the year (365.2425 days), the week and, if the time of day varies, the day. A missing value becomes
    the median day, and 0 for sin and cos. Datetimes with an offset are converted to UTC. Times of day, which have no
    date and no year, are parts of a day.
    """

    median: float
    mean: float
    scale: float
    cycles: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cycles", tuple(self.cycles))
        finite("median", self.median)
        finite("mean", self.mean)
        positive("scale", self.scale)
        if not set(self.cycles) <= CYCLES.keys():
            raise ValueError(f"cycles must be among {', '.join(CYCLES)}, got {self.cycles!r}")

    @classmethod
    def fit(cls, cells: Cells) -> Date:
        """The column fitted to the training part, which must have at least one value."""
        is_time = cells.kind == TIMES
        x = (day_fractions if is_time else days)(cells.typed)
        missing = np.isnan(x)
        present = x[~missing]
        cycles = [] if is_time else ["year", "week"]
        cycles += ["day"] if np.any(present % 1 != present[0] % 1) else []
        median = float(np.median(present))
        filled = np.where(missing, median, x)
        return cls(cells.name, int(missing.sum()), median, *mean_and_deviation(filled), tuple(cycles))

    @property
    def features(self) -> tuple[str, ...]:
        waves = [f"{wave} of {self.name}'s {cycle}" for cycle in self.cycles for wave in ("sin", "cos")]
        return self.with_indicator(self.name, *waves)

    @property
    def description(self) -> str:
        cycles = "".join(f"; sin and cos of the {cycle}" for cycle in self.cycles)
        return "days, scaled" + cycles + _missing(self, "replaced by the median, with an indicator")

    def transform(self, values: pl.Series) -> np.ndarray:
        x = (days if "year" in self.cycles else day_fractions)(values)
        missing = np.isnan(x)
        self.warn_missing(int(missing.sum()))
        parts = [_standardize(np.where(missing, self.median, x), self.mean, self.scale)]
        for cycle in self.cycles:
            angle = 2 * np.pi * np.where(missing, 0.0, x) / CYCLES[cycle]
            parts += [np.where(missing, 0.0, wave(angle)) for wave in (np.sin, np.cos)]
        return self.add_indicator(np.column_stack(parts), missing)


def column(data: dict[str, Any]) -> Column:
    """The column that ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
    known: dict[str, Any] = {**classes(Column)}
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in known:
        raise ValueError(f"unknown kind of column {kind!r}")
    return known[kind](**fields)


def mean_and_deviation(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; 1 for the deviation of constant values. Scaled first: squares of 1e300 overflow."""
    largest = float(np.max(np.abs(x))) or 1.0
    scaled = x / largest
    varies = np.max(x) > np.min(x)
    return largest * float(np.mean(scaled)), (largest * float(np.std(scaled)) if varies else 1.0) or 1.0


def _standardize(x: np.ndarray, mean: float, scale: float) -> np.ndarray:
    """(x - μ) / σ, clipped to what float32 can hold."""
    with np.errstate(over="ignore"):
        return np.clip((x - mean) / scale, -LIMIT, LIMIT)


def _missing(column: Column, treatment: str) -> str:
    return f"; {column.missing:,} missing, {treatment}" if column.missing else ""
