"""A model of a table: the preprocessing of the table, the trained network, and the meaning of its outputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.device import Device
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.reading import Table, raw_frame
from dlarray.tables.targets import Target
from dlarray.tables.values import TableWarning, UnknownColumnError
from dlarray.training import CheckpointError, Trained, load_with_notes

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableModel", "load"]


@dataclass(frozen=True)
class TableModel:
    """What ``train`` and ``load`` return.

    ``facts`` describe the training, JSON-ready: task, rows, epochs, seed, device, and the metrics of the model and of
    the baseline. Tables are polars frames or paths of files. A new table is read by the kinds of columns that training
    stored. The prediction for a row depends on this row alone.
    """

    trained: Trained
    preprocessing: Preprocessing
    target: Target
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def predict(self, table: Table | pl.DataFrame | str | PathLike[str]) -> pl.DataFrame:
        """One row for each row of the table: ``prediction``, and for classes the probability of each, ``p(label)``.

        A ``TableWarning`` reports unknown categories, values that cannot be read, and columns that training did not
        have; they are not used. Raises ValueError that names every missing column, or a column that holds another kind
        of values than in training, such as numbers instead of dates.
        """
        return self.target.predictions(np.asarray(self.trained.predict(self.inputs(raw_frame(table)))))

    def evaluate(self, table: Table | pl.DataFrame | str | PathLike[str]) -> dict[str, float]:
        """Metrics: accuracy, balanced accuracy and log loss, or R², and RMSE and mean absolute error in target units.

        Rows without a target are dropped, with a ``TableWarning``. Raises ValueError like ``predict``, and if the
        target is missing or holds a class that training did not have.
        """
        x, t = self.examples(table)
        return self.target.metrics(t, np.asarray(self.trained.predict(x)))

    def inputs(self, frame: pl.DataFrame) -> np.ndarray:
        """The network's inputs, float32 (rows, features). Raises and warns like ``predict``."""
        frame = frame.drop(self.target.name, strict=False)
        self.preprocessing.check(frame)
        if extra := [name for name in frame.columns if name not in self.preprocessing.names]:
            message = f"columns that training did not have are not used: {', '.join(map(repr, extra))}"
            warnings.warn(message, TableWarning, stacklevel=3)
        return self.preprocessing.transform(frame)

    def examples(self, table: Table | pl.DataFrame | str | PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
        """The inputs of the network and the targets of its loss. Raises and warns like ``evaluate``."""
        frame = raw_frame(table)
        if self.target.name not in frame.columns:
            raise UnknownColumnError(self.target.name, frame.columns)
        present = self.target.is_present(frame[self.target.name])
        check_targets(present, self.target.name)
        frame = frame.filter(present)
        return self.inputs(frame), self.target.encode(frame[self.target.name])

    def save(self, path: str | PathLike[str]) -> None:
        """Write network, preprocessing, target and facts to one file, with one SHA-256; ``load`` reads it."""
        data = {
            "preprocessing": self.preprocessing.as_data(),
            "target": self.target.as_data(),
            "facts": dict(self.facts),
        }
        self.trained.save(path, notes={"table": data})


def load(path: str | PathLike[str], device: str | Device | None = None) -> TableModel:
    """The model in a file that ``TableModel.save`` wrote.

    Raises CheckpointError like ``dlarray.load``, and if the file holds a network without the preprocessing of a table.
    """
    trained, notes = load_with_notes(path, device)
    if "table" not in notes:
        raise CheckpointError(
            f"{path} holds a network without preprocessing: it was not trained on a table. In Python, "
            "dlarray.load(path).predict(x) takes arrays"
        )
    try:
        data = notes["table"]
        preprocessing, target = Preprocessing.from_data(data["preprocessing"]), Target.from_data(data["target"])
        if (len(preprocessing.features), target.outputs) != (trained.model.inputs, trained.model.outputs):
            raise ValueError("the network's inputs and outputs do not fit its preprocessing and target")
        return TableModel(trained, preprocessing, target, data["facts"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a dlarray model: {error}") from error


def check_targets(present: pl.Series, name: str) -> None:
    """Warn about rows without a target, which are dropped. Raises ValueError if no row has one."""
    missing = len(present) - int(present.sum())
    if missing == len(present):
        raise ValueError(f"the target {name!r} is missing in every row")
    if missing:
        message = f"{missing:,} of {len(present):,} rows have no target {name!r} and are dropped"
        warnings.warn(message, TableWarning, stacklevel=3)
