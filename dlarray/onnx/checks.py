"""The check of an exported graph: by onnx, and by onnxruntime against the model's own predictions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dlarray.onnx.libraries import library
from dlarray.onnx.program import LABEL, ExportError, Feeds, Program
from dlarray.onnx.zipmap import without_zipmap

__all__ = ["check_graph", "session_of"]

TOLERANCE = 1e-6
"""Of the largest prediction, or of 1 if that is smaller."""
ROUNDINGS, MOST = 16, 1e-4
"""So many times the rounding errors of the model's own predictions are allowed too, which grow with its layers; but
no more than this part of the largest prediction."""


def session_of(data: bytes) -> Any:
    """An onnxruntime session on one thread for this model file."""
    runtime = library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def check_graph(data: bytes, program: Program) -> float:
    """The largest deviation of a graph's predictions, as a part of the largest prediction or of 1.

    Raises ExportError if onnx finds a mistake in the graph, onnxruntime cannot run it, or a prediction differs by more
    than 1e-6 and rounding errors, or a label differs although its decision is not that close.
    """
    try:
        library("onnx").checker.check_model(data, full_check=True)
        session = session_of(data)
        names = [output.name for output in session.get_outputs()]
        runs = [session.run(names, dict(feeds)) for feeds, _ in program.samples]
        found = [without_zipmap(dict(zip(names, run, strict=True))) for run in runs]
    except ImportError:
        raise
    except Exception as error:
        raise ExportError(f"the graph of this model is not usable: {type(error).__name__}: {error}") from error
    return max(_deviation(got, sample, program) for got, (_, sample) in zip(found, program.samples, strict=True))


def _deviation(got: Feeds, sample: Any, program: Program) -> float:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about overflow, and about arrays without names of features
        wanted = program.predict(sample)
        rounding = program.rounding(sample)
    if got.keys() != wanted.keys():
        raise ExportError(f"the graph has the outputs {', '.join(got)}, and the model {', '.join(wanted)}")
    worst, unsure = 0.0, np.zeros(())
    for name in wanted:
        if name != LABEL:
            worst, tolerance = _compare(name, got[name], wanted[name], rounding)
            unsure = _unsure(wanted[name], wanted.get(LABEL), program.threshold, 2 * tolerance)
    if LABEL in wanted:
        _compare_labels(got[LABEL], np.asarray(wanted[LABEL]), unsure)
    return worst


def _compare(name: str, got: np.ndarray, wanted: np.ndarray, rounding: float) -> tuple[float, float]:
    """The largest difference as a part of the scale, and the absolute tolerance."""
    if got.shape != wanted.shape:
        raise ExportError(f"{name} of the graph has the shape {got.shape}, and the model's {wanted.shape}")
    known = np.isfinite(wanted)
    scale = float(np.max(np.abs(wanted), initial=1.0, where=known))
    tolerance = TOLERANCE * scale + min(ROUNDINGS * rounding, MOST * scale)
    apart = np.abs(np.where(known, got, 0.0) - np.where(known, wanted, 0.0))
    same = np.array_equal(np.where(known, 0.0, got), np.where(known, 0.0, wanted), equal_nan=True)
    if not same or not np.max(apart, initial=0.0) <= tolerance:
        row = int(np.argmax(np.max(np.where(np.isnan(apart), np.inf, apart), axis=-1)))
        raise ExportError(
            f"{name} of the graph differs from the model's by up to {np.max(apart, initial=0.0):.2g}, and "
            f"{tolerance:.2g} is allowed: {got[row]} in the graph, {wanted[row]} in the model"
        )
    return float(np.max(apart, initial=0.0)) / scale, tolerance


def _unsure(values: np.ndarray, labels: np.ndarray | None, threshold: float | None, least: float) -> np.ndarray:
    """Where a decision is closer than ``least``, so that rounding can change the label: (n,), or as several labels."""
    if threshold is not None:
        several = labels is not None and labels.ndim == 2
        return np.abs((values if several else values[:, -1]) - threshold) <= least
    if values.shape[1] < 2:
        return np.zeros(len(values), dtype=bool)
    two = np.sort(values, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0] <= least


def _compare_labels(got: np.ndarray, wanted: np.ndarray, unsure: np.ndarray) -> None:
    wanted = wanted.astype(str).astype(object) if wanted.dtype.kind in "UOT" else wanted.astype(got.dtype)
    if got.shape != wanted.shape or bool(np.any((got != wanted) & ~unsure)):
        which = "" if got.shape != wanted.shape else f", such as {got[got != wanted][0]} for {wanted[got != wanted][0]}"
        raise ExportError(f"labels of the graph differ from the model's{which}")
