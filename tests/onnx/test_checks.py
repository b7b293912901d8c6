"""The check of a graph: each way in which it can differ from the model is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import Array, array_namespace
from dlarray.onnx.program import ExportError, Program, Tensor

for library in ("onnx", "onnxruntime"):
    pytest.importorskip(library)

from dlarray.onnx.checks import check_graph  # noqa: E402
from dlarray.onnx.tracing import trace  # noqa: E402

X = np.asarray([[0.2, 0.8], [0.7, 0.3], [0.1, 0.9]], dtype="float32")
WORDS = np.asarray(["a", "b"])


def identity(given: Any) -> dict[str, Array]:
    """A graph whose probabilities are its inputs."""
    x = given["X"]
    xp = array_namespace(x)
    return {"label": xp.take(given["classes"], xp.astype(x[:, 1] > 0.5, xp.int64)), "probabilities": x * 1.0}


def deviation(predict: Callable[[np.ndarray], dict[str, Any]], rounding: float = 0.0, x: np.ndarray = X) -> float:
    program = Program(
        {"X": Tensor("float32", 2)}, {"classes": WORDS}, identity, [({"X": x}, x)], predict, lambda _: rounding, 0.5
    )
    return check_graph(trace(program).SerializeToString(), program)


def right(x: np.ndarray) -> dict[str, Any]:
    return {"label": WORDS[(x[:, 1] > 0.5).astype(int)], "probabilities": x}


def test_equal_predictions_pass_and_differences_are_measured() -> None:
    assert deviation(right) == 0
    assert deviation(lambda x: right(x) | {"probabilities": x + np.float32(5e-7)}) == pytest.approx(5e-7, rel=0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": X + 1e-5}, "probabilities of the graph differs .* by up to 1e-05, and 1e-06 is allowed"),
        ({"probabilities": X[:2]}, r"probabilities of the graph has the shape \(3, 2\), and the model's \(2, 2\)"),
        ({"probabilities": np.where(X > 0.85, np.nan, X)}, "probabilities of the graph differs"),
        ({"probabilities": np.where(X > 0.85, np.inf, X)}, "probabilities of the graph differs"),
        ({"label": np.asarray(["b", "a", "a"])}, "labels of the graph differ from the model's, such as b for a"),
        ({"label": np.asarray(["b", "a"])}, "labels of the graph differ from the model's$"),
        ({"scores": X}, "the graph has the outputs label, probabilities, and the model label, probabilities, scores"),
    ],
)
def test_a_difference_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        deviation(lambda x: right(x) | change)


def test_rounding_allows_16_times_as_much_and_never_more_than_a_part_of_the_scale() -> None:
    def near(x: np.ndarray) -> dict[str, Any]:
        return right(x) | {"probabilities": x + np.float32(3e-6)}

    assert deviation(near, rounding=1e-6) == pytest.approx(3e-6, rel=0.1)
    with pytest.raises(ExportError, match="is allowed"):
        deviation(near, rounding=1e-7)
    with pytest.raises(ExportError, match="and 0.0001 is allowed"):
        deviation(lambda x: right(x) | {"probabilities": x + 1e-3}, rounding=1.0)


def test_a_label_can_differ_where_the_decision_is_as_close_as_rounding() -> None:
    x = np.asarray([[0.5, 0.5 + 1e-7], [0.1, 0.9]], dtype="float32")
    other = np.asarray(["a", "b"])
    assert deviation(lambda x: {"label": other, "probabilities": x}, x=x) == 0
    with pytest.raises(ExportError, match="labels of the graph differ"):
        deviation(lambda x: {"label": other[::-1], "probabilities": x}, x=x)


def test_a_graph_that_onnx_or_onnxruntime_refuses_is_named() -> None:
    program = Program({"X": Tensor("float32", 2)}, {"classes": WORDS}, identity, [({"Y": X}, X)], right, lambda _: 0.0)
    proto = trace(program)
    with pytest.raises(ExportError, match="the graph of this model is not usable: ValueError"):
        check_graph(proto.SerializeToString(), program)
    proto.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ExportError, match="not usable: .*NoSuchOperator"):
        check_graph(proto.SerializeToString(), program)
