"""Several calls of one step, eager and planned, and their differences."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from dlarray.planner import PlannerWarning, accelerate
from dlarray.planner import compile as compile_step
from dlarray.planner.kernel.loops import Executor
from tests.fuzz.inputs import Inputs, Setup

__all__ = ["Case", "compared", "failure", "leaves"]

Records = list[tuple[str, np.ndarray]]
SHAKES = 3
TIMES = 8.0
"""The epsilons by which inputs are changed, to measure how far rounding changes the results."""
CALLERS = " (the caller's memory)"
"""Marks an array that shares memory with the state, which the next call consumes, or with a refilled batch."""
REFUSALS = (
    *("cannot be traced", "cannot be planned", "programs:", "captur", "memory", "hashed", "other kinds of arrays"),
    *("byte order", "read-only"),
)
"""Words of warnings that a step runs eagerly; any other warning says that a plan was wrong."""

SLOWER = "launch by launch"
"""Words of a warning of a plan for a GPU that is right, but not a graph."""


class Case(Protocol):
    """A program: source or a network."""

    @property
    def setup(self) -> Setup: ...
    @property
    def inference(self) -> bool: ...
    def source(self) -> str: ...
    def inputs(self, shake: float) -> Inputs: ...
    def function(self, inputs: Inputs, shake: float) -> Any: ...
    def start(self, inputs: Inputs, call: int = 0) -> Any: ...
    def text(self) -> str: ...
    def simpler(self) -> Iterator[Any]: ...


def failure(case: Case, executor: str | Executor, check: bool = True) -> str:
    """What is wrong with the plan of a program by an executor, as in ``compared``."""

    def planned(step: Any) -> Any:
        return accelerate(step, executor, check) if case.inference else compile_step(step, executor, check)

    return compared(case, planned)


def compared(case: Case, planned: Callable[[Any], Any]) -> str:
    """What is wrong with a planned step; "refused" if it runs eagerly, with a warning; else "".

    "invalid: …" if NumPy itself does not run it.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            expected = _run(case, None, 0)
            shaken = [_run(case, None, TIMES + i) for i in range(SHAKES)]
        except Exception as error:
            return f"invalid: {type(error).__name__}: {error}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PlannerWarning)
            try:
                actual = _run(case, planned, 0)
            except Exception as error:
                return f"raises {type(error).__name__}: {error}"
    warned = [str(w.message) for w in caught if issubclass(w.category, PlannerWarning)]
    warned = [text for text in warned if SLOWER not in text]
    wrong = [text for text in warned if not any(word in text for word in REFUSALS)]
    if wrong:
        return f"its plan is wrong: {wrong[0]}"
    with np.errstate(all="ignore"):
        return _difference(expected, actual, shaken, _rounding(case)) or ("refused" if warned else "")


def _difference(expected: Records, actual: Records, shaken: list[Records], rounding: float) -> str:
    for i, ((name, x), (other, y)) in enumerate(zip(expected, actual, strict=False)):
        if CALLERS in name:
            continue
        if CALLERS in other:
            return f"{other.removesuffix(CALLERS)}: has changed since"
        if why := _off(x, y, [run[i][1] for run in shaken if i < len(run)], rounding):
            return f"{name}: {why}"
        if name != other:
            return f"{name} eagerly, {other} planned"
    if len(expected) != len(actual):
        return f"{len(expected)} arrays eagerly, {len(actual)} planned"
    return ""


def _run(case: Case, fast: Callable[[Any], Any] | None, shake: float) -> Records:
    """The results of all calls, and at the end again those that must not have changed."""
    s = case.setup
    inputs = case.inputs(shake)
    step = case.function(inputs, shake)
    step = step if fast is None else fast(step)
    state = case.start(inputs)
    records: Records = []
    results: list[tuple[str, np.ndarray, Any]] = []
    """Each with its leaf; None if it shares memory with the state, which the next call consumes."""
    for call in range(s.calls):
        inputs.between(call)
        if call and call == s.restart:
            state = case.start(inputs, call)
        batch = inputs.batch(call, state)
        if case.inference:
            state = _changed(state, call, s)
            out = step(state, batch[0])
        else:
            state, out = step(state, batch)
        arrays = [leaf for _, leaf in leaves(state, "") if isinstance(leaf, np.ndarray)]
        for what, tree in (("state", state), ("batch", batch), ("result", out)):
            for name, leaf in leaves(tree, f"call {call}, {what}"):
                records.append((name, np.array(leaf)))
                if what == "result":
                    consumed = any(np.may_share_memory(leaf, a) for a in arrays if isinstance(leaf, np.ndarray))
                    results.append((f"{name}, at the end", np.array(leaf), None if consumed else leaf))
    for name, before, leaf in results:
        now = before if leaf is None else np.array(leaf)
        free = leaf is None or not np.array_equal(before, now, equal_nan=now.dtype.kind == "f")
        records.append((name + CALLERS * free, now))
    return records


