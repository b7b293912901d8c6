"""A model of a table: the trained network, what is done to the table before it, and what its outputs mean."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.device import Device
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.reading import Table, as_raw
from dlarray.tables.targets import Target
from dlarray.tables.values import TableWarning, UnknownColumnError
from dlarray.training import CheckpointError, Trained, load_with_notes

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableModel", "load"]


@dataclass(frozen=True)
class TableModel:
    """What ``train`` returns and ``load`` reads.

    ``facts`` say how it was trained, JSON-ready: rows, split, seed, figures on the validation part and those of the
    baseline. Tables are polars frames, or the paths of files. A new table is read by the kinds that training has
    learnt, each value alone: a row's answer does not depend on the rows beside it.
    """

    trained: Trained
    preprocessing: Preprocessing
    target: Target
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def predict(self, table: Table | pl.DataFrame | str | PathLike[str]) -> pl.DataFrame:
        """A row of predictions for each row: ``prediction``, and for classes the probability of each, ``p(label)``.

        Raises ValueError that names every column that is missing, or one that holds another kind of values than in
        training, such as numbers where dates were. Unknown categories, values that cannot be read and
        columns that training did not know are handled, and said as a ``TableWarning``.
        """
        return self.target.answers(np.asarray(self.trained.predict(self.inputs(as_raw(table)))))

    def evaluate(self, table: Table | pl.DataFrame | str | PathLike[str]) -> dict[str, float]:
        """Figures on other rows: accuracy, balanced accuracy and log loss, or R², and errors in the target's unit.

        Rows without a target are left out, with a ``TableWarning``. Raises ValueError as ``predict`` does, and where
        the target is not there or holds a class that training did not know.
        """
        x, t = self.examples(table)
        return self.target.metrics(t, np.asarray(self.trained.predict(x)))

    def inputs(self, frame: pl.DataFrame) -> np.ndarray:
        """The table as the network takes it, float32 (rows, features)."""
        frame = frame.drop(self.target.name, strict=False)
        self.preprocessing.check(frame)
        if extra := [name for name in frame.columns if name not in self.preprocessing.names]:
            told = f"columns that training did not know are not used: {', '.join(map(repr, extra))}"
            warnings.warn(told, TableWarning, stacklevel=3)
        return self.preprocessing.transform(frame)

    def examples(self, table: Table | pl.DataFrame | str | PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
        """The table and its targets as a network and its loss take them. Raises as ``evaluate`` does."""
        frame = as_raw(table)
        if self.target.name not in frame.columns:
            raise UnknownColumnError(self.target.name, frame.columns)
        there = self.target.there(frame[self.target.name])
        say_without_target(there, self.target.name)
        frame = frame.filter(there)
        return self.inputs(frame), self.target.encode(frame[self.target.name])

    def save(self, path: str | PathLike[str]) -> None:
        """Write network, preprocessing, target and facts to one file, under one SHA-256; ``load`` reads it."""
        data = {
            "preprocessing": self.preprocessing.as_data(),
            "target": self.target.as_data(),
            "facts": dict(self.facts),
        }
        self.trained.save(path, notes={"table": data})


def load(path: str | PathLike[str], device: str | Device | None = None) -> TableModel:
    """The model in a file that ``TableModel.save`` wrote.

    Raises CheckpointError as ``dlarray.load`` does, and where the file holds a network without a table's preprocessing.
    """
    trained, notes = load_with_notes(path, device)
    if "table" not in notes:
        raise CheckpointError(
            f"{path} holds a network and no preprocessing of tables: it was not trained from a table. In Python, "
            "dlarray.load(path).predict(x) takes arrays"
        )
    try:
        data = notes["table"]
        preprocessing, target = Preprocessing.from_data(data["preprocessing"]), Target.from_data(data["target"])
        if (len(preprocessing.features), target.outputs) != (trained.model.inputs, trained.model.outputs):
            raise ValueError("the network's inputs and outputs are not those of its table")
        return TableModel(trained, preprocessing, target, data["facts"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a dlarray model: {error}") from error


def say_without_target(there: pl.Series, name: str) -> None:
    """Say how many rows have no target and are left out. Raises ValueError where none is left."""
    lost = len(there) - int(there.sum())
    if lost == len(there):
        raise ValueError(f"the target {name!r} is missing in every row")
    if lost:
        told = f"{lost:,} of {len(there):,} rows have no target {name!r} and are left out"
        warnings.warn(told, TableWarning, stacklevel=3)
