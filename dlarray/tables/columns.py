"""What a column of a table becomes: numbers that a network can take. Learnt from the training part, kept as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlarray.core.check import finite, plain_numbers, positive
from dlarray.core.registry import classes, spelling
from dlarray.tables.conversion import TEXT, TIMES, codes, days, hours, numbers, truths
from dlarray.tables.numerals import mark
from dlarray.tables.reading import Cells
from dlarray.tables.values import count, tell, words

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Boolean", "Category", "Column", "Date", "Number"]

CYCLES = {"year": 365.2425, "week": 7.0, "day": 1.0}  # days
FAR = 1e6  # deviations: what lies farther counts as this far, so that no float32 becomes infinite


@dataclass(frozen=True)
class Column(ABC):
    """One column of the table: ``name``, and in how many rows of the training part it was ``missing``.

    Where some were missing, the last feature is 1 for a missing value and 0 for others.
    """

    abstract: ClassVar[bool] = True

    name: str
    missing: int

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """The names of the numbers that it becomes."""

    @abstractmethod
    def transform(self, values: pl.Series) -> np.ndarray:
        """The column as float32, (rows, features): each value alone, by what was learnt.

        What was not met in training is said as a ``TableWarning``. Raises ValueError for values of another kind.
        """

    @abstractmethod
    def story(self) -> str:
        """What is done with it, in words."""

    def as_data(self) -> dict[str, Any]:
        """The column as JSON-ready data."""
        return {"kind": spelling(type(self)), **asdict(self)}

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.name, str) or not isinstance(self.missing, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a column has a name and a number of missing values, got {self.name!r}, {self.missing!r}")

    def marked(self, *features: str) -> tuple[str, ...]:
        """These features, and the mark of what is missing where there is one."""
        return (*features, f"{self.name} missing") if self.missing else features

    def beside(self, x: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """The numbers of a column, and beside them the mark of what is missing where there is one."""
        x = x.astype(np.float32).reshape(len(missing), -1)
        return np.column_stack([x, missing]).astype(np.float32) if self.missing else x

    def say_new(self, missing: int) -> None:
        """Say that values are missing where none were in training."""
        if missing and not self.missing:
            tell(self.name, f"{count(missing)} missing, and none were in training")


@dataclass(frozen=True)
class Number(Column):
    """x → (x - μ) / σ, where x is missing its median; μ and σ are those of the column so filled.

    Infinite values count as missing. Beyond a million deviations a value counts as a million. ``decimal`` is the
    decimal mark of numbers that are text, where training has shown it.
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
        mark(self.decimal)

    @classmethod
    def learn(cls, cells: Cells) -> Number:
        """The column as the training part shows it; at least one value must be there."""
        x = numbers(cells.typed)
        missing = np.isnan(x)
        median = float(np.median(x[~missing]))
        filled = np.where(missing, median, x)
        return cls(cells.name, int(missing.sum()), median, *standard(filled), cells.decimal)

    @property
    def features(self) -> tuple[str, ...]:
        return self.marked(self.name)

    def transform(self, values: pl.Series) -> np.ndarray:
        x = numbers(values, self.decimal)
        missing = np.isnan(x)
        self.say_new(int(missing.sum()))
        return self.beside(_standardised(np.where(missing, self.median, x), self.mean, self.scale), missing)

    def story(self) -> str:
        scaled = f"(x {'-' if self.mean >= 0 else '+'} {abs(self.mean):.4g}) / {self.scale:.4g}"
        comma = "; with a decimal comma" if self.decimal == "," else ""
        filled = f"; {self.missing:,} missing, filled by the median {self.median:.4g} and marked"
        return scaled + comma + (filled if self.missing else "")


@dataclass(frozen=True)
class Boolean(Column):
    """False and true as 0 and 1; what is missing as the more frequent of them.

    Source: scikit-learn's SimpleImputer(strategy="most_frequent", add_indicator=True).
    """

    fill: bool

    @classmethod
    def learn(cls, cells: Cells) -> Boolean:
        """The column as the training part shows it; at least one value must be there."""
        x = truths(cells.typed)
        missing = np.isnan(x)
        return cls(cells.name, int(missing.sum()), bool(np.mean(x[~missing]) > 0.5))

    @property
    def features(self) -> tuple[str, ...]:
        return self.marked(self.name)

    def transform(self, values: pl.Series) -> np.ndarray:
        x = truths(values)
        missing = np.isnan(x)
        self.say_new(int(missing.sum()))
        return self.beside(np.where(missing, self.fill, x), missing)

    def story(self) -> str:
        return "0 and 1" + (f"; {self.missing:,} missing, taken as {self.fill} and marked" if self.missing else "")


