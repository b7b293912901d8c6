"""A traced step has the numbers, types and memory of NumPy's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step

EXECUTORS = ["ufuncs", "numba"]


def second(step: Any, state: Any, batches: list[Any], executor: str = "ufuncs") -> tuple[Any, Any]:
    """The loss of the last batch: of the compiled step, which was checked on the first, and of the eager one."""
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


# Scalars and 0-d arrays


def by_operator(operator: str) -> Any:
    """The value of x after a = x; a (operator)= w on the second operand of a step."""
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
    """The plan leaves an array where NumPy's first step leaves a scalar, so the step must not depend on it."""

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
    with pytest.warns(PlannerWarning, match="NumPy does for an array and not for a scalar"):
        state, loss = fast(state, np.ones(1))
    plain, expected = remembered(plain, np.ones(1))
    assert loss == expected
    assert fast(state, np.ones(1))[1] == remembered(plain, np.ones(1))[1]


def test_a_librarys_arrays_without_axes_are_written():
    torch = pytest.importorskip("torch")
    from dlarray.device import backend

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


@pytest.mark.filterwarnings("ignore::dlarray.planner.PlannerWarning")
@pytest.mark.parametrize(
    "view", ["+y", "y.flatten()", "xp.meshgrid(y[0])[0]", "xp.conj(y)", "y.sum()", "y[0, 1]", "y[i]"]
)
def test_views_are_torchs_on_torch(view):
    """Functions that return the same memory on torch, and a copy or a scalar on NumPy."""
    torch = pytest.importorskip("torch")
    from dlarray.device import backend

    text = compile(view, view, "eval")

    def step(state, w):
        y = state * 2.0
        xp = array_namespace(y)
        first = z = eval(text, {"y": y, "xp": xp, "i": xp.argmin(y[:, 0])})
        z += w
        return state * 1.0, (first.sum() + 0.0, y.sum())

    fast = backend.get("torch").compile(step)
    state = torch.arange(6.0).reshape(2, 3)
    for i in range(3):
        state, got = fast(state, torch.tensor(float(i)))
        assert [float(g) for g in got] == [float(e) for e in step(state, torch.tensor(float(i)))[1]]


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
    """A write into a function's result, then a read of the array: as in NumPy, without a plan if necessary."""

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


# NumPy's arrays with symbols


def halved(state, x):
    """An array that the step makes and changes between two reads."""
    k, out = np.ones(3), 0.0
    for _ in range(3):
        out = out + np.sum(x * k)
        k *= 0.5
    return state + 0.0, out


def part_of_own(state, x):
    k = np.arange(6.0)
    part = k[::2]
    out = np.sum(x * part)
    k[2] = 7.0
    return state + 0.0, out + np.sum(x * k[1:4]) + np.sum(x * part)


def written_and_restored(state, x):
    k = np.ones(3)
    out = np.sum(x * k)
    k[...] = 2.0
    out = out + np.sum(x * k)
    k[...] = 1.0
    return state + 0.0, out


@pytest.mark.parametrize("step", [halved, part_of_own, written_and_restored])
def test_an_array_of_the_steps_own_has_the_numbers_that_were_read(step):
    got, expected = second(step, np.ones(2), [np.zeros(3), np.array([1.0, 2.0, 4.0])])
    assert got == expected


def test_an_array_of_the_closure_that_the_step_writes_runs_eagerly():
    calls = np.zeros(3)

    def step(state, x):
        out = np.sum(x * calls)
        calls[0] += 1
        return state + 0.0, out

    fast = compile_step(step)
    with pytest.warns(PlannerWarning, match="writes into a NumPy array after it has read it"):
        fast(np.ones(2), np.zeros(3))
    before = calls[0]
    assert fast(np.ones(2), np.ones(3))[1] == before


def test_an_array_of_the_closure_in_the_states_memory_runs_eagerly():
    state = np.ones(3)
    tail = state[1:]

    def step(s, x):
        return s * 0.5, np.sum(tail * x)

    fast, plain = compile_step(step), 2.0
    with pytest.warns(PlannerWarning, match="in the memory of its state"):
        after, loss = fast(state, np.ones(2))
    assert loss == plain
    assert fast(after, np.ones(2))[1] == plain


