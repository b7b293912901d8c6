"""What a traced step means: the numbers, types and memory that NumPy would give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step

EXECUTORS = ["ufuncs", "numba"]


def second(step: Any, state: Any, batches: list[Any], executor: str = "ufuncs") -> tuple[Any, Any]:
    """The loss of the last batch: of the compiled step, which was checked on the first, and of the plain one."""
    fast = compile_step(step, executor)
    ours, plain = np.copy(state), np.copy(state)
    got = expected = None
    for batch in batches:
        ours, got = fast(ours, batch)
        plain, expected = step(plain, batch)
    assert list(fast.programs.values()) != [None]
    return got, expected


# Constants


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("reduction", ["sum", "mean", "max", "min"])
def test_a_reduction_of_a_constant_is_that_of_all_its_elements(reduction, axis, executor):
    if executor == "numba":
        pytest.importorskip("numba")

    def step(state, batch):
        x, w = batch
        xp = array_namespace(x)
        reduced = getattr(xp, reduction)(xp.full(x.shape, 0.1, dtype=x.dtype), axis=axis)
        return state + 0.0, w * xp.sum(reduced) + w * xp.sum(x)

    x = np.arange(12.0).reshape(3, 4)
    got, expected = second(step, np.ones(2), [(x, np.zeros(())), (x, np.ones(()))], executor)
    assert got == expected


def test_a_mean_weighted_by_default_weights_divides_by_all_of_them():
    def step(state, batch):
        x, on = batch
        xp = array_namespace(x)
        weight = xp.ones_like(x[:, 0])
        return state + 0.0, on * xp.sum(weight * xp.max(x, axis=1)) / xp.sum(weight)

    x = np.arange(12.0).reshape(3, 4)
    got, expected = second(step, np.ones(2), [(x, np.zeros(())), (x, np.ones(()))])
    assert got == expected == 7.0


# Numbers and arrays without axes


def by_operator(operator: str) -> Any:
    """a = x; a (operator)= w on the second operand of a step: what x is afterwards."""
    return eval(f"lambda a, w: operator.{operator}(a, w)", {"operator": __import__("operator")})


OPERATORS = ["iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"]
WITHOUT_AXES: dict[str, Any] = {
    "sum": lambda x, xp: xp.sum(x),
    "element": lambda x, xp: x[1],
    "ufunc": lambda x, xp: xp.exp(x[0]) + 1,
    "dot": lambda x, xp: x @ x,
    "argmax": lambda x, xp: xp.argmax(x) + 1.0,
    "view": lambda x, xp: xp.reshape((x * 2.0)[1:2], ()),
    "where": lambda x, xp: xp.where(x[0] > 1.0, x[0], x[1]),
    "ellipsis": lambda x, xp: (x * 1.0)[1, ...],
    "full": lambda x, xp: xp.full((), 3.0),
    "converted": lambda x, xp: xp.asarray(xp.sum(x)),
    "copy": lambda x, xp: np.copy(xp.sum(x)),
    "method": lambda x, xp: x.sum().copy(),
    "squeezed": lambda x, xp: xp.squeeze((x * 1.0)[1:2]),
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("make", WITHOUT_AXES)
def test_augmented_assignment_rebinds_a_number_and_writes_an_array(make, operator):
    def step(state, batch):
        x, w = batch
        xp = array_namespace(x)
        first = WITHOUT_AXES[make](x, xp)
        loss = first
        loss = by_operator(operator)(loss, xp.sum(w))
        return state + 0.0, (xp.asarray(loss) + 0.0, xp.asarray(first) + 0.0)

    x, neutral = np.array([1.0, 2.0, 4.0]), float(operator not in ("iadd", "isub"))
    got, expected = second(step, np.ones(2), [(x, np.array([neutral])), (x, np.array([3.0]))])
    np.testing.assert_array_equal(got, expected)


def test_a_counter_in_the_state_may_be_an_array_or_a_number():
    """The plan leaves an array where NumPy's first step leaves a number, so neither may show."""

    def step(state, x):
        t = state["t"]
        t += 1
        return {"t": t}, t * 1.0

    def remembered(state, x):
        t = old = state["t"]
        t += 1
        return {"t": t}, old * 1.0

    fast = compile_step(step)
    state = {"t": np.zeros(())}
    for i in range(3):
        state, loss = fast(state, np.ones(1))
        assert loss == i + 1
    fast, state, plain = compile_step(remembered), {"t": np.zeros(())}, {"t": np.zeros(())}
    with pytest.warns(PlannerWarning, match="NumPy does for an array and not for a number"):
        state, loss = fast(state, np.ones(1))
    plain, expected = remembered(plain, np.ones(1))
    assert loss == expected
    assert fast(state, np.ones(1))[1] == remembered(plain, np.ones(1))[1]