@dataclass(frozen=True)
class Category(Column):
    """One-hot: a feature for each category, 1 where the value is it; all 0 for a category that training did not meet.

    ``rest`` categories, the rarest, share the feature "other", and so do unknown ones where it is there. Categories
    keep the text of the file; those ``of`` another kind than text, such as numbers that are names, are also known by
    their value: 1 is 1.0. Source:
    scikit-learn's OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=…).
    """

    categories: tuple[str, ...]
    rest: int
    of: str = TEXT
    decimal: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        mark(self.decimal)
        object.__setattr__(self, "categories", tuple(self.categories))
        if not all(isinstance(c, str) for c in self.categories):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"categories are words, got {self.categories!r}")

    @classmethod
    def learn(cls, cells: Cells, most: int) -> Category:
        """The column as the training part shows it, with at most ``most`` features for its categories."""
        text = cells.words
        counts: dict[str, int] = dict(text.drop_nulls().value_counts(name="rows").iter_rows())
        frequent = sorted(counts, key=lambda c: (-counts[c], c))
        kept = frequent if len(frequent) <= most else frequent[: most - 1]
        rest = len(frequent) - len(kept)
        return cls(cells.name, text.null_count(), tuple(sorted(kept)), rest, cells.kind or TEXT, cells.decimal)

    @property
    def features(self) -> tuple[str, ...]:
        named = [f"{self.name}={c}" for c in self.categories]
        return self.marked(*named, *([f"{self.name} other"] if self.rest else []))

    def transform(self, values: pl.Series) -> np.ndarray:
        found = codes(values, self.categories, self.of, self.decimal)
        missing = found.is_null().to_numpy()
        places = found.fill_null(-1).to_numpy()
        unknown = (places < 0) & ~missing
        if not self.rest and unknown.any():
            met = words(values).filter(unknown).unique().sort().to_list()
            more = f" and {len(met) - 3:,} more" if len(met) > 3 else ""
            known = f"{', '.join(map(repr, met[:3]))}{more}"
            tell(
                self.name, f"{count(int(unknown.sum()))} unknown to training ({known}), taken as none of its categories"
            )
        self.say_new(int(missing.sum()))
        x = np.zeros((len(places), len(self.categories) + bool(self.rest)), dtype=np.float32)
        hit = places >= 0
        x[np.flatnonzero(hit), places[hit]] = 1
        if self.rest:
            x[unknown, -1] = 1
        return self.beside(x, missing)

    def story(self) -> str:
        told = f"{len(self.categories)} categories, one-hot"
        if self.rest:
            told += f"; the {self.rest:,} rarest together as other"
        return told + (f"; {self.missing:,} missing, a category of their own" if self.missing else "")


@dataclass(frozen=True)
class Date(Column):
    """Days since 1970, scaled as a ``Number`` is, and sin and cos of 2π days / period for each of the cycles.

    The cycles are the year (365.2425 days), the week and, where the time of day varies, the day. What is missing has
    the median day, and 0 for sin and cos. Moments with an offset are those of UTC. Times of day, which have no date and
    no year, are parts of a day.
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
            raise ValueError(f"cycles are of {', '.join(CYCLES)}, got {self.cycles!r}")

    @classmethod
    def learn(cls, cells: Cells) -> Date:
        """The column as the training part shows it; at least one value must be there."""
        of_day = cells.kind == TIMES
        x = (hours if of_day else days)(cells.typed)
        missing = np.isnan(x)
        known = x[~missing]
        cycles = [] if of_day else ["year", "week"]
        cycles += ["day"] if np.any(known % 1 != known[0] % 1) else []
        median = float(np.median(known))
        filled = np.where(missing, median, x)
        return cls(cells.name, int(missing.sum()), median, *standard(filled), tuple(cycles))

    @property
    def features(self) -> tuple[str, ...]:
        waves = [f"{wave} of {self.name}'s {cycle}" for cycle in self.cycles for wave in ("sin", "cos")]
        return self.marked(self.name, *waves)

    def transform(self, values: pl.Series) -> np.ndarray:
        x = (days if "year" in self.cycles else hours)(values)
        missing = np.isnan(x)
        self.say_new(int(missing.sum()))
        parts = [_standardised(np.where(missing, self.median, x), self.mean, self.scale)]
        for cycle in self.cycles:
            angle = 2 * np.pi * np.where(missing, 0.0, x) / CYCLES[cycle]
            parts += [np.where(missing, 0.0, wave(angle)) for wave in (np.sin, np.cos)]
        return self.beside(np.column_stack(parts), missing)

    def story(self) -> str:
        told = "days, scaled" + "".join(f"; sin and cos of the {cycle}" for cycle in self.cycles)
        return told + (f"; {self.missing:,} missing, filled by the median and marked" if self.missing else "")


def column(data: dict[str, Any]) -> Column:
    """The column that ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
    known: dict[str, Any] = {**classes(Column)}
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in known:
        raise ValueError(f"unknown kind of column {kind!r}")
    return known[kind](**fields)


def standard(x: np.ndarray) -> tuple[float, float]:
    """Mean and deviation, 1 where nothing varies. Divided by the largest first: squares of 1e300 are infinite."""
    top = float(np.max(np.abs(x))) or 1.0
    small = x / top
    varies = np.max(x) > np.min(x)
    return top * float(np.mean(small)), (top * float(np.std(small)) if varies else 1.0) or 1.0


def _standardised(x: np.ndarray, mean: float, scale: float) -> np.ndarray:
    """(x - μ) / σ, kept within what float32 holds."""
    with np.errstate(over="ignore"):
        return np.clip((x - mean) / scale, -FAR, FAR)