def test_constants_are_distinguished_by_all_their_bits():
    """Long arrays whose text is shortened, 0.0 and -0.0, True and 1, and two arrays of equal numbers."""
    one, other = np.zeros(5000), np.zeros(5000)
    other[2500] = 1.0
    places, others = np.zeros(5000, int), np.zeros(5000, int)
    others[2500] = 2

    def step(state, x):
        xp = array_namespace(x)
        signs = [xp.full(x.shape, z, dtype=x.dtype) * x + 0.0 * z for z in (0.0, -0.0)]
        return state + 0.0, (
            xp.sum(x[0] * one) + xp.sum(x[0] * other),
            xp.sum(x[places]) + 2 * xp.sum(x[others]),
            xp.copysign(1.0, xp.where(x > 9, x, -0.0)) + xp.copysign(1.0, xp.where(x > 9, x, 0.0)),
            xp.stack([1.0 / s for s in signs]),
            xp.where(x > 9, x, True) + xp.where(x > 9, x, 1) + xp.where(x > 9, x, 1.0),
        )

    x = np.array([1.0, 2.0, 3.0])
    with np.errstate(divide="ignore"):
        got, expected = second(step, np.ones(2), [x * 0, x])
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


class Louder(np.ndarray):
    """A user's array class."""

    def __mul__(self, other: Any) -> Any:
        return 2 * np.asarray(self) * other