def test_a_librarys_arrays_without_axes_are_written():
    torch = pytest.importorskip("torch")
    from dlarray import backend

    def step(state, x):
        first = x.sum()
        loss = first
        loss += 1.0
        return state * 1.0, first * 1.0

    fast = backend.get("torch").compile(step)
    state = torch.ones(2)
    for i in range(3):
        state, loss = fast(state, torch.full((2,), float(i)))
        assert float(loss) == 2 * i + 1


# Views and copies

LAYOUTS: dict[str, Any] = {
    "rows": lambda s: s * 2.0,
    "columns": lambda s: s.T.copy() * 2.0 if s.shape == (2, 3) else s * 2.0,
    "transposed": lambda s: (s * 2.0).T,
    "of the order": lambda s: s.T * 2.0,
}
VIEWS: dict[str, Any] = {
    "T": lambda y, xp: y.T,
    "mT": lambda y, xp: y.mT,
    "slice": lambda y, xp: y[1:],
    "strided": lambda y, xp: y[::-1, ::2],
    "row": lambda y, xp: y[1],
    "new axis": lambda y, xp: y[None],
    "ellipsis": lambda y, xp: y[..., 1],
    "everything": lambda y, xp: y[...],
    "reshape": lambda y, xp: xp.reshape(y, (-1,)),
    "reshape T": lambda y, xp: xp.reshape(y.T, (-1,)),
    "method reshape": lambda y, xp: y.reshape(3, -1),
    "reshape F": lambda y, xp: y.reshape(-1, order="F"),
    "reshape copy": lambda y, xp: xp.reshape(y, (-1,), copy=True),
    "ravel": lambda y, xp: y.ravel(),
    "np.ravel": lambda y, xp: np.ravel(y.T),
    "ravel F": lambda y, xp: np.ravel(y, order="F"),
    "flatten": lambda y, xp: y.flatten(),
    "flatten F": lambda y, xp: y.flatten("F"),
    "expand_dims": lambda y, xp: xp.expand_dims(y, axis=1),
    "squeeze": lambda y, xp: y[:1].squeeze(),
    "np.squeeze": lambda y, xp: np.squeeze(y[:, :1], axis=1),
    "transpose": lambda y, xp: y.transpose(1, 0),
    "np.transpose": lambda y, xp: np.transpose(y),
    "permute_dims": lambda y, xp: xp.permute_dims(y, (1, 0)),
    "swapaxes": lambda y, xp: y.swapaxes(0, 1),
    "moveaxis": lambda y, xp: xp.moveaxis(y, 0, 1),
    "flip": lambda y, xp: xp.flip(y, axis=0),
    "fliplr": lambda y, xp: np.fliplr(y),
    "rot90": lambda y, xp: np.rot90(y),
    "rollaxis": lambda y, xp: np.rollaxis(y, 1),
    "atleast_2d": lambda y, xp: np.atleast_2d(y[0]),
    "real": lambda y, xp: np.real(y),
    "imag": lambda y, xp: np.imag(y) * 1.0,
    "asarray": lambda y, xp: xp.asarray(y),
    "asarray copy": lambda y, xp: xp.asarray(y, copy=True),
    "astype": lambda y, xp: y.astype(y.dtype),
    "astype view": lambda y, xp: y.astype(y.dtype, copy=False),
    "xp.astype view": lambda y, xp: xp.astype(y, y.dtype, copy=False),
    "view": lambda y, xp: y.view(y.dtype),
    "copy": lambda y, xp: y.copy(),
    "np.copy": lambda y, xp: np.copy(y),
    "positive": lambda y, xp: +y,
    "round": lambda y, xp: y.round(),
    "split": lambda y, xp: np.split(y, [1])[0],
    "array_split": lambda y, xp: np.array_split(y, 2, axis=1)[1],
    "unstack": lambda y, xp: xp.unstack(y)[1],
    "meshgrid": lambda y, xp: xp.meshgrid(y[0], y[1])[0],
    "meshgrid view": lambda y, xp: np.meshgrid(y[0], copy=False)[0],
    "iteration": lambda y, xp: list(y)[1],
    "list": lambda y, xp: y[[0, 1]],
    "array": lambda y, xp: y[np.array([1])],
    "mixed": lambda y, xp: y[np.array([1]), None],
    "number": lambda y, xp: y[xp.argmin(y[:, 0])],
    "number first": lambda y, xp: y[xp.argmax(y[0]) * 0],
    "0-d array": lambda y, xp: y[xp.asarray(xp.argmin(y[:, 0]))],
    "computed indices": lambda y, xp: y[xp.argsort(y[0])[:1]],
    "truth": lambda y, xp: y[True],
    "take": lambda y, xp: y.take(1, axis=0),
    "xp.take": lambda y, xp: xp.take(y, np.array([1]), axis=0),
    "repeat": lambda y, xp: y.repeat(1, axis=0),
    "tile": lambda y, xp: np.tile(y, 1),
    "roll": lambda y, xp: xp.roll(y, 0),
    "concat": lambda y, xp: xp.concat([y]),
    "stack": lambda y, xp: xp.stack([y])[0],
    "einsum": lambda y, xp: np.einsum("ij->ji", y),
    "nan_to_num": lambda y, xp: np.nan_to_num(y),
    "sort": lambda y, xp: np.sort(y),
    "diff": lambda y, xp: np.diff(y, n=0),
    "clip": lambda y, xp: np.clip(y, -9, 99),
    "maximum": lambda y, xp: xp.maximum(y, y),
    "where": lambda y, xp: xp.where(y > 0, y, y),
    "full": lambda y, xp: xp.reshape(xp.zeros_like(y), (-1,)),
}


