"""Lazy libraries: a step records its operations and computes nothing, and what ``settle`` computes is kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dlarray.activations import ReLU
from dlarray.core.trees import leaves
from dlarray.layers import Dense
from dlarray.model import MLP
from dlarray.testing.check import Check, Deviation, NotApplicable
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import compare
from dlarray.testing.transfers import step_of
from dlarray.testing.watch import watching

__all__ = ["LIMIT", "checks"]

LIMIT = 8.0
"""In ulp of the largest number of each array: a library may fuse operations that are computed together."""


def checks() -> list[Check]:
    """The checks of this part, which say nothing about a library that computes each operation at once."""
    given: dict[str, Callable[[Column], float | None]] = {
        "a step computes nothing": _nothing,
        "settled arrays are not computed again": _once,
        "late numbers are those of early ones": _late,
    }
    return [Check("lazy", name, partial(_if_lazy, run), BASIC, LIMIT) for name, run in given.items()]


def _if_lazy(run: Callable[[Column], float | None], column: Column) -> float | None:
    if not column.backend.lazy:
        raise NotApplicable("the library computes each operation at once")
    return run(column)


def _nothing(column: Column) -> None:
    step, state, batch = step_of(column)
    state, _ = column.backend.settle(step(state, batch))
    with watching(column) as seen:
        step(state, batch)
    assert not seen, f"{len(seen)} times: {'; '.join(dict.fromkeys(seen))}"


def _once(column: Column) -> None:
    """Reading the same settled array twice computes nothing, where the backend can tell."""
    step, state, batch = step_of(column)
    state, loss = column.backend.settle(step(state, batch))
    column.numpy(loss)
    with column.backend.computations() as computed:
        if not isinstance(computed, list):
            raise NotApplicable("the backend does not report computations")
        column.backend.settle((state, loss))
    assert not computed, f"settled arrays are computed again: {'; '.join(map(str, computed))}"


def _late(column: Column) -> Deviation:
    """Two steps that are settled together, beside two that are settled one by one."""

    def run(each: bool) -> dict[str, np.ndarray]:
        step, state, batch = step_of(column, MLP(6, [Dense(4), ReLU(), Dense(3)]))
        done: list[Any] = []
        for _ in range(2):
            state, loss = step(state, batch)
            done.append(loss)
            if each:
                state, done[-1] = column.backend.settle((state, loss))
        found = [column.numpy(x) for x in leaves((state, done))]
        return {str(i): x for i, x in enumerate(found) if x.dtype == column.dtype}

    late, early = run(False), run(True)
    return compare(column, {name: column.array(x) for name, x in late.items()}, early, scale=None)
