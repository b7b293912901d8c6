"""Functions on arrays as ONNX graphs: the operators, with NumPy as the oracle."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray
from dlarray.core.array import array_namespace
from dlarray.onnx.graph import graph
from tests.support.onnx import computed

onnx = pytest.importorskip("onnx", reason="needs dlarray[onnx]")
pytest.importorskip("onnxruntime", reason="needs dlarray[onnx]")

X = np.asarray([[-2.5, -1.0, -0.3, 0.0], [1e-4, 0.5, 1.0, 3.5], [0.2, -0.0, 7.0, -1e-3]])
Y = np.asarray([[1.5, -2.0, 0.3, 2.0]])
UNARY = [
    "abs",
    "exp",
    "expm1",
    "sinh",
    "tanh",
    "sign",
    "floor",
    "round",
    "isnan",
    "isinf",
    "isfinite",
    "square",
    "negative",
]
REDUCTIONS = ["sum", "mean", "max", "min"]
OPERATORS = {
    "add": lambda x, y: 1 - x + y * 3,
    "quotient": lambda x, y: (2 / y + x / 3) // 2,
    "remainder": lambda x, y: x % y + 5 % y,
    "power": lambda x, y: x**2 + abs(y) ** 0.5 + 2**x + (abs(x) + 1) ** y,
    "comparisons": lambda x, y: ((x < y) & (x <= 1)) | (x != y) ^ ((y > 0) | (x >= y)) & ~(x == 0),
    "product": lambda x, y: x @ y.T + (x.mT @ x)[:3, :1],
}
INDEXES = {
    "row": lambda x: x[1],
    "last": lambda x: x[-1, ...],
    "column": lambda x: x[:, 2],
    "part": lambda x: x[0:2, 1:],
    "new axes": lambda x: x[:, None, 1:3, None],
    "one": lambda x: x[..., 0][1],
    "backwards": lambda x: x[::-1, ::2],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_one_array_is_that_of_numpy(name, dtype):
    x = np.append(X, [np.inf, -np.inf, np.nan, 50.0]).astype(dtype)
    with np.errstate(over="ignore"):
        expected = getattr(np, name)(x)
    actual = computed(lambda a: getattr(array_namespace(a), name)(a), x)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["log", "log1p", "sqrt"])
def test_a_function_of_positive_numbers_is_that_of_numpy(name, dtype):
    x = np.asarray([0, 1e-30, 1e-9, 1e-3, 0.5, 1, 2, 1e20, np.inf], dtype=dtype)
    with np.errstate(divide="ignore"):
        expected = getattr(np, name)(x)
    np.testing.assert_allclose(
        computed(lambda a: getattr(array_namespace(a), name)(a), x), expected, rtol=4 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_those_of_numpy(name):
    actual = computed(OPERATORS[name], X, Y)
    expected = OPERATORS[name](X, Y)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_are_those_of_numpy(name, axis):
    for keepdims in (False, True):
        actual = computed(lambda x, k=keepdims: getattr(array_namespace(x), name)(x, axis=axis, keepdims=k), X)
        np.testing.assert_allclose(actual, getattr(np, name)(X, axis=axis, keepdims=keepdims), rtol=1e-15)


def test_numbers_are_sorted_and_spread_as_by_numpy():
    for axis in (0, -1):
        np.testing.assert_array_equal(
            computed(lambda x, i=axis: array_namespace(x).sort(x, axis=i), X), np.sort(X, axis=axis)
        )
        np.testing.assert_allclose(computed(lambda x, i=axis: array_namespace(x).std(x, axis=i), X), X.std(axis=axis))
    falling = computed(lambda x: array_namespace(x).sort(x, descending=True), X)
    np.testing.assert_array_equal(falling, np.sort(X)[:, ::-1])
    np.testing.assert_array_equal(
        dlarray.to_numpy(array_namespace(x := dlarray.asarray(X, "onnx")).sort(x)), np.sort(X)
    )


@pytest.mark.parametrize("name", INDEXES)
def test_indexing_is_that_of_numpy(name):
    np.testing.assert_array_equal(computed(INDEXES[name], X), INDEXES[name](X))


def test_integers_wrap_shift_and_divide_as_numpys_do():
    words = np.asarray([-(2**31), -1234567, -1, 0, 1, 7, 2**31 - 1], dtype=np.int32)

    def scrambled(x):
        return [x * 1540483477, x ^ (x >> 7), (x >> 17) & 32767, (x << 3) | 5, x // 3, x % 5, ~x]

    for i in range(7):
        actual = computed(lambda x, i=i: scrambled(x)[i], words)
        assert actual.dtype == np.int32
        np.testing.assert_array_equal(actual, scrambled(words)[i])


def test_sums_of_integers_are_wide_and_mixed_types_are_promoted():
    words = np.asarray([[2**31 - 1, 2**31 - 1]], dtype=np.int32)
    assert computed(lambda x: array_namespace(x).sum(x), words) == 2**32 - 2
    actual = computed(lambda x, m: x * m + array_namespace(x).astype(m, x.dtype), X.astype("float32"), X > 0)
    assert actual.dtype == np.float32


def test_shapes_are_changed_as_by_numpy():
    def changed(xp, x):
        parts = [
            xp.reshape(x, (-1, 2)),
            xp.stack([x[0], x[1]], axis=1),
            xp.squeeze(xp.expand_dims(x, axis=0), axis=0)[:, :2],
        ]
        parts.append(xp.take(x, xp.asarray([2, 0]), axis=0)[:, 1:3])
        return xp.concat([*parts, xp.broadcast_to(x[:, :1], (3, 2)), xp.permute_dims(x, (1, 0))[:, :2]])

    np.testing.assert_array_equal(computed(lambda x: changed(array_namespace(x), x), X), changed(np, X))


def test_a_named_length_is_any_number_of_examples():
    def centred(x):
        xp = array_namespace(x)
        assert x.shape == (None, 4)
        rows = xp.reshape(xp.where(x > 0, x, xp.zeros_like(x)), (-1,))
        return xp.reshape(rows, (-1, 4)) - xp.mean(x, axis=0) + xp.ones_like(x[:, :1])

    for n in (1, 3):
        x = X[:n]
        np.testing.assert_allclose(
            computed(centred, x, shapes=[("N", 4)]), np.where(x > 0, x, 0) - x.mean(axis=0) + 1, rtol=1e-15
        )


def test_equal_operations_are_written_once_and_outputs_have_their_names():
    weights = np.arange(4.0)
    model = graph(
        lambda given: {"y": (given["x"] @ given["w"]) * (given["x"] @ given["w"]), "same": given["x"]},
        {"x": ("float64", ("N", 4))},
        {"w": weights},
    )
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Mul", "Identity"]
    assert [x.name for x in model.graph.output] == ["y", "same"]
    assert [x.name for x in model.graph.input] == ["x"]
    assert [x.name for x in model.graph.initializer] == ["w"]
    assert model.opset_import[0].version == 21
    assert model.ir_version == 10


def test_arrays_with_numbers_are_computed_at_once():
    x = dlarray.asarray(X, "onnx")
    xp = array_namespace(x)
    y = xp.sum(xp.exp(x) @ x.T, axis=1) > xp.asarray(1.0)
    np.testing.assert_array_equal(dlarray.to_numpy(y), (np.exp(X) @ X.T).sum(axis=1) > 1)
    assert float(x[0, 1]) == -1.0
    assert dlarray.device_of(y).name == "onnx:cpu"


def test_errors_say_what_a_graph_cannot_have():
    with pytest.raises(NotImplementedError, match="argsort cannot be written into an ONNX graph"):
        computed(lambda x: array_namespace(x).argsort(x), X)
    with pytest.raises(TypeError, match="no numbers while the graph is written"):
        computed(lambda x: x if x[0, 0] > 0 else -x, X)
    with pytest.raises(ValueError, match="no product"):
        computed(lambda x: x @ x, X)
