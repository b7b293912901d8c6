"""What a traced step means: the numbers, types and memory that NumPy would give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.array import array_namespace
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
