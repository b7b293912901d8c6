"""A program as an ONNX model: its formulas run once on arrays that record their operations."""

from __future__ import annotations

from typing import Any

from dlarray.core.libraries import version_of
from dlarray.onnx.graph import graph
from dlarray.onnx.libraries import library
from dlarray.onnx.operators import use_operators
from dlarray.onnx.program import Program

__all__ = ["ROWS", "trace"]

ROWS = "N"
"""The name of the first axis of inputs and outputs: any number of rows."""


def trace(program: Program) -> Any:
    """The model as a ModelProto: inputs and outputs by their names, and weights as initializers by theirs.

    Raises ExportError if a formula cannot be traced.
    """
    onnx = library("onnx")
    library("onnxruntime")
    inputs = {name: (tensor.dtype, (ROWS, tensor.columns)) for name, tensor in program.inputs.items()}
    proto = graph(program.outputs, inputs, program.constants)
    use_operators(proto)
    proto.producer_version = version_of("dlarray") or ""
    onnx.helper.set_model_props(proto, dict(program.metadata))
    return proto
