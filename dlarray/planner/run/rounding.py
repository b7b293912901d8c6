"""How far rounding changes a step's results: its graph is evaluated again, and every operation rounds at random.

Each result is multiplied by 1 plus or minus up to two epsilons of its type, as another order or another function can
round. So rounding errors are found where they arise: 1 - a² for a = tanh z near 1 has few significant digits, for any
inputs. Whole numbers from arithmetic are exact and stay: a label in a float column, a count, a mask. So conversions to
integers and comparisons change only if their arguments depend on rounding.

Each addition of a sum rounds. The error depends on the order of additions, which a plan changes. Relative to the sum of
absolute values, it is √n epsilons for n terms added one by one, and log n epsilons for terms added in pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dlarray.planner.schedule.grouping import live
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.trace.node import LEAVES, VIEWS, Node, view_of

__all__ = ["PATTERN", "Rounding"]

_EXPONENTIAL = "exp expm1 log log1p log2 log10 power"
_CIRCULAR = "sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh arctanh"
_INEXACT = frozenset(f"{_EXPONENTIAL} {_CIRCULAR}".split())
"""Functions whose result can be off by an epsilon even if it is a whole number."""

_CHOOSING = "start wait max min maximum minimum where absolute negative positive concat sign rint floor ceil trunc"
_EXACT = frozenset(f"{_CHOOSING} equal not_equal less less_equal greater greater_equal".split())
"""Operations that return an argument or a whole number, and round nothing: z == max(z) always holds."""

PATTERN = 65_521
"""The number of random numbers that are repeated: a prime, so that rows get different ones."""


class Rounding:
    """A plan's graph on some inputs. ``products`` is how many epsilons the operands of matrix products are rounded by.

    That is 1, unless products are computed in a coarser type than their operands'.
    """

    def __init__(self, plan: Plan, inputs: Sequence[np.ndarray], products: int = 1) -> None:
        self._plan = plan
        self._inputs = inputs
        self._products = products
        self._nodes = sorted(live(plan.outputs), key=lambda n: n.number)
        self._last = {a: n for n in self._nodes for a in n.args}

    def outputs(self, times: int, seed: int = 0) -> list[np.ndarray]:
        """The outputs with every operation rounded by up to ``2 times`` epsilons; exact with 0."""
        draw = np.random.default_rng(seed)
        steps = _Pattern(draw.uniform(-2, 2, PATTERN) * times)
        outputs = set(self._plan.outputs)
        values: dict[Node, np.ndarray] = {}
        with np.errstate(all="ignore"):
            for node in self._nodes:
                order = "K" if node.op in VIEWS else "C"  # a plan's values are C-contiguous when they are reshaped
                value = np.asarray(self._value(node, [values[a] for a in node.args], steps), order=order)
                if times and _rounds(node):
                    value = _rounded(value, steps, node.op in _INEXACT, int(draw.integers(PATTERN)))
                values[node] = value
                for a in set(node.args):
                    if self._last[a] is node and a not in outputs:
                        del values[a]
        return [np.array(values[node]) for node in self._plan.outputs]

    def _value(self, node: Node, args: list[np.ndarray], steps: _Pattern) -> np.ndarray:
        op = node.op
        if op == "input":
            return self._inputs[int(node.attribute)]
        if op in LEAVES:
            return self._plan.constant(node)
        if op in VIEWS:
            return view_of(args[0], node)
        if op == "matmul":
            if self._products > 1:
                args = [_rounded(a, steps.times(self._products), True, i) for i, a in enumerate(args)]
            return _summed(np.matmul(*args), lambda: np.matmul(*map(np.abs, args)), args[0].shape[-1] ** 0.5, steps)
        if op == "concat":
            return np.concatenate(args)
        if op == "start":
            return args[0]
        if op in ("call", "wait"):
            return node.attribute(*args)
        if op == "astype":
            return args[0].astype(node.dtype)
        if op == "bits":
            return args[0].view(node.dtype)
        if op in ("sum", "max", "min"):
            x = args[0]
            axes = {"all": None, "row": -1, "column": tuple(range(x.ndim - 1))}[node.attribute]
            made = getattr(np, op)(x, axis=axes, keepdims=True).reshape(node.shape)
            if op != "sum":
                return made
            terms = max(x.size // max(made.size, 1), 1)
            times = terms**0.5 if node.attribute == "column" else 1 + math.log2(terms)  # as NumPy adds them
            return _summed(made, lambda: np.sum(np.abs(x), axis=axes, keepdims=True).reshape(node.shape), times, steps)
        made = np.asarray(getattr(np, op)(*args))
        return made.reshape(node.shape) if made.size == node.size else np.broadcast_to(made, node.shape)


def _rounds(node: Node) -> bool:
    return node.op == "input" or not (node.op in VIEWS or node.op in LEAVES or node.op in _EXACT)


class _Pattern:
    """Random numbers that are repeated along an array."""

    def __init__(self, steps: np.ndarray) -> None:
        self._steps = steps
        self._factors: dict[np.dtype[Any], np.ndarray] = {}

    def __bool__(self) -> bool:
        return bool(self._steps.any())

    def times(self, factor: float) -> _Pattern:
        """The numbers multiplied by this."""
        return _Pattern(self._steps * factor)

    def factors(self, kind: np.finfo[Any], start: int) -> np.ndarray:
        """1 + ε s for the numbers s, from the one with number ``-start`` on."""
        if kind.dtype not in self._factors:
            self._factors[kind.dtype] = np.tile(1 + kind.eps * self._steps.astype(kind.dtype), 2)
        return self._factors[kind.dtype][PATTERN - start :]

    def errors(self, kind: np.finfo[Any], epsilons: float, count: int) -> np.ndarray:
        """ε s for the first numbers s, multiplied by ``epsilons``."""
        return (self._steps[:count] * (epsilons * float(kind.eps))).astype(kind.dtype)


def _summed(total: np.ndarray, size: Callable[[], np.ndarray], times: float, steps: _Pattern) -> np.ndarray:
    """A sum, off by ``times`` epsilons of the sum of absolute values; a whole number stays exact."""
    if not steps or total.dtype.kind not in "fc":
        return total
    errors = steps.errors(np.finfo(total.dtype), times, total.size)
    made, flat, sizes = np.empty(total.size, total.dtype), np.reshape(total, -1), np.reshape(size(), -1)
    for part in _parts(total.size):
        np.add(flat[part], sizes[part] * errors[: part.stop - part.start], out=made[part])
        _keep_whole(flat[part], made[part])
    return made.reshape(total.shape)


def _rounded(x: np.ndarray, steps: _Pattern, inexact: bool, start: int) -> np.ndarray:
    """The floats of an array, each rounded at random; whole numbers unchanged, unless they are ``inexact`` too."""
    if x.dtype.kind not in "fc" or x.size == 0:
        return x
    factors = steps.factors(np.finfo(x.dtype), start)
    made, flat = np.empty(x.size, x.dtype), np.reshape(x, -1)
    for part in _parts(x.size):
        np.multiply(flat[part], factors[: part.stop - part.start], out=made[part])
        if not inexact:
            _keep_whole(flat[part], made[part])
    return made.reshape(x.shape)


def _parts(size: int) -> Iterator[slice]:
    """Parts of an array, each as long as the pattern, but for the last one: they stay in a core's cache."""
    return (slice(start, min(start + PATTERN, size)) for start in range(0, size, PATTERN))


def _keep_whole(x: np.ndarray, moved: np.ndarray) -> None:
    """Write the whole numbers of an array into another one."""
    whole = x == np.rint(x)
    if np.any(whole):  # seldom: writing by a mask takes as long as all the rest
        np.copyto(moved, x, where=whole)
