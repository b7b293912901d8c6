"""``quantize``: a model as an ONNX file with products in 8-bit integers, and the accuracy that it keeps."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from dlarray import metrics
from dlarray.core.check import count
from dlarray.core.files import replacing
from dlarray.onnx.checks import check_graph, session_of
from dlarray.onnx.export import program_of
from dlarray.onnx.libraries import library
from dlarray.onnx.networks import class_array
from dlarray.onnx.program import LABEL, VARIABLE, ExportError, Feeds
from dlarray.onnx.tracing import trace
from dlarray.tables import ClassificationTarget, TableModel

__all__ = ["Quantized", "quantize"]

ROWS = 256
"""The rows of one batch of calibration."""


@dataclass(frozen=True)
class Quantized:
    """What ``quantize`` has written, and what it measured.

    ``agreement`` compares the predictions of the file with the model's on the rows of calibration: the share of equal
    labels, or R² for numbers. ``score`` and ``model_score`` are accuracies, or R² for numbers, of the file and of the
    model on the test rows; None without them. ``float_bytes`` is the size of the same graph in float32.
    """

    path: str
    bytes: int
    float_bytes: int
    agreement: float
    score: float | None = None
    model_score: float | None = None
    metric: str = "accuracy"

    def __str__(self) -> str:
        same = f"{self.agreement:.2%} of the labels" if self.metric == "accuracy" else f"R² {self.agreement:.4f}"
        lines = [
            f"{self.path}, {self.bytes:,} bytes ({self.float_bytes:,} in float32)",
            f"agrees with the model on the rows of calibration: {same}",
        ]
        if self.score is not None and self.model_score is not None:
            lines.append(f"{self.metric} on the test rows: {self.score:.4f}, of the model {self.model_score:.4f}")
        return "\n".join(lines)


def quantize(model: Any, path: str | PathLike[str], calibration: Any, *, test: Any = None) -> Quantized:
    """Write a trained model as an ONNX file whose matrix products are computed in 8-bit integers.

    onnxruntime's static quantisation: weights have a scale for each column, and what enters a product has the range
    that it has on the rows of calibration. Everything else, such as activations and preprocessing, stays in float32.
    Inputs and outputs are those of ``export``.

    Parameters
    ----------
    model
        As in ``export``.
    path
        The file.
    calibration
        Inputs like those that the file will get, a hundred or more: an array (n, features), or a table for a model of
        a table.
    test
        Examples on which the accuracy of both is measured: inputs and targets ``(x, y)``, or a table with the target.

    Returns
    -------
    quantized
        The sizes, the agreement with the model, and the scores on the test rows.

    Raises
    ------
    ExportError
        Like ``export``, and if the model has no product with weights.
    """
    program = program_of(model, "float32", calibration)
    proto = trace(program)
    before = proto.SerializeToString()
    check_graph(before, program)
    if not any(node.op_type == "MatMul" for node in proto.graph.node):
        raise ExportError("the model has no product with weights, so there is nothing to quantise: use export")
    [(feeds, sample)] = program.samples
    data = _quantized(before, feeds)
    library("onnx").checker.check_model(data)
    session = session_of(data)
    metric = "r2" if VARIABLE in program.predict(sample) else "accuracy"
    agreement = _score(metric, program.predict(sample), _run(session, feeds))
    score = model_score = None
    if test is not None:
        rows, truth = _truth(model, test)
        [(test_feeds, test_sample)] = program_of(model, "float32", rows).samples
        score = _score(metric, truth, _run(session, test_feeds))
        model_score = _score(metric, truth, program.predict(test_sample))
    with replacing(path) as file:
        file.write(data)
    return Quantized(fspath(path), len(data), len(before), agreement, score, model_score, metric)


class _Reader:
    """The rows of calibration in batches, as onnxruntime's ``CalibrationDataReader`` gives them."""

    def __init__(self, feeds: Feeds) -> None:
        self._batches = self._all(feeds)

    def _all(self, feeds: Feeds) -> Iterator[dict[str, np.ndarray]]:
        n = len(next(iter(feeds.values())))
        for i in range(0, n, ROWS):
            yield {name: x[i : i + ROWS] for name, x in feeds.items()}

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch; None after the last."""
        return next(self._batches, None)


def _quantized(data: bytes, feeds: Feeds) -> bytes:
    """The graph with its products in int8."""
    onnx, tools = library("onnx"), library("onnxruntime.quantization")
    with TemporaryDirectory() as folder, _without_advice():
        before, after = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(data)
        tools.quantize_static(
            str(before),
            str(after),
            _Reader(feeds),
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            extra_options={"WeightSymmetric": True},
        )
        proto = onnx.load(str(after))
    given = onnx.load_from_string(data)
    proto.producer_name, proto.producer_version = given.producer_name, given.producer_version
    metadata = {entry.key: entry.value for entry in given.metadata_props}
    onnx.helper.set_model_props(proto, metadata | {"quantization": "int8"})
    found: bytes = proto.SerializeToString()
    return found


@contextmanager
def _without_advice() -> Generator[None]:
    """Without onnxruntime's messages on the root logger, such as the one that recommends preprocessing."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _run(session: Any, feeds: Feeds) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def _truth(model: Any, test: Any) -> tuple[Any, Feeds]:
    """The test rows as the model takes them, and their targets under the name of the output."""
    if isinstance(model, TableModel):
        _, t = model.examples(test)
        target: Any = model.target
        if isinstance(target, ClassificationTarget):
            return test, {LABEL: class_array(target.labels)[t]}
        return test, {VARIABLE: target.unscale(t).reshape(-1, 1)}
    try:
        x, y = test
    except (TypeError, ValueError):
        raise ValueError("test must be (x, y): the inputs and the targets of the test examples") from None
    targets: np.ndarray = np.asarray(y)
    if len(targets) != len(x):
        raise ValueError(f"test has {count(len(x), 'example')} and {count(len(targets), 'target')}")
    return x, {LABEL: class_array(targets), VARIABLE: targets.reshape(len(targets), -1)}


def _score(metric: str, truth: Feeds, found: Feeds) -> float:
    """The accuracy of labels, or R² of numbers."""
    if metric == "r2":
        return float(metrics.r2(np.asarray(truth[VARIABLE], dtype=np.float64), found[VARIABLE].astype(np.float64)))
    wanted, got = (np.asarray(x[LABEL]) for x in (truth, found))
    if {wanted.dtype.kind, got.dtype.kind} & {"O", "U"}:
        wanted, got = wanted.astype(str), got.astype(str)
    same: np.ndarray = (wanted == got).reshape(len(got), -1).all(axis=1)
    return float(np.mean(same))
