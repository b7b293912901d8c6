"""The time of a step, as ``fit`` does it, beside that of the same step on NumPy. No check fails by it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from time import perf_counter
from typing import Any

import numpy as np

from dlarray.losses import SparseCategoricalCrossEntropy
from dlarray.model import MLP, mlp
from dlarray.optimizers import Adam
from dlarray.testing.check import Check
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.training.options import compile_step
from dlarray.training.step import Step

__all__ = ["CASES", "checks", "seconds"]

CASES: dict[str, tuple[MLP, int]] = {
    "a small step": (mlp(32, 32, 10), 32),
    "a medium step": (mlp(128, 128, 128, 10), 128),
}
"""A model, and the examples of a batch: 1,400 weights, where the cost of a call decides, and 34,000."""

BUDGET, MOST = 0.3, 200
"""Seconds that are spent on repeating a step, and how often it is repeated at most."""


def checks() -> list[Check]:
    """The checks of this part."""
    return [Check("speed", name, partial(_measure, name), BASIC) for name in CASES]


def _measure(name: str, column: Column) -> str:
    here, numpy = seconds(name, column, None), _numpy(name, column.dtype)
    return f"{here / numpy:.2g}×, {here * 1e3:.3g} ms, NumPy {numpy * 1e3:.3g} ms"


@cache
def _numpy(name: str, dtype: str) -> float:
    return seconds(name, Column("cpu", "cpu", dtype), False)


def seconds(name: str, column: Column, compiled: bool | None) -> float:
    """The shortest time of a step of one of the cases, its result computed; ``compiled`` is the argument of ``fit``."""
    model, examples = CASES[name]
    device = column.target
    step = Step(model, SparseCategoricalCrossEntropy(), Adam(1e-3))
    run = compile_step(step, device, compiled)
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(examples, model.inputs)), rng.integers(0, model.outputs, examples)
    batch = (column.array(x), column.array(t), None)
    state = step.init(model.init(0, device, column.dtype), (), 0, device)
    once: Callable[[Any], tuple[Any, float]] = partial(_once, column, run, batch)
    state, _ = once(state)  # compiles
    state, second = once(state)
    times, end = [second], perf_counter() + BUDGET
    while len(times) < MOST and perf_counter() < end:
        state, took = once(state)
        times.append(took)
    return min(times)


def _once(column: Column, run: Callable[..., Any], batch: Any, state: Any) -> tuple[Any, float]:
    began = perf_counter()
    state, loss = run(state, batch)
    column.numpy(loss)  # some libraries wait only for what is read
    column.backend.synchronize(column.target.handle)
    return state, perf_counter() - began
