"""ONNX graphs of formulas: a function runs once on symbols, which write every operation down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlarray.core.array import Array
from dlarray.device import resolve

__all__ = ["graph"]


def graph(
    function: Callable[[dict[str, Array]], Mapping[str, Array]],
    inputs: Mapping[str, tuple[str, Sequence[int | str]]],
    initializers: Mapping[str, np.ndarray] | None = None,
) -> Any:
    """The ONNX model, a ModelProto of opset 21, of a function on arrays.

    The function runs once. It gets a dict of arrays without numbers, whose namespace is ``array_namespace(x)``, and
    returns a dict of arrays, which are the outputs. Operations on arrays with numbers, which ``dlarray.asarray(values,
    "onnx")`` makes, are computed at once; their results are constants of the graph.

    Parameters
    ----------
    function
        From arrays by name, those of ``inputs`` and of ``initializers``, to the outputs by name.
    inputs
        The dtype and the shape of each input by name, such as ``{"x": ("float32", ("N", 64))}``. A length that is text
        is known only when the graph runs; ``x.shape`` has None there. The dtype "str" stands for text.
    initializers
        Arrays that the graph stores by name, such as weights. Those of names that are inputs too are default values of
        the inputs.

    Raises
    ------
    DeviceError
        If onnx or onnxruntime is not installed.
    NotImplementedError
        If the function uses a function of arrays that cannot be written into a graph.
    TypeError, ValueError
        If it needs numbers, or a length that is unknown.
    """
    backend: Any = resolve("onnx").backend
    return backend.graph(function, inputs, initializers)
