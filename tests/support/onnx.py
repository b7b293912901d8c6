"""ONNX files in tests: models without training, and what onnxruntime computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.losses import Loss
from dlarray.onnx.graph import graph


def untrained(model: dlarray.MLP, loss: Loss, dtype: str = "float32") -> dlarray.Trained:
    """A model with its initial weights on the CPU."""
    cpu = dlarray.resolve("cpu")
    return dlarray.Trained(model, model.init(0, cpu, dtype), model.init_buffers(cpu, dtype), loss, cpu, dtype)


def run(path: Path | str, feeds: dict[str, Any]) -> dict[str, Any]:
    """The outputs of an ONNX file in onnxruntime, by name."""
    runtime: Any = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def metadata(path: Path | str) -> dict[str, str]:
    """What an ONNX file says of its model."""
    onnx: Any = pytest.importorskip("onnx")
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


def inputs(features: int, n: int = 5, dtype: str = "float32") -> np.ndarray:
    """Random inputs."""
    return np.random.default_rng(1).normal(size=(n, features)).astype(dtype)


def computed(function: Callable[..., Any], *arrays: np.ndarray, shapes: Any = None) -> np.ndarray:
    """function(*arrays) by onnxruntime, on a graph of it."""
    onnx: Any = pytest.importorskip("onnx")
    runtime: Any = pytest.importorskip("onnxruntime")
    names = [f"x{i}" for i in range(len(arrays))]
    shapes = [x.shape for x in arrays] if shapes is None else shapes
    inputs = {name: (x.dtype.name, shape) for name, x, shape in zip(names, arrays, shapes, strict=True)}
    model = graph(lambda given: {"y": function(*given.values())}, inputs)
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], dict(zip(names, arrays, strict=True)))[0]
