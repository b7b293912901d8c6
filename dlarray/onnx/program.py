"""A model's predictions as a function of named arrays: what is traced, what is checked, and what a file says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlarray.core.array import Array

__all__ = ["LABEL", "PROBABILITIES", "SCORES", "VARIABLE", "ExportError", "Feeds", "Program", "Tensor"]

LABEL, PROBABILITIES, SCORES, VARIABLE = "label", "probabilities", "scores", "variable"
"""The names of outputs: those of skl2onnx, and ``scores`` for losses without probabilities."""

Feeds = Mapping[str, np.ndarray]
"""Host arrays by the names of inputs or outputs."""


class ExportError(ValueError):
    """A model that cannot be written as an ONNX graph, or whose graph gives other predictions. No file is written."""


@dataclass(frozen=True)
class Tensor:
    """The type of an input: its dtype, "str" for text, and the number of columns; rows are examples, any number."""

    dtype: str
    columns: int


@dataclass(frozen=True)
class Program:
    """What an export needs of a model.

    Parameters
    ----------
    inputs
        The type of each input by its name.
    constants
        The arrays that the graph holds, such as weights, by name.
    outputs
        The outputs by name, from inputs and constants by name: formulas, which run on arrays of any library.
    samples
        What the graph is compared on: host arrays for its inputs, and the same as the model takes it.
    predict
        The same outputs from the model itself, on the host.
    rounding
        How far the predictions for such a sample are from those in float64: what rounding alone explains.
    threshold
        The number that divides two classes; None if the largest output decides. Rows near it can get either label.
    metadata
        What the file says of the model: text by name.
    """

    inputs: Mapping[str, Tensor]
    constants: Mapping[str, np.ndarray]
    outputs: Callable[[Mapping[str, Array]], dict[str, Array]]
    samples: Sequence[tuple[Feeds, Any]]
    predict: Callable[[Any], Feeds]
    rounding: Callable[[Any], float]
    threshold: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
