"""The entries of a native step: batches and states of any arrays, and what an entry keeps alive."""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest

from dlarray.planner import compile as compile_step
from dlarray.planner.run.replay import Replay
from tests.support.native_steps import batch, close, start, started, step

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')


def shrink(state: Any, batch: Any) -> Any:
    """A step that does not look at its batch, and returns the old names too."""
    return state | {"theta": state["theta"] * 0.5}, (np.sum(state["theta"]), state.get("names"))


def replayed(compiled: Any) -> Replay:
    bound = compiled.repeatable()
    assert bound is not None
    return bound.replay


UNREAD = {
    **{name: np.zeros(4, name) for name in ("float16", "complex64", "longdouble", "M8[s]", "S3", "U2", "object")},
    "records": np.zeros(4, [("a", "f4"), ("b", "i8")]),
    "no examples": np.zeros((0, 3)),
}


@pytest.mark.parametrize("name", UNREAD)
def test_an_array_that_no_step_reads_can_be_of_any_kind(name: str) -> None:
    compiled = compile_step(lambda s, b: (s * 0.5, np.sum(s)), "native", check=False)
    state = np.arange(5.0)
    for n in range(3):
        state, loss = compiled(state, (np.ones(len(UNREAD[name])), UNREAD[name]))
        assert loss == 10 / 2**n
    assert replayed(compiled).enter is not None
    assert (replayed(compiled).many is None) == (name == "no examples")


def test_references_are_copied_with_their_counts() -> None:
    names = np.array([object(), object(), None], object)
    compiled, state = compile_step(shrink, "native", check=False), {"theta": np.arange(5.0), "names": names}
    before = [sys.getrefcount(item) for item in names[:2]]
    for _ in range(4):
        state, (_, old) = compiled(state, np.ones(3))
        assert list(old) == list(names)
    del compiled, old
    gc.collect()
    assert [sys.getrefcount(item) for item in names[:2]] == before


def test_several_steps_in_one_call_keep_code_and_memory_alive() -> None:
    state, plain, rows = start(), start(), 400
    many = replayed(started(state, batch(rows))).many
    assert many is not None
    gc.collect()
    others = [np.full(n, np.nan, np.float32) for n in range(1, 4000)]
    data, losses = batch(3 * rows, seed=1), np.empty(3, np.float32)
    order = np.random.default_rng(2).permutation(3 * rows).astype(np.int32)
    many(data, order, 0, losses)
    for first in (batch(rows), batch(rows)):
        plain, _ = step(plain, first)
    for n in range(3):
        plain, loss = step(plain, tuple(a[order[n * rows : (n + 1) * rows]] for a in data))
        close((state if n == 2 else plain, losses[n]), (plain, loss), 1e-4)
    del others