STRANGE: dict[str, Any] = {
    "masked": lambda: np.ma.masked_array([1.0, 2.0, 4.0], [False, True, False]),
    "matrix": lambda: np.ones((3, 3)).view(np.matrix),
    "records": lambda: np.ones(3).view(np.recarray),
    "own": lambda: np.ones(3).view(Louder),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("place", ["batch", "closure"])
def test_arrays_that_compute_otherwise_run_eagerly(place, kind):
    given = STRANGE[kind]()

    def step(state, x):
        return state + 0.0, (x * given if place == "closure" else x * 2.0).sum()

    x = np.arange(3.0) if place == "closure" else given
    fast = compile_step(step)
    with pytest.warns(PlannerWarning, match=type(given).__name__):
        assert fast(np.ones(2), x)[1] == step(np.ones(2), x)[1]


# Steps that no plan can repeat

BY_VALUES: dict[str, Any] = {
    "mask": lambda x, i: x[x > 0],
    "mask of rows": lambda x, i: x[x > 0, None],
    "nonzero": lambda x, i: x.nonzero()[0],
    "np.nonzero": lambda x, i: np.nonzero(x)[0],
    "where": lambda x, i: np.where(x > 0)[0],
    "unique": lambda x, i: np.unique(i),
    "bincount": lambda x, i: np.bincount(i),
    "repeat": lambda x, i: np.repeat(x, i),
    "method repeat": lambda x, i: x.repeat(i),
    "compress": lambda x, i: np.compress(x > 0, x),
    "extract": lambda x, i: np.extract(x > 0, x),
    "trim_zeros": lambda x, i: np.trim_zeros(x),
    "delete": lambda x, i: np.delete(x, i),
    "histogram": lambda x, i: np.histogram(x)[0],
    "tile": lambda x, i: np.tile(x, i[0]),
    "pad": lambda x, i: np.pad(x, i[1]),
    "arange": lambda x, i: array_namespace(x).arange(i[2]),
    "slice": lambda x, i: x[: i[0]],
    "linspace": lambda x, i: np.linspace(0.0, x[0], i[0]),
    "emath": lambda x, i: np.emath.sqrt(x),
    "real_if_close": lambda x, i: np.real_if_close(x * 1j),
    "eigvals": lambda x, i: np.linalg.eigvals(x[None] * x[:, None]),
    "apply_along_axis": lambda x, i: np.apply_along_axis(lambda r: r[r > 0], 0, x),
    "union": lambda x, i: np.union1d(i, i),
    "float": lambda x, i: np.ones(3) * float(x[0]),
    "round": lambda x, i: np.ones(3) * round(x[0]),
}


@pytest.mark.parametrize("name", BY_VALUES)
def test_shapes_and_types_that_depend_on_numbers_run_eagerly_from_the_start(name):
    """The first batch is degenerate: its results have another shape or type than those of the next batch."""

    def step(state, batch):
        made = BY_VALUES[name](*batch)
        return state + 0.0, np.sum(made)

    first = (-np.ones(3), np.zeros(3, int))
    if name in ("mask", "emath", "eigvals", "real_if_close", "trim_zeros"):
        first = (np.ones(3), np.zeros(3, int))
    fast, batch = compile_step(step), (np.array([1.0, -2.0, 0.0]), np.array([1, 2, 1]))
    with pytest.warns(PlannerWarning, match="it cannot be traced: UntraceableError: .*(depend|branch|value|traced)"):
        fast(np.ones(2), first)
    assert fast(np.ones(2), batch)[1] == step(np.ones(2), batch)[1]


def test_a_function_is_known_as_an_object_and_not_by_its_name():
    """np.linalg.diagonal takes the last two axes, np.diagonal the first two; a user's ufunc can have any name."""

    def step(state, x):
        return state + 0.0, (np.linalg.diagonal(x) + 0.0, np.diagonal(x) + 0.0, np.linalg.trace(x) * 1.0)

    x = np.arange(8.0).reshape(2, 2, 2)
    got, expected = second(step, np.ones(2), [x * 0, x])
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_calls_that_write_into_an_argument_run_eagerly():
    buffer = np.zeros(3)
    writing = [
        lambda x: np.add(x, 1.0, out=buffer),
        lambda x: np.sum(x, 0, None, buffer[0:1].reshape(())),
        lambda x: np.median(x * 1.0, overwrite_input=True),
        lambda x: np.nan_to_num(x * 1.0, copy=False),
        lambda x: np.copyto(buffer, x),
        lambda x: np.lib.stride_tricks.sliding_window_view(x * 1.0, 2, writeable=True),
    ]
    for write in writing:
        fast = compile_step(lambda s, x, write=write: (s + 0.0, write(x)))
        with pytest.warns(PlannerWarning, match="writes into|cannot|branches|value"):
            fast(np.ones(2), np.ones(3))


ASSIGNMENTS: dict[str, Any] = {
    "mask": lambda y, w: y.__setitem__(y > 2, 0.0),
    "mask with an array": lambda y, w: y.__setitem__(y > 2, w),
    "mask with numbers": lambda y, w: y.__setitem__(y == 1, np.arange(2.0) * w + 5),
    "column": lambda y, w: y.__setitem__((slice(None), 0), w),
    "element": lambda y, w: y.__setitem__((1, 2), w * 2),
    "list": lambda y, w: y.__setitem__([1, 0], y),
    "augmented part": lambda y, w: y.__setitem__(0, y[0] + w),
    "everything": lambda y, w: y.__setitem__(..., w),
    "row into everything": lambda y, w: y.__setitem__(slice(None), np.ones((1, 1, 3)) * w),
    "add.at": lambda y, w: np.add.at(y, (y[:, 0].astype(int) % 2, np.array([0, 1])), w * y[0, :2]),
    "add.at twice": lambda y, w: np.add.at(y, np.array([1, 1, 0]), w),
    "negative.at": lambda y, w: np.negative.at(y, 1),
    "fill": lambda y, w: y.fill(2.5),
    "sort": lambda y, w: y.sort(axis=0),
}


@pytest.mark.parametrize("assign", ASSIGNMENTS)
def test_parts_of_an_array_are_assigned(assign):
    def step(state, w):
        y = state * 1.0
        ASSIGNMENTS[assign](y, w)
        return state + 0.0, (y, np.sum(y * y))

    got, expected = second(step, np.array([[1.0, 4.0, 3.0], [2.0, 1.0, 5.0]]), [np.zeros(()), np.ones(())])
    np.testing.assert_array_equal(got[0], expected[0])
    assert got[1] == expected[1]


def test_a_number_is_not_assigned_to():
    def step(state, x):
        total = np.sum(x)
        total[...] = 1.0
        return state, total

    fast = compile_step(step)
    with pytest.raises(TypeError, match="does not support item assignment"):
        fast(np.ones(2), np.ones(3))


# Closures


def test_a_state_in_the_memory_of_the_closures_arrays_runs_eagerly():
    w = np.ones(3)

    def step(state, x):
        return state * 0.5, np.sum(w * x)

    fast = compile_step(step)
    fast(np.ones(3), np.ones(3))
    with pytest.warns(PlannerWarning, match="the step captures an array that shares memory with the state"):
        state, loss = fast(w, np.ones(3))
    assert loss == 3.0
    np.testing.assert_array_equal(w, np.ones(3))
    np.testing.assert_array_equal(state, np.full(3, 0.5))


def test_what_a_step_does_besides_is_done_when_its_program_is_made():
    """With the check on symbols, arrays and synthetic arrays; once without; and the closure's numbers are fixed."""
    for check in (True, False):
        seen: list[str] = []
        rate = [0.5]

        def step(state, x, seen=seen, rate=rate):
            seen.append(type(x).__name__)
            return state - rate[0] * x, np.sum(x)

        fast, state = compile_step(step, check=check), np.ones(2)
        for _ in range(3):
            state, _ = fast(state, np.ones(2))
            rate[0] = 100.0
        assert seen == ["Symbol", "ndarray", "ndarray"][: 3 if check else 1]
        np.testing.assert_array_equal(state, np.full(2, -0.5))


def test_a_step_that_counts_in_an_array_of_its_closure_runs_eagerly():
    calls = np.zeros(())

    def step(state, x):
        calls[...] += 1
        return state + 0.0, np.sum(x) * calls

    fast = compile_step(step)
    with pytest.warns(PlannerWarning, match="writes into an array that it closes over"):
        fast(np.ones(2), np.zeros(3))
    before = float(calls)
    assert fast(np.ones(2), np.ones(3))[1] == 3 * (before + 1)


def test_what_a_step_keeps_of_its_symbols_is_not_read_later():
    kept: list[Any] = []

    def step(state, x):
        loss = np.sum(x) - (kept[-1] if kept else 0.0)
        kept.append(loss)
        return state + 0.0, loss

    with pytest.raises(TypeError, match="is read outside of it: make it part of the state"):
        compile_step(step)(np.ones(2), np.ones(3))


def caught(state, x):
    """One branch for arrays, another for symbols: they differ, but not on the first batch."""
    try:
        total = float(np.sum(x))
    except TypeError:
        total = 0.0
    return state + 0.0, total + np.sum(x)


def formatted(state, x):
    return state + 0.0, np.sum(x) * len(f"{x[0]:.0f}")


@pytest.mark.parametrize("step", [caught, formatted])
def test_what_was_refused_and_caught_runs_eagerly(step):
    fast = compile_step(step)
    with pytest.warns(PlannerWarning, match="cannot be traced"):
        fast(np.ones(2), np.zeros(3))
    x = np.array([100.0, 1.0, 2.0])
    assert fast(np.ones(2), x)[1] == step(np.ones(2), x)[1]


def test_copies_are_new_arrays():
    def step(state, x):
        y = state * 1.0
        old, older = copy.copy(y), copy.deepcopy({"y": y})["y"]
        y += np.sum(x)
        return state + 0.0, (np.sum(old), np.sum(older) * 2.0, np.sum(y))

    got, expected = second(step, np.ones(2), [np.zeros(3), np.ones(3)])
    assert got == expected


def test_what_numpy_says_of_a_refusal_does_not_hide_it():
    def step(state, x):
        y = np.zeros(3)
        y[0] = x[0]
        return state + 0.0, np.sum(y)

    with pytest.warns(PlannerWarning, match="UntraceableError: the step (reads an array's numbers|branches)"):
        compile_step(step)(np.ones(2), np.ones(3))


class Table:
    """Numbers of another library, whose text is shortened."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.array(self.numbers)

    def __repr__(self) -> str:
        return "Table(…)"


def test_calls_with_arguments_of_the_same_text_are_two():
    one, other = Table([0, 1]), Table([1, 2])

    def step(state, x):
        return state + 0.0, np.sum(np.take(x, one)) + 10 * np.sum(np.take(x, other))

    got, expected = second(step, np.ones(2), [np.zeros(3), np.array([1.0, 2.0, 4.0])])
    assert got == expected


def test_a_sample_of_zeros_that_fails_is_followed_by_ones():
    def step(state, batch):
        x, counts = batch
        return state + 0.0, np.average(x, weights=counts)

    x, counts = np.arange(3.0), np.array([1, 2, 3])
    got, expected = second(step, np.ones(2), [(x * 0, counts), (x, counts)])
    assert got == expected


@pytest.mark.filterwarnings("ignore::dlarray.planner.PlannerWarning")
def test_a_state_whose_arrays_share_memory_runs_eagerly():
    """The next step writes w, and g is a part of it."""

    def step(state, batch):
        w, g = state
        old = g * 1.0
        w *= 0.9
        w += batch
        return (w, w[:, 0]), (g + 0.0, old)

    fast = compile_step(step)
    ours = plain = None
    for i in range(4):
        ours = ours or (np.ones((2, 2)), np.zeros(2))
        plain = plain or (np.ones((2, 2)), np.zeros(2))
        ours, got = fast(ours, np.full((2, 2), float(i)))
        plain, expected = step(plain, np.full((2, 2), float(i)))
        np.testing.assert_array_equal(got, expected)


def test_parts_of_one_array_that_do_not_overlap_are_planned():
    def step(state, batch):
        both = np.concatenate(state) * 0.5 + batch
        return (both[:2], both[2:]), both.sum()

    fast = compile_step(step)
    state = (np.ones(2), np.ones(3))
    for _ in range(3):
        state, loss = fast(state, 1.0)
    assert fast.latest()
    assert loss == 5 * 1.875
