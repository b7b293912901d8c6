"""Compiled steps that close over arrays on the GPU, and that call the library: real CuPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.device import Device, DeviceError
from dlarray.planner import PlannerWarning

FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "c * x": lambda c, x: c * x,
    "x * c": lambda c, x: x * c,
    "c + x": lambda c, x: c + x,
    "c - x": lambda c, x: c - x,
    "x - c": lambda c, x: x - c,
    "c / x": lambda c, x: c / x,
    "c ** x": lambda c, x: c**x,
    "c > x": lambda c, x: c > x,
    "c == x": lambda c, x: c == x,
    "x @ c": lambda c, x: x.reshape((1, 8)) @ c.reshape((8, 1)),
    "c @ x": lambda c, x: c.reshape((1, 8)) @ x.reshape((8, 1)),
    "part": lambda c, x: c[2:] * x[2:],
    "where": lambda c, x: array_namespace(x).where(x < 3, c, 0.0),
    "maximum": lambda c, x: array_namespace(x).maximum(c, x),
    "concat": lambda c, x: array_namespace(x).concat([c, x]),
    "take": lambda c, x: array_namespace(x).take(c, array_namespace(x).asarray([3, 1])) * x[:2],
}


@pytest.fixture(scope="module")
def cuda() -> Device:
    try:
        return dl.device.resolve("cuda")
    except (DeviceError, ImportError) as error:
        pytest.skip(str(error).partition("\n")[0])


def step_of(form: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(batch[0])
        y = xp.astype(form(state[0]), xp.float32)
        return (state[0] + 0.1 * xp.sum(batch[0]),), xp.sum(y)

    return step


def programs(compiled: Any) -> list[Any]:
    return list(compiled.on(0).programs.values())


@pytest.mark.parametrize("name", FORMS)
def test_an_array_of_the_closure_is_read_where_it_lies(cuda: Device, name: str) -> None:
    """Also after it has been written between two steps."""
    host = np.arange(8, dtype=np.float32)
    c, form = cuda.asarray(host), FORMS[name]
    compiled = cuda.backend.compile(step_of(lambda x: form(c, x)))
    state = (cuda.asarray(np.ones(8, np.float32)),)
    plain = (np.ones(8, np.float32),)
    for i in range(4):
        if i == 2:
            c += 1
            host = host + 1
        state, loss = compiled(state, (cuda.asarray(np.full(3, 0.5, np.float32)),))
        plain, expected = step_of(partial(form, host))(plain, (np.full(3, 0.5, np.float32),))
        np.testing.assert_allclose(dl.to_numpy(loss), expected, rtol=1e-5)
    (program,) = programs(compiled)
    assert program.recorded


def test_a_closure_that_cannot_be_read_where_it_lies(cuda: Device) -> None:
    c = cuda.asarray(np.arange(16, dtype=np.float32))[::2]
    compiled = cuda.backend.compile(step_of(lambda x: c * x))
    with pytest.warns(PlannerWarning, match="closes over an array that is not contiguous"):
        _, loss = compiled((cuda.asarray(np.ones(8, np.float32)),), (cuda.asarray(np.ones(3, np.float32)),))
    assert float(dl.to_numpy(loss)) == 56


def test_a_closure_in_the_memory_of_the_state_runs_eagerly(cuda: Device) -> None:
    x = cuda.asarray(np.ones(8, np.float32))
    compiled = cuda.backend.compile(step_of(lambda y: x * y))
    batch = (cuda.asarray(np.ones(1, np.float32)),)
    _, first = compiled((x,), batch)  # writes the next state into x
    assert float(dl.to_numpy(first)) == 8
    _, second = compiled((x,), batch)
    assert float(dl.to_numpy(second)) == pytest.approx(8 * 1.1**2)


def test_a_graph_owns_what_the_calls_in_it_allocate(cuda: Device) -> None:
    """A lookup, and a sum over the middle of three axes, are calls of CuPy, which allocate."""

    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state[0])
        rows = xp.take(state[0], batch[0], axis=0)
        cube = xp.reshape(rows, (2, 3, 4))
        return (state[0] * 0.9,), xp.sum(xp.sum(cube * cube, axis=1))

    table, index = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 3, 1, 1, 4, 2], np.int32)
    compiled = cuda.backend.compile(step)
    state, plain = (cuda.asarray(table),), (table,)
    for _ in range(4):
        state, loss = compiled(state, (cuda.asarray(index),))
        others = [cuda.asarray(np.full(n, np.nan)) for n in (6, 24, 8, 512)]  # the pool would give them that memory
        again, loss2 = compiled(state, (cuda.asarray(index),))
        plain, expected = step(plain, (index,))
        np.testing.assert_allclose(dl.to_numpy(loss), expected, rtol=1e-12)
        plain, expected = step(plain, (index,))
        np.testing.assert_allclose(dl.to_numpy(loss2), expected, rtol=1e-12)
        state = again
        assert all(np.isnan(dl.to_numpy(x)).all() for x in others)
    (program,) = programs(compiled)
    assert program.recorded


def test_a_call_that_waits_stays_out_of_graphs(cuda: Device) -> None:
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state[0])
        return (state[0] + 1.0,), xp.sort(batch[0])[0]

    compiled = cuda.backend.compile(step)
    with pytest.warns(PlannerWarning, match="no graph can hold what the library allocates: sort"):
        _, loss = compiled((cuda.asarray(np.zeros(3)),), (cuda.asarray(np.array([3.0, 1.0, 2.0])),))
    assert float(dl.to_numpy(loss)) == 1
    (program,) = programs(compiled)
    assert not program.recorded
