"""Views and copies in a traced step share the memory that they share in NumPy or torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import compile as compile_step
from tests.support.traced import second


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
