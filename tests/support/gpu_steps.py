"""Steps on a GPU, compared with the eager step on NumPy's arrays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import dlarray as dl
from dlarray.core import trees
from dlarray.planner.cuda.program import GpuProgram, Settings
from dlarray.planner.cuda.step import GpuStep, compile_on_gpu
from tests.support.gpu import WatchedGpu, to_gpu, to_host

__all__ = ["STAGES", "check", "close", "leaves", "network", "program", "run"]

STAGES = {"fused": Settings(False, False), "captured": Settings(False, True), "epilogues": Settings(True, True)}
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


def leaves(tree: Any) -> list[np.ndarray]:
    """The arrays of a tree, copied to the host."""
    return [to_host(x) for x in trees.leaves(tree) if hasattr(x, "dtype")]


def run(step: Callable[..., Any], state: Any, batches: Sequence[Any]) -> list[list[np.ndarray]]:
    """The arrays of the state and of the loss after each step."""
    found: list[list[np.ndarray]] = []
    for batch in batches:
        state, loss = step(state, batch)
        found.append(leaves((state, loss)))
    return found


def close(actual: list[list[np.ndarray]], expected: list[list[np.ndarray]]) -> None:
    """The same shapes and types, and numbers that are equal as far as rounding allows."""
    assert len(actual) == len(expected)
    for xs, ys in zip(actual, expected, strict=True):
        assert [(x.shape, x.dtype) for x in xs] == [(y.shape, y.dtype) for y in ys]
        for x, y in zip(xs, ys, strict=True):
            if x.dtype.kind == "f":
                limit = TOLERANCE[x.dtype.name]
                np.testing.assert_allclose(x, y, rtol=limit, atol=limit * float(np.max(np.abs(y), initial=0)))
            else:
                np.testing.assert_array_equal(x, y)


def check(
    step: Callable[..., Any], state: Any, batches: Sequence[Any], gpu: WatchedGpu, settings: Settings | None = None
) -> GpuStep:
    """Compare a step on the GPU with the eager one on NumPy's arrays."""
    planned = compile_on_gpu(step, gpu, settings or Settings())
    given = to_gpu(copy.deepcopy(state)), [to_gpu(batch) for batch in batches]
    expected = run(step, copy.deepcopy(state), copy.deepcopy(batches))
    close(run(planned, *given), expected)
    return planned


def program(planned: GpuStep) -> GpuProgram:
    """The one program of a step."""
    (found,) = planned.programs.values()
    assert found is not None
    return found


def network() -> tuple[Any, Any, list[Any]]:
    """A step of a small classifier in float64, its state, and three batches."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(24, 7)), rng.integers(0, 4, 24)
    model = dl.mlp(7, 16, 12, 4)
    made = [dl.first_step(model, np.roll(x, i, 0), labels, batch_size=8, dtype="float64") for i in range(3)]
    return made[0][0], made[0][1], [batch for _, _, batch in made]
