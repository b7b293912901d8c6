"""ONNX: a training step or a prediction is written once as one graph, which onnxruntime runs.

Its arrays hold their numbers on the host, where NumPy computes what runs outside of a graph. ``dlarray.onnx`` writes
graphs to files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlarray.backend import OneDevice
from dlarray.core.array import Array

__all__ = ["OnnxBackend", "backend"]


class OnnxBackend(OneDevice):
    """Arrays of dlarray_onnx. ``compile`` writes a step as one graph."""

    name = "onnx"
    array_modules = ("dlarray_onnx",)
    requirement = "dlarray[onnx]"
    writes_in_place = False
    compiles = True
    compiler_note = "onnxruntime runs them as one graph, and dlarray.onnx.export_training writes it to a file"

    def namespace(self) -> Any:
        import onnx as onnx
        import onnxruntime as onnxruntime

        from dlarray_onnx.namespace import namespace

        return namespace

    def devices(self) -> list[str]:
        self.namespace()  # raises ImportError without the libraries, which small products do not need
        return super().devices()

    def version(self) -> str:
        import onnxruntime

        return onnxruntime.__version__

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        from dlarray_onnx.arrays import OnnxArray

        return OnnxArray(np.array(host))

    def to_numpy(self, x: Array) -> np.ndarray:
        from dlarray_onnx.arrays import numbers

        return numbers(x)

    def view(self, x: Array, dtype: str) -> Array:
        from dlarray_onnx.arrays import OnnxArray, is_symbol, numbers

        if is_symbol(x):
            raise NotImplementedError(
                "an ONNX graph cannot read the bits of a float: train without BFloat16State, or with compile=False"
            )
        return OnnxArray(numbers(x).view(dtype))

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        from dlarray_onnx.stepping import CompiledStep

        return CompiledStep(step)

    def accelerate(self, function: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
        from dlarray_onnx.stepping import CompiledFunction

        return CompiledFunction(function)

    def graph(
        self,
        function: Callable[[dict[str, Array]], Mapping[str, Array]],
        inputs: Mapping[str, tuple[str, Sequence[int | str]]],
        initializers: Mapping[str, np.ndarray] | None = None,
    ) -> Any:
        """The ONNX model of a function on its arrays; ``dlarray.onnx.graph`` describes it."""
        from dlarray_onnx.graph import graph

        return graph(function, inputs, initializers)


backend = OnnxBackend()
