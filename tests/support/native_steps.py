"""A step for the tests of native code, compiled and bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.core.array import array_namespace
from dlarray.planner import compile as compile_step
from dlarray.planner.native import joined
from dlarray.planner.run.compiled import Compiled


def step(state: Any, batch: Any) -> Any:
    x, t = batch
    xp = array_namespace(x)
    d = xp.tanh(x @ state["w"]) - t
    g = xp.matmul(x.T, d * 0.25)
    m = 0.9 * state["m"] + g
    return {"w": state["w"] - 0.1 * m, "m": m, "n": state["n"] + 1}, xp.sum(d * d)


def start(dtype: str = "float32") -> Any:
    w = np.random.default_rng(1).standard_normal((5, 3)).astype(dtype)
    return {"w": w, "m": np.zeros_like(w), "n": np.zeros((), np.int32)}


def batch(rows: int = 8, seed: int = 0, dtype: str = "float32") -> Any:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, 5)).astype(dtype), rng.standard_normal((rows, 3)).astype(dtype)


def copied(state: Any) -> Any:
    return {name: np.array(array) for name, array in state.items()}


def close(found: Any, expected: Any, rtol: float = 1e-5) -> None:
    (state, loss), (other, right) = found, expected
    for name in other:
        np.testing.assert_allclose(state[name], other[name], rtol=rtol, atol=1e-6)
        assert state[name].dtype == other[name].dtype
    np.testing.assert_allclose(loss, right, rtol=rtol)


def started(state: Any, first: Any = None) -> Compiled:
    """A compiled step that has run twice, so it is bound to this state."""
    compiled = compile_step(step, "native", check=False)
    for _ in range(2):
        compiled(state, batch() if first is None else first)
    return compiled


def entry(compiled: Compiled) -> Callable[..., bool]:
    bound = compiled.repeatable()
    assert bound is not None
    assert bound.replay.enter is not None
    return bound.replay.enter


def module_of(compiled: Compiled) -> Any:
    bound = compiled.repeatable()
    assert bound is not None
    found = bound.replay._joined
    assert isinstance(found, joined.NativeStep)
    return found._module