def _changed(fixed: Any, call: int, s: Setup) -> Any:
    """The fixed tree after a change: written in place, of another type, in another order, with another number."""
    how = np.random.default_rng([s.seed, 3, call]).integers(0, 8) if call else 7
    if how == 0:
        return _mapped(fixed, lambda v: v.astype("float32" if v.dtype == np.float64 else "float64"))
    if how == 1:
        return _mapped(fixed, lambda v: v * 2 + 1)
    if how == 2:
        return dict(reversed(fixed.items())) if type(fixed) is dict else copy.deepcopy(fixed)
    if how == 3:
        return _mapped(fixed, lambda v: np.asfortranarray(v))
    if how == 4:
        for _, leaf in leaves(fixed, ""):
            if isinstance(leaf, np.ndarray) and leaf.flags.writeable:
                leaf *= 0.5 if leaf.dtype.kind == "f" else 2
    if how == 5:
        return _mapped(fixed, lambda v: v, lambda v: v + 1)
    return fixed


def _mapped(tree: Any, f: Callable[[Any], Any], number: Callable[[Any], Any] = lambda v: v) -> Any:
    if isinstance(tree, Mapping):
        return type(tree)((key, _mapped(v, f, number)) for key, v in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_mapped(v, f, number) for v in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(_mapped(v, f, number) for v in tree)
    return f(tree) if isinstance(tree, np.ndarray) else number(tree)


def leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The arrays and numbers of a tree, each with its path and the types of its containers."""
    if tree is None:
        return
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{name}, {type(tree).__name__}[{key!r}]")
    elif isinstance(tree, tuple | list):
        for i, value in enumerate(tree):
            yield from leaves(value, f"{name}, {type(tree).__name__}[{i}]")
    else:
        yield name, tree


def _rounding(case: Case) -> float:
    """The tolerance for sums in another order, relative to 1 and to the number, in the coarsest type of the case."""
    text = case.source() + case.setup.dtype + case.setup.dtype_of(1)
    if "float16" in text:
        return 2e-2
    return 2e-4 if "float32" in text or (case.inference and case.setup.calls > 1) else 1e-11


def _off(x: np.ndarray, y: np.ndarray, moved: list[np.ndarray], rounding: float) -> str:
    """The difference of two arrays beyond what rounding explains, element by element, in words."""
    if x.shape != y.shape or x.dtype != y.dtype:
        return f"{x.dtype}{x.shape} eagerly, {y.dtype}{y.shape} planned"
    if x.dtype.kind not in "fiub" or x.size == 0:
        return "" if np.array_equal(x, y) else f"{x} eagerly, {y} planned"
    if any(m.shape != x.shape for m in moved):
        return ""
    if x.dtype.kind != "f":
        bad = (x != y) & np.all([m == x for m in moved], axis=0)
    else:
        wide, other = x.astype(np.float64), y.astype(np.float64)
        noise = np.max([np.abs(np.where(m == x, 0, m.astype(np.float64) - wide)) for m in moved], axis=0)
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        noise = np.where(np.isnan(x) & np.all([np.isnan(m) for m in moved], axis=0), 0, noise)
        allowed = rounding * (1 + np.abs(np.where(np.isfinite(wide), wide, 0))) + 64 * noise
        free = ~np.isfinite(noise) | (noise > 0.01 * (1 + np.abs(wide)))
        bad = ~same & ~free & ~(np.abs(wide - other) <= allowed)
    if not np.any(bad):
        return ""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{int(np.sum(bad))} of {x.size} numbers, at {at} {x[at]!r} eagerly, {y[at]!r} planned"
