"""Symbols are arrays of the standard, and their graph holds each value once."""

from __future__ import annotations

import numpy as np
import pytest

from dlarray.core.array import array_namespace, device, is_array
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.namespace import Namespace
from dlarray.planner.trace.node import UntraceableError, form, is_dense
from dlarray.planner.trace.symbols import Symbol


def symbol(shape: tuple[int, ...], dtype: str = "float32", number: int = 0, graph: Graph | None = None) -> Symbol:
    graph = graph or Graph()
    Namespace(graph)
    return Symbol(graph, graph.input(number, shape, dtype))


# Symbols


def test_a_symbol_is_an_array_of_the_standard():
    x = symbol((3, 4))
    xp = array_namespace(x, x.T, 2.0)
    assert is_array(x)
    assert device(x) == "cpu"
    assert xp.isdtype(x.dtype, "real floating")
    assert xp.finfo(x.dtype).eps == np.finfo(np.float32).eps
    assert (x.T.shape, len(x), x.ndim, x.size) == ((4, 3), 3, 2, 12)


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize(
    "other", [2, 0.5, True, np.float64(2), np.int32(3), np.ones(4, np.float32), np.ones(4, np.int64)]
)
@pytest.mark.parametrize("f", ["add", "multiply", "divide", "maximum", "less", "pow", "where", "floor_divide"])
def test_results_have_numpys_type(f, other, dtype):
    x = np.ones(4, dtype)
    xp = array_namespace(x)
    g = (
        (lambda xp, a: xp.where(xp.astype(a, xp.bool), a, other))
        if f == "where"
        else lambda xp, a: getattr(xp, f)(a, other)
    )
    try:
        expected = g(xp, x)
    except TypeError:
        return
    s = symbol((4,), dtype)
    made = g(array_namespace(s), s)
    assert made.dtype == expected.dtype
    assert made.shape == expected.shape


def test_augmented_assignment_keeps_type_and_shape():
    x = symbol((3,))
    y = x * 2
    y += symbol((3,), "float64", 1, x.graph)
    assert y.dtype == np.float32
    with pytest.raises(ValueError, match="cannot be written"):
        y += symbol((2, 3), "float32", 2, x.graph)
    z = symbol((3,), "int32")
    with pytest.raises(TypeError, match="type float64"):
        z += 0.5


def test_stale_views_refuse_and_numbers_of_their_own_do_not():
    x = symbol((3,)) + 0.0
    first, part = x[0], x[:1]
    x += 1
    assert (first + 1).shape == ()
    with pytest.raises(UntraceableError, match="another view"):
        _ = part + 1


@pytest.mark.parametrize("ask", [bool, float, int, np.asarray, lambda x: x.item(), lambda x: np.unique(x)])
def test_values_cannot_be_read(ask):
    with pytest.raises(UntraceableError):
        ask(symbol((1,)))


# Graph


def test_the_same_value_is_computed_once():
    x = symbol((3,))
    assert (x * 2 + 1).node is (x * 2 + 1).node
    assert (x * 0.0).node is not (x * -0.0).node
    assert symbol((3,), "int32").node is not x.node


def test_forms_and_density():
    assert [form(s) for s in ((), (4,), (3, 4), (2, 3, 4))] == [(1, 1), (1, 4), (3, 4), (6, 4)]
    x = symbol((4, 6))
    assert is_dense(x[1:3].node)
    assert not is_dense(x[:, 1:3].node)
    assert not is_dense(x.T.node)
    xp = array_namespace(x)
    assert xp.reshape(x.T, (-1,)).node.args[0].op == "call"  # memory order requires a copy


def test_a_mask_is_generated_in_its_own_shape():
    xp = array_namespace(x := symbol((3, 4)))
    bits = xp.reshape((xp.arange(12, dtype=xp.int32) ^ 5) * 7, (3, 4))
    assert bits.node.op == "multiply"
    assert (x * xp.astype(bits < 9, x.dtype)).shape == (3, 4)