@pytest.mark.filterwarnings("ignore::dlarray.planner.PlannerWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("view", VIEWS)
def test_what_is_written_through_a_view_is_numpys(view, layout):
    """In place on what a function gives, then the array is read: as NumPy has it, if need be without a plan."""

    def step(s, w):
        xp = array_namespace(w)
        y = LAYOUTS[layout](s)
        z = VIEWS[view](y, xp)
        z += xp.sum(w)
        return s * 1.0, (xp.sum(y * y), xp.sum(z * z))

    fast = compile_step(step)
    ours, plain = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3)
    for w in (np.zeros(2), np.ones(2)):
        ours, got = fast(ours, w)
        plain, expected = step(plain, w)
        assert got == expected
    y = LAYOUTS[layout](plain)
    is_copy = not np.shares_memory(y, VIEWS[view](y, np))
    contiguous = ("reshape", "ravel", "atleast", "flatten F", "full")  # a view for some orders of memory
    if is_copy and not any(name in view for name in contiguous):
        assert list(fast.programs.values()) != [None]


@pytest.mark.parametrize("view", VIEWS)
def test_views_and_copies_that_are_read_are_planned(view):
    def step(s, w):
        xp = array_namespace(w)
        z = VIEWS[view]((s * 2.0), xp)
        return s * 1.0, (z * 1.0, xp.sum(z * w[0]))

    got, expected = second(step, np.arange(6.0).reshape(2, 3), [np.zeros(2), np.ones(2)])
    np.testing.assert_array_equal(got[0], expected[0])
    assert got[1] == expected[1]


def test_matrix_products_in_place_write_the_array():
    def step(s, w):
        y = s * 1.0
        z = y
        y @= w
        return s * 1.0, np.sum(z)

    got, expected = second(step, np.ones((2, 2)), [np.eye(2), 2 * np.eye(2)])
    assert got == expected
