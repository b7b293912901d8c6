"""Which columns of a table are features, by the choices of a user, and how that is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dlarray.core.check import count
from dlarray.core.registry import spelling
from dlarray.core.text import escape, quote
from dlarray.tables.layout import aligned
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.reading import Table
from dlarray.tables.values import UnknownColumnError

__all__ = ["ColumnOptions", "columns_text"]

NOT_CHOSEN = "not among the features"
SPLITS = "splits the rows"
REMEDIES = {  # the argument that uses a column, by the reason
    "looks like an identifier": "keep",
    "numbers in text": "number",
    "dates in text": "date",
    SPLITS: "keep",
}


@dataclass(frozen=True)
class ColumnOptions:
    """The lists of columns of ``tables.train``. ``features`` are the only ones to use; None for all."""

    features: Sequence[str] | None = None
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    categorical: Sequence[str] = ()
    max_categories: int = 100

    def __post_init__(self) -> None:
        """Raises ValueError for a column that is both wanted and left out."""
        for name in self.drop:
            for wanted, names in {"features": self.features, "keep": self.keep}.items():
                if name in (names or ()):
                    both = f"is among {wanted} and among drop: remove it from one of them"
                    raise ValueError(f"the column {quote(name)} {both}")
        for name in self.keep:
            if self.features is not None and name not in self.features:
                raise ValueError(f"the column {quote(name)} is among keep and not among features: add it to features")

    def fit(self, table: Table, target: str, splitting: Sequence[str] = ()) -> Preprocessing:
        """The preprocessing, fitted to the rows of a table that has the target.

        ``splitting`` are columns that split the rows: they are no features unless they are among ``features`` or
        ``keep``. Raises like ``Preprocessing.fit``, and ValueError if the target is to be a feature.
        """
        inputs = table.drop(target)

        def fit(drop: list[str], keep: tuple[str, ...]) -> Preprocessing:
            return Preprocessing.fit(
                inputs, max_categories=self.max_categories, categorical=self.categorical, drop=drop, keep=keep
            )

        return self.fit_by(fit, inputs.columns, target, splitting)

    def fit_by(
        self,
        fit: Callable[[list[str], tuple[str, ...]], Preprocessing],
        inputs: Sequence[str],
        target: str,
        splitting: Sequence[str] = (),
    ) -> Preprocessing:
        """The same by a function that gets the columns to drop and to keep; ``inputs`` are all of them."""
        if target in (self.features or ()):
            raise ValueError(f"the target {target!r} cannot be one of the features")
        for name in self.features or ():
            if name not in inputs:
                raise UnknownColumnError(name, inputs)
        wanted = (*self.keep, *(self.features or ()))
        reasons = {name: SPLITS for name in splitting if name not in wanted and name != target}
        if self.features is not None:
            reasons |= {name: NOT_CHOSEN for name in inputs if name not in self.features}
        fitted = fit([*self.drop, *(name for name in reasons if name not in self.drop)], wanted)
        dropped = [
            (name, reason if name in self.drop else reasons.get(name, reason)) for name, reason in fitted.dropped
        ]
        return replace(fitted, dropped=tuple(dropped))


def columns_text(preprocessing: Preprocessing, argument: Callable[[str, str], str], width: int | None = None) -> str:
    """For each column: its name, its kind or "dropped", its number of features, and how it is used or why it is not.

    Columns that are not among chosen features share one row. ``argument`` as in ``Prepared.lines``, ``width`` as in
    ``aligned``.
    """
    head = ("column", "kind", "features", "preprocessing")
    rows = [(escape(c.name), spelling(type(c)), str(len(c.features)), c.description) for c in preprocessing.columns]
    for name, reason in preprocessing.dropped:
        option = next((option for begin, option in REMEDIES.items() if reason.startswith(begin)), "")
        if reason != NOT_CHOSEN:
            remedy = f"; to use it: {argument(option, name)}" if option else ""
            rows.append((escape(name), "dropped", "", reason + remedy))
    if others := sum(reason == NOT_CHOSEN for _, reason in preprocessing.dropped):
        rows.append((count(others, "other"), "dropped", "", NOT_CHOSEN))
    return aligned([head, *rows], right={2}, width=width)
