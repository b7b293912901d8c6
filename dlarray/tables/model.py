"""A model of a table: the preprocessing of the table, the trained network, and the meaning of its outputs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dlarray.core.text import quote, quote_all
from dlarray.device import Device
from dlarray.tables.kept_rows import KeptRows, row_numbers_as_uniform
from dlarray.tables.memory import Allowed
from dlarray.tables.opening import frames_of
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.reading import Table, raw_frame, without
from dlarray.tables.targets import Target
from dlarray.tables.values import UnknownColumnError, issue, joined, polars, without_warnings
from dlarray.training import CheckpointError, Trained, load_with_notes

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableModel", "load"]

T = TypeVar("T")
LEAST_MEASURED = 10_000


@dataclass(frozen=True)
class TableModel:
    """What ``train`` and ``load`` return.

    ``facts`` describe the training, JSON-ready: task, rows, epochs, seed, device, and the metrics of the model and of
    the baseline. Tables are polars frames or paths of files. A new table is read by the kinds of columns that training
    stored. The prediction for a row depends on this row alone. After ``train``, ``measured`` holds the encoded targets
    and the outputs of the rows on which the metrics were measured; a file does not hold them.
    """

    trained: Trained
    preprocessing: Preprocessing
    target: Target
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    measured: tuple[np.ndarray, np.ndarray] | None = field(default=None, compare=False, repr=False)

    def predict(
        self, table: Table | pl.DataFrame | str | PathLike[str], options: ReadOptions | None = None
    ) -> pl.DataFrame:
        """One row for each row of the table: ``prediction``, and for classes the probability of each, ``p(label)``.

        A ``TableWarning`` reports unknown categories, values that cannot be read, and columns that training did not
        have; they are not used. Raises ValueError that names every missing column, or a column that holds another kind
        of values than in training, such as numbers instead of dates.
        """
        return polars().concat([self.predictions(x) for _, x in self.parts(table, options)])

    def parts(
        self,
        table: Table | pl.DataFrame | str | PathLike[str],
        options: ReadOptions | None = None,
        memory: str | int | None = None,
    ) -> Iterator[tuple[pl.DataFrame, np.ndarray]]:
        """The rows of a table as the file holds them and their ``inputs``: whole, or block by block if it is large.

        ``memory`` as in ``open_table``. Raises and warns like ``predict``; of several blocks at the end.
        """
        return self._parts(table, options, lambda frame: (frame, self.inputs(frame)), Allowed.of(memory))

    def predictions(self, x: np.ndarray) -> pl.DataFrame:
        """What ``predict`` returns for these ``inputs``; they can come in several parts."""
        return self.target.predictions(np.asarray(self.trained.predict(x)))

    def evaluate(
        self, table: Table | pl.DataFrame | str | PathLike[str], options: ReadOptions | None = None
    ) -> dict[str, float]:
        """Metrics: accuracy, balanced accuracy and log loss, or R², and RMSE and mean absolute error in target units.

        Rows without a target are dropped, with a ``TableWarning``. Raises ValueError like ``predict``, and if the
        target is missing or holds a class that training did not have.
        """
        return self.measure(table, options)[0]

    def measure(
        self,
        table: Table | pl.DataFrame | str | PathLike[str],
        options: ReadOptions | None = None,
        memory: str | int | None = None,
    ) -> tuple[dict[str, float], int, int]:
        """The metrics of ``evaluate``, the number of rows that have a target, and the number of measured ones.

        ``memory`` as in ``open_table``. A table that does not fit is read in blocks. Then the metrics are those of all
        rows if an eighth of the memory holds their predictions, else those of as many rows, chosen at random.
        """
        allowed = Allowed.of(memory)
        kept = KeptRows(max(LEAST_MEASURED, allowed.bytes // (8 * 8 * (1 + self.target.outputs))))
        rows = without = 0
        for x, t, total in self._parts(table, options, self._with_targets, allowed):
            numbers = np.arange(rows, rows + len(t))
            y = np.asarray(self.trained.predict(x)).reshape(len(t), -1)
            measured = polars().from_numpy(y).insert_column(0, polars().Series("target", t))
            kept.add(measured, row_numbers_as_uniform(numbers, 0, "measured rows"))
            rows, without = rows + len(t), without + total - len(t)
        report_without_target(without, rows + without, self.target.name)
        frame = kept.frame()
        assert frame is not None
        t, y = frame["target"].to_numpy(), frame[:, 1:].to_numpy()
        return self.target.metrics(t, y), rows, len(t)

    def _parts(
        self,
        table: Table | pl.DataFrame | str | PathLike[str],
        options: ReadOptions | None,
        encode: Callable[[pl.DataFrame], T],
        allowed: Allowed,
    ) -> Iterator[T]:
        """The table by ``encode``, whole or block by block; warnings of several blocks are joined."""
        messages: list[list[str]] = []
        for frame in frames_of(table, options, allowed):
            with without_warnings() as collected:
                found = encode(frame)
            messages.append(collected)
            yield found
        for message in joined(messages):
            issue(message)

    def _with_targets(self, frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
        """Inputs and targets of the rows of a frame that have a target, and the number of all its rows."""
        if self.target.name not in frame.columns:
            raise UnknownColumnError(self.target.name, frame.columns)
        present = self.target.is_present(frame[self.target.name])
        with_target = frame.filter(present)
        return self.inputs(with_target), self.target.encode(with_target[self.target.name]), frame.height

    def inputs(self, frame: pl.DataFrame) -> np.ndarray:
        """The network's inputs, float32 (rows, features). Raises and warns like ``predict``."""
        frame = without(frame, self.target.name)
        self.preprocessing.check(frame)
        if extra := [name for name in frame.columns if name not in self.preprocessing.names]:
            message = f"columns that training did not have are not used: {quote_all(extra)}"
            issue(message)
        return self.preprocessing.transform(frame)

    def examples(
        self, table: Table | pl.DataFrame | str | PathLike[str], options: ReadOptions | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The inputs of the network and the targets of its loss. Raises and warns like ``evaluate``."""
        frame = raw_frame(table, options)
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
            f"{path} holds a network without preprocessing, because it was not trained on a table: it takes arrays. In "
            f"Python, dlarray.load({str(path)!r}).predict(x) does; on the command line, "
            f"`dlarray plot {shlex.quote(str(path))} --what weights` draws it"
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
    report_without_target(len(present) - int(present.sum()), len(present), name)


def report_without_target(missing: int, rows: int, name: str) -> None:
    """The same for so many of the rows."""
    if missing == rows:
        raise ValueError(f"the target {quote(name)} is missing in every row")
    if missing:
        issue(f"{missing:,} of {rows:,} rows have no target {quote(name)} and are dropped")
