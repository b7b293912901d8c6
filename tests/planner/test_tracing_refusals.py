"""A step that no plan can repeat runs eagerly, with a warning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step

# Shapes, types and branches that depend on numbers

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


def test_what_numpy_says_of_a_refusal_does_not_hide_it():
    def step(state, x):
        y = np.zeros(3)
        y[0] = x[0]
        return state + 0.0, np.sum(y)

    with pytest.warns(PlannerWarning, match="UntraceableError: the step (reads an array's numbers|branches)"):
        compile_step(step)(np.ones(2), np.ones(3))


# Writes into arguments


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


# Other array classes


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


class Own(np.ndarray):
    """A user's array class, whose operations can differ from NumPy's."""


@pytest.mark.parametrize("kind", [Own, np.ma.MaskedArray, np.matrix])
def test_other_kinds_of_arrays_run_eagerly_and_say_so(kind: Any) -> None:
    fast = compile_step(lambda s, x: (s * 0.5, np.sum(x)))
    x = kind(np.ones((2, 2))) if kind is np.ma.MaskedArray else np.ones((2, 2)).view(kind)
    with pytest.warns(PlannerWarning, match=f"an array is a {kind.__name__}"):
        fast(np.ones(2), x)
    state, loss = fast(np.ones(2), x)
    assert loss == 4
    assert fast(state, np.ones((2, 2)))[1] == 4
