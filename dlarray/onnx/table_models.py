"""Models of tables as programs: an input for each column, the preprocessing, the network and the decoded target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.onnx.columns import column_input, described_column, is_text_input, read_input, sample_values
from dlarray.onnx.networks import CLASSES, class_array, described, network_constants, network_outputs, rounding
from dlarray.onnx.program import LABEL, PROBABILITIES, VARIABLE, Feeds, Program, Tensor
from dlarray.onnx.zipmap import RESERVED
from dlarray.tables import ClassificationTarget, RegressionTarget, TableModel
from dlarray.tables.conversion import DATES
from dlarray.tables.reading import Table, raw_frame, without
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["input_names", "of_table_model", "table_inputs"]

ROWS = (1, 256)
"""The rows of each table of random values on which a graph is checked."""
PREFIX = "network."
"""Before the names of parameters, which are then not those of columns."""


def of_table_model(model: TableModel, dtype: str, examples: Any = None) -> Program:
    """The program of a model of a table. ``examples`` is a table on which it is checked."""
    target, names = model.target, input_names(model)
    trained, columns = model.trained, model.preprocessing.columns
    network = network_constants(trained, dtype)
    constants = {PREFIX + name: x for name, x in network.items()}
    classes = class_array(target.labels) if isinstance(target, ClassificationTarget) else None
    if classes is not None:
        constants[CLASSES] = classes

    def outputs(given: Mapping[str, Array]) -> dict[str, Array]:
        parts = [column.encode(read_input(column, given[names[column.name]])) for column in columns]
        xp = array_namespace(*parts)
        x = xp.astype(xp.concat(parts, axis=1), getattr(xp, dtype))
        _, y = network_outputs(trained, {name: given[PREFIX + name] for name in network}, x)
        if isinstance(target, ClassificationTarget):
            return {LABEL: xp.take(given[CLASSES], target.choose(y)), PROBABILITIES: y}
        return {VARIABLE: xp.reshape(_regression(target).unscale(y), (-1, 1))}

    def predict(frame: pl.DataFrame) -> Feeds:
        y = np.asarray(trained.predict(model.inputs(frame)))
        if isinstance(target, ClassificationTarget):
            label: Any = target.predictions(y)["prediction"].to_numpy()
            return {LABEL: label, PROBABILITIES: y}
        return {VARIABLE: _regression(target).unscale(y).reshape(-1, 1)}

    def rounded(frame: pl.DataFrame) -> float:
        scale = target.scale if isinstance(target, RegressionTarget) else 1.0
        return scale * rounding(trained, model.inputs(frame).astype(dtype), dtype)

    frames = _frames(model, examples)
    return Program(
        {names[column.name]: Tensor("str" if is_text_input(column) else "float64", 1) for column in columns},
        constants,
        outputs,
        [(table_inputs(model, frame), frame) for frame in frames],
        predict,
        rounded,
        target.threshold if isinstance(target, ClassificationTarget) else None,
        _described(model, names, classes),
    )


def input_names(model: TableModel) -> dict[str, str]:
    """The name of the input for each column: its own, with "_" at its end if the graph has that name already."""
    taken = {"", LABEL, PROBABILITIES, VARIABLE, CLASSES, *RESERVED}
    taken |= {PREFIX + name for name in network_constants(model.trained, model.trained.dtype)}
    names: dict[str, str] = {}
    for column in model.preprocessing.columns:
        name = column.name
        while name in taken:
            name += "_"
        names[column.name] = name
        taken.add(name)
    return names


def table_inputs(model: TableModel, table: Table | pl.DataFrame | str | PathLike[str]) -> dict[str, np.ndarray]:
    """What onnxruntime takes for the rows of a table: an array (rows, 1) for each input, by its name.

    Values are read as ``model.predict`` reads them. Text is an array of objects, a missing one is "". Other columns are
    float64 and NaN: numbers, booleans as 0 and 1, dates as days since 1970 in UTC, times of day as parts of a day, and
    durations in seconds. Raises and warns like ``model.predict``.

    Examples
    --------
    >>> session = onnxruntime.InferenceSession("model.onnx")  # doctest: +SKIP
    >>> session.run(None, onnx.table_inputs(model, "new.csv"))  # doctest: +SKIP
    """
    frame = without(raw_frame(table), model.target.name)
    model.preprocessing.check(frame)
    names = input_names(model)
    return {names[c.name]: column_input(c, frame[c.name]) for c in model.preprocessing.columns}


def _frames(model: TableModel, examples: Any) -> list[pl.DataFrame]:
    if examples is not None:
        return [without(raw_frame(examples), model.target.name)]
    columns = model.preprocessing.columns
    return [polars().DataFrame({column.name: sample_values(column, n) for column in columns}) for n in ROWS]


def _regression(target: Any) -> RegressionTarget:
    if not isinstance(target, RegressionTarget):
        raise TypeError(f"targets of the class {type(target).__name__} cannot be exported")
    return target


def _described(model: TableModel, names: Mapping[str, str], classes: np.ndarray | None) -> dict[str, str]:
    target = model.target
    columns = {names[c.name]: {"column": c.name, "values": described_column(c)} for c in model.preprocessing.columns}
    found = described(model.trained, model.preprocessing.features, classes)
    found |= {"task": target.task, "target": target.name, "columns": json.dumps(columns, ensure_ascii=False)}
    if isinstance(target, RegressionTarget):
        found["unit"] = "days since 1970-01-01" if target.value_kind == DATES else target.format.unit
    return found
