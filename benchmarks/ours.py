"""dlarray's own players, and the limit."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from dlarray.bench import Player, Problem, Products, Walk
from dlarray.device import resolve


def compiler(numba: bool | None = None, check: bool = True) -> Callable[..., Any]:
    """The planner for NumPy with one of its executors; by default with Numba where that is installed.

    A step that it cannot plan is an error here, not a warning: it would be measured under a wrong name.
    """
    from dlarray.planner import PlannerWarning, compile, fastest  # noqa: A004 - the field's word

    warnings.simplefilter("error", PlannerWarning)
    if numba is None:
        numba = fastest() == "numba"
    if not numba:
        return partial(compile, executor="ufuncs", check=check)

    from dlarray.planner.numba.executor import numba_loops

    return partial(compile, executor=numba_loops, check=check)


def limit(problem: Problem) -> Player:
    """The matrix products alone, through NumPy's BLAS."""
    return Products(problem.case, resolve("cpu"))


def without_numba(problem: Problem) -> Player:
    """NumPy and nothing else; Numba is hidden, as on a machine that has none."""
    sys.modules["numba"] = None  # type: ignore[assignment]
    return Walk(problem, resolve("cpu"), compiler(numba=False))


def fast(problem: Problem) -> Player:
    """NumPy with the extra ``fast``: kernels compiled by Numba."""
    return Walk(problem, resolve("cpu"), compiler(numba=True))


def eager(problem: Problem) -> Player:
    """The formulas run plainly, one operation at a time."""
    return Walk(problem, resolve("cpu"))


def reference(problem: Problem) -> Player:
    """The formulas run plainly in float64: how far rounding alone leads away from it is measured against this."""
    case = replace(problem.case, dtype="float64")
    wide = [(x.astype("float64"), t) for x, t in problem.batches]
    return Walk(Problem(case, problem.weights, wide), resolve("cpu"))


def on_jax(problem: Problem) -> Player:
    """dlarray on JAX's arrays, the step compiled by XLA."""
    jax = resolve("jax")
    return Walk(problem, jax, jax.backend.compile)


def on_torch(problem: Problem) -> Player:
    """dlarray on torch's tensors, as ``fit`` runs it: planned. A step that is not is an error here."""
    from dlarray.planner import PlannerWarning

    warnings.simplefilter("error", PlannerWarning)
    torch = resolve("torch")
    return Walk(problem, torch, torch.backend.compile if torch.backend.compiles_on(torch.place) else None)


def on_torch_compiled(problem: Problem) -> Player:
    """dlarray on torch's tensors, the step compiled by torch."""
    from dlarray_torch import compiled_by_torch

    return Walk(problem, resolve("torch"), compiled_by_torch)


def on_torch_eager(problem: Problem) -> Player:
    """dlarray on torch's tensors, the formulas run plainly."""
    return Walk(problem, resolve("torch"))
