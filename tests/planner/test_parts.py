"""The parts of the planner, one by one: symbols, graph, grouping, lowering, memory, loops, the executor, trees."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from dlarray.core.array import array_namespace, device, is_array
from dlarray.core.trees import flatten, unflatten
from dlarray.device.description import Names
from dlarray.planner.kernel.interpreter import run, run_by_rows, validate
from dlarray.planner.kernel.loops import AFTER, BEFORE, OPERATIONS, Call, Input, Kernel, Operation
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run.program import Program
from dlarray.planner.run.tree_code import builder
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.namespace import Namespace
from dlarray.planner.trace.node import UntraceableError, form, is_dense
from dlarray.planner.trace.symbols import Symbol

EXECUTORS = {
    "ufuncs": lambda call: [f(*args) for f, args in ufuncs(call).calls],
    "blocks": lambda call: [f(*args) for f, args in partial(ufuncs, block=8)(call).calls],
    "rows": run_by_rows,
}


def symbol(shape: tuple[int, ...], dtype: str = "float32", number: int = 0, graph: Graph | None = None) -> Symbol:
    graph = graph or Graph()
    Namespace(graph)
    return Symbol(graph, graph.input(number, shape, dtype))


def planned(step: Any, state: Any, batch: Any) -> Program:
    program = Program(step, state, batch, ufuncs)
    for body in program.plan.bodies.values():
        validate(body.kernel)
    return program


def units(program: Program) -> list[str]:
    return [unit.op for unit in program.plan.units]


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


def test_a_kernels_operations_are_numpys():
    for name in OPERATIONS:
        assert name in ("where", "astype", "bits", "index") or hasattr(np, name)


# Grouping, lowering, memory


def softmax_step(state: Any, batch: Any) -> Any:
    (W, b), (x, t) = state, batch
    xp = array_namespace(W)
    z = x @ W
    z += b
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    q = e / xp.sum(e, axis=-1, keepdims=True)
    loss = -xp.mean(xp.log(xp.sum(q * t, axis=-1)))
    dz = (q - t) / x.shape[0]
    W -= 0.1 * (x.T @ dz)
    b -= 0.1 * xp.sum(dz, axis=0)
    return (W, b), loss


def arrays(*shapes: tuple[int, ...], dtype: str = "float64") -> tuple[np.ndarray, ...]:
    r = np.random.default_rng(3)
    return tuple(r.standard_normal(s).astype(dtype) for s in shapes)


def test_softmax_with_its_gradient_is_one_kernel():
    program = planned(softmax_step, arrays((5, 3), (3,)), arrays((7, 5), (7, 3)))
    kernels = [body for body in program.plan.bodies.values() if body.domain == (7, 3)]
    assert len(kernels) == 1
    assert kernels[0].kernel.sweeps >= 3
    assert units(program).count("matmul") == 2
    assert all(program.plan.is_in_place(i) for i in program.plan.donated)


def test_an_optimizer_is_one_kernel_over_the_whole_vector():
    def adam(state, g):
        theta, m, v, t = state
        xp = array_namespace(theta)
        t += 1
        m *= 0.9
        m += 0.1 * g
        v *= 0.99
        v += 0.01 * g * g
        theta -= 0.1 * m / (xp.sqrt(v) + 1e-8) * xp.astype(t, theta.dtype)
        return (theta, m, v, t), xp.sum(theta)

    program = planned(adam, (*arrays((50,), (50,), (50,)), np.zeros((), np.int32)), arrays((50,))[0])
    assert units(program) == ["group"]  # the vector and the counter
    assert program.plan.buffers == [8]  # the loss


def test_a_gradient_is_computed_in_its_slice_and_padding_is_kept():
    def step(state, x):
        xp = array_namespace(x)
        (theta,) = state
        W = xp.reshape(theta[:6], (3, 2))
        y = x @ W
        g = xp.concat([xp.reshape(x.T @ y, (-1,)), xp.sum(y, axis=0), xp.zeros(4, dtype=x.dtype)])
        theta -= 0.01 * g
        return (theta,), xp.sum(y)

    program = planned(step, arrays((12,)), arrays((4, 3))[0])
    slices = [p for p in program.plan.locations.values() if p.kind == "slice"]
    assert [p.start for p in slices] == [0, 6]
    (theta,), x = arrays((12,)), arrays((4, 3))[0]
    for _ in range(3):
        (plain,), expected = step((theta.copy(),), x)
        (theta,), loss = program.run([theta], [x])
        assert loss == expected
        np.testing.assert_array_equal(theta, plain)


def test_buffers_are_used_again():
    def deep(state, x):
        xp = array_namespace(x)
        for _ in range(6):
            x = xp.tanh(x @ state[0])
        return state, xp.sum(x)

    program = planned(deep, arrays((8, 8)), arrays((16, 8))[0])
    assert sum(program.plan.buffers) < program.plan.unshared / 3


def test_a_description_tells_products_kernels_and_places():
    text = str(planned(softmax_step, arrays((5, 3), (3,)), arrays((7, 5), (7, 3))).describe(Names()))
    assert text.startswith("2 products, ")
    assert "kernel over 7 × 3" in text
    assert "of each row" in text
    assert re.search(r"→ state\[0\]′: 5 × 3 float64, 120 B in state\[0\]$", text, re.MULTILINE)
    assert "2 of 2 arrays of the state are written in place" in text


# Loops


def softmax_kernel(dtype: str = "float64") -> Kernel:
    """dz = softmax(z + b) w - t, its columns' sums, every row's maximum, and the sum of all, doubled."""
    E, R, C, S = "E", "R", "C", "S"
    return Kernel(
        inputs=(Input(E, dtype), Input(R, dtype), Input(C, dtype), Input(E, dtype, dense=False)),
        constants=(dtype,),
        operations=(
            Operation("add", (0, 1), E, dtype, 0),  # 5: z + b
            Operation("max", (5,), C, dtype, 0, "row"),  # 6
            Operation("subtract", (5, 6), E, dtype, 1),
            Operation("exp", (7,), E, dtype, 1),  # 8: buffered
            Operation("sum", (8,), C, dtype, 1, "row"),  # 9
            Operation("divide", (2, 9), C, dtype, 2),  # 10
            Operation("multiply", (8, 10), E, dtype, 2),
            Operation("subtract", (11, 3), E, dtype, 2),  # 12: dz
            Operation("sum", (12,), R, dtype, 2, "column"),  # 13
            Operation("sum", (12,), S, dtype, 2, "all"),  # 14
            Operation("multiply", (14, 4), S, dtype, AFTER),  # 15
            Operation("min", (6,), S, dtype, 1, "all"),  # 16: of values by row
            Operation("index", (), C, "int32", 0),  # 17
            Operation("negative", (4,), S, dtype, BEFORE),  # 18
        ),
        outputs=(6, 12, 13, 15, 16, 17, 18),
    )


def softmax_call(rows: int, cols: int, dtype: str = "float64") -> Call:
    z, t = arrays((rows, cols), (cols, rows), dtype=dtype)
    b, w = arrays((1, cols), (rows, 1), dtype=dtype)
    outputs = [np.zeros(s, dtype) for s in ((rows, 1), (rows, cols), (1, cols), (1, 1), (1, 1))]
    outputs += [np.zeros((rows, 1), np.int32), np.zeros((1, 1), dtype)]
    return Call(softmax_kernel(dtype), rows, cols, [2.0], [z, b, w, t.T], outputs)


def test_what_a_sweep_evaluates_and_keeps():
    kernel = softmax_kernel()
    validate(kernel)
    assert kernel.sweeps == 3
    assert kernel.buffered == {8}
    assert [kernel.evaluated(s) for s in range(3)] == [[5, 6], [5, 7, 8, 9], [11, 12, 13, 14]]


def test_the_interpreter_does_what_the_formula_says():
    call = softmax_call(6, 4)
    run(call)
    z, b, w, t = call.inputs
    e = np.exp(z + b - (z + b).max(axis=1, keepdims=True))
    dz = e / e.sum(axis=1, keepdims=True) * w - t
    expected = [(z + b).max(axis=1), dz, dz.sum(axis=0), 2 * dz.sum(), (z + b).max(axis=1).min(), np.arange(6), -2.0]
    for made, value in zip(call.outputs, expected, strict=True):
        np.testing.assert_allclose(made.ravel(), np.ravel(value), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3), (7, 2), (16, 9)])
@pytest.mark.parametrize("name", EXECUTORS)
def test_executors_agree_with_the_interpreter(name, shape, dtype):
    call, oracle = softmax_call(*shape, dtype), softmax_call(*shape, dtype)
    run(oracle)
    for _ in range(2):  # a second step uses the memory of the first
        EXECUTORS[name](call)
    for made, value in zip(call.outputs, oracle.outputs, strict=True):
        np.testing.assert_allclose(
            made, value, rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-6 if dtype == "float32" else 1e-14
        )


SELECT = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5, 5e-324, -2.0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "int8"])
@pytest.mark.parametrize("constant", [None, 1, 2])
@pytest.mark.parametrize("name", EXECUTORS)
def test_selection_is_exact_to_the_bit(name, constant, dtype):
    values = np.array(SELECT)
    with np.errstate(all="ignore"):
        a = (values if dtype.startswith("float") else np.arange(8)).astype(dtype).reshape(2, 4)
    b = a[::-1, ::-1].copy()
    condition = np.array([[True, False, True, True], [False, True, False, True]])
    args = [0, 1, 2]
    inputs, given = [Input("E", "bool"), Input("E", dtype), Input("E", dtype)], [condition, a, b]
    if constant is not None:  # 0, whose bits are all 0, has a shorter form
        del inputs[constant], given[constant]
        args = [0, 2, 1] if constant == 1 else [0, 1, 2]
    constants, zero = ((), []) if constant is None else ((dtype,), [np.zeros((), dtype).item()])
    kernel = Kernel(tuple(inputs), constants, (Operation("where", tuple(args), "E", dtype, 0),), (3,))
    call = Call(kernel, 2, 4, zero, given, [np.empty((2, 4), dtype)])
    EXECUTORS[name](call)
    full = [condition, a, b]
    if constant is not None:
        full[constant] = np.zeros((2, 4), dtype)
    assert call.outputs[0].tobytes() == np.where(*full).astype(dtype).tobytes()


@pytest.mark.parametrize("name", EXECUTORS)
def test_maximum_keeps_nan_and_integers_wrap(name):
    x = np.array([[np.nan, 1.0, -1.0]])
    kernel = Kernel((Input("E", "float64"),), ("float64",), (Operation("maximum", (0, 1), "E", "float64", 0),), (2,))
    call = Call(kernel, 1, 3, [0.0], [x], [np.empty((1, 3))])
    EXECUTORS[name](call)
    np.testing.assert_array_equal(call.outputs[0], [[np.nan, 1.0, 0.0]])
    kernel = Kernel((Input("E", "int32"),), ("int32",), (Operation("multiply", (0, 1), "E", "int32", 0),), (2,))
    call = Call(kernel, 1, 2, [2**30], [np.array([[4, 3]], np.int32)], [np.empty((1, 2), np.int32)])
    EXECUTORS[name](call)
    np.testing.assert_array_equal(call.outputs[0], [[0, -(2**30)]])


@pytest.mark.parametrize("name", EXECUTORS)
def test_an_output_may_be_an_input_that_is_read_again(name):
    """x = x + 1 is written over x while y = x (x + 1), later in the same sweep, reads the old one."""
    operations = (Operation("add", (0, 1), "E", "float64", 0), Operation("multiply", (0, 2), "E", "float64", 0))
    kernel = Kernel((Input("E", "float64"),), ("float64",), operations, (2, 3))
    x, y = np.arange(24.0).reshape(4, 6), np.empty((4, 6))
    EXECUTORS[name](Call(kernel, 4, 6, [1.0], [x], [x, y]))
    old = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(x, old + 1)
    np.testing.assert_array_equal(y, old * (old + 1))


def test_what_breaks_the_promises_is_refused():
    late = (Operation("sum", (0,), "S", "float64", 0, "all"), Operation("add", (0, 1), "E", "float64", 0))
    with pytest.raises(AssertionError):
        validate(Kernel((Input("E", "float64"),), (), late, (2,)))
    with pytest.raises(AssertionError):
        validate(Kernel((Input("R", "float64"),), (), (Operation("sum", (0,), "C", "float64", 0, "row"),), (1,)))


# Trees


class Pair(NamedTuple):
    left: Any
    right: Any


def test_trees_are_taken_apart_and_put_together():
    tree = {"a": (np.ones(1), None), "b": [Pair(np.zeros(2), 3)], "c": (), "d": {}}
    leaves: list[Any] = []
    structure = flatten(tree, leaves)
    assert [a.size for a in leaves] == [1, 2]
    hash(structure)
    for again in (unflatten(structure, iter(leaves)), builder(structure)(leaves)):
        assert again["a"][0] is leaves[0]
        assert again["b"][0] == Pair(leaves[1], 3)
        assert (again["c"], again["d"], again["a"][1]) == ((), {}, None)
    assert flatten({"a": 1}, []) != flatten({"a": 2}, [])
