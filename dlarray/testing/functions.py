"""The functions of the array API as dlarray's formulas call them: with the same arguments, keywords and Python numbers.

A check's name is the formula that it computes, where ``xp`` is the namespace and ``device(x)`` the device of an array;
``ARRAYS`` has the other names. NumPy in float64 is the reference. Each formula is computed twice: of arrays from the
host, and of results of operations, which may be of another class, such as the expressions of a lazy library.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dlarray.core.array import Array, array_namespace, device
from dlarray.core.random import Bits
from dlarray.testing.check import Check, Deviation
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import beside, largest

__all__ = ["ARRAYS", "checks"]


def _normal(purpose: str, *shape: int) -> np.ndarray:
    return Bits(0, purpose).normal(int(np.prod(shape))).reshape(shape)


_X = np.concatenate([_normal("x", 4, 5), 8 * _normal("far x", 4, 5)])
_SPECIAL = np.asarray([0.0, -0.0, 1.0, -1.0, 1e4, -1e4, np.inf, -np.inf, np.nan])
ARRAYS = {
    "x": _X,
    "y": _normal("y", 8, 5),
    "W": _normal("W", 5, 3),
    "b": _normal("b", 5),
    "v": _normal("v", 12),
    "ascending": np.sort(_normal("ascending", 12)),
    "positive": np.abs(_X) + 1e-3,
    "small": 1e-5 * _X,
    "with_nan": np.where(_X > 1, np.nan, _X),
    "special": _SPECIAL,
    "not_negative": np.abs(_SPECIAL),
    "labels": np.asarray([2, 0, 1, 2, 2, 0, 1, 1], dtype="int32"),
    "t": np.asarray(3.0),
}
"""The arrays in the formulas; floats get the column's dtype, and ``labels`` is int32."""

EXACT = [
    *(f"xp.{name}(x)" for name in ("abs", "sign", "floor", "round", "zeros_like", "ones_like", "matrix_transpose")),
    *(f"xp.{name}(special)" for name in ("abs", "sign", "isfinite", "isnan")),
    # The larger of two, and a choice
    "xp.maximum(x, y)",
    "xp.minimum(x, y)",
    *(f"xp.{name}(x, {number})" for name in ("maximum", "minimum") for number in ("0.0", "1.0")),
    *(f"xp.{name}(with_nan, 0.0)" for name in ("maximum", "minimum")),
    "xp.maximum(t, 0.0)",
    "xp.where(x > y, x, y)",
    "xp.where(x > 0, x, 0.0)",
    "xp.where(x > 0, x, 1.0)",
    "xp.where(x > 0, 0.0, x)",
    "xp.where(x > 0, 1.0, x)",
    "xp.where(x > 0, float('-inf'), x)",
    "xp.where(x > 0, 0.25, xp.zeros_like(x))",
    "xp.where(x[:, :1] > 0, x, y)",
    "xp.where(t == 0, 1.0, t)",
    "xp.where(with_nan == with_nan, with_nan, 0.0)",
    "xp.where(labels > 1, labels, 0)",
    # Comparisons
    *(f"x {sign} y" for sign in ("==", "!=", "<", "<=", ">", ">=")),
    "with_nan == with_nan",
    "(x > 0) & (x < 3)",
    "(x > 3) | ~(x > 0)",
    "xp.reshape(labels, (-1, 1)) == labels[:3]",
    "xp.all(x > -99)",
    "xp.any(x > 99)",
    # The largest, and orders
    *(f"xp.{name}(x{axis})" for name in ("max", "min") for axis in ("", ", axis=0", ", axis=1")),
    "xp.max(x, axis=1, keepdims=True)",
    "xp.max(x, axis=-1, keepdims=True)",
    "xp.max(with_nan, axis=1)",
    "xp.min(labels, axis=0)",
    "xp.sum(labels, axis=-1, dtype=xp.int32)",
    "xp.cumulative_sum(xp.ones_like(labels), dtype=xp.int32)",
    "xp.take(v, xp.argsort(v))",
    "xp.astype(xp.searchsorted(ascending, ascending, side='left'), xp.int32)",
    "xp.astype(xp.searchsorted(ascending, ascending, side='right'), xp.int32)",
    # Shapes
    "xp.reshape(x, (-1,))",
    "xp.reshape(x, (x.shape[0], -1))",
    "xp.reshape(t, (1,))",
    "xp.concat((x, y))",
    "xp.concat([x, y], axis=-1)",
    "xp.stack([x, y])",
    "xp.take(x, labels, axis=0)",
    "xp.broadcast_to(x[:, :1], x.shape)",
    "v[:]",
    "x[:, 2]",
    "x[..., :2]",
    "x[1:3, ...]",
    "v[2:5]",
    # Dtypes
    "xp.astype(x > 0, x.dtype)",
    "xp.astype(labels, x.dtype)",
    "xp.astype(x, xp.int32)",
    "xp.astype(x, x.dtype, copy=False)",
    "xp.asarray([bool(xp.isdtype(x.dtype, ('bool', 'integral', 'real floating')))])",
    # New arrays
    "xp.asarray(x, copy=True)",
    "xp.asarray([0.5, 2.0], dtype=x.dtype, device=device(x))",
    "xp.zeros(3, dtype=x.dtype, device=device(x))",
    "xp.zeros((), dtype=xp.int32, device=device(x))",
    "xp.full((2, 3), 0.5, dtype=x.dtype, device=device(x))",
    "xp.full_like(x, 0.5)",
    "xp.ones_like(labels, dtype=x.dtype)",
    "xp.arange(5, dtype=xp.int32, device=device(x))",
    "xp.astype(xp.arange(5, device=device(x)), xp.int32)",
]
"""Formulas that compute nothing, so their results are exact."""

BITS = [
    "xp.bitwise_right_shift(labels, 1)",
    "xp.bitwise_left_shift(labels, 16)",
    "xp.bitwise_and(labels, 2)",
    "xp.bitwise_or(labels, 2)",
    "labels ^ labels[1:2]",
]
"""Bit operations of int32, also with Python ints."""

ROUNDED = [
    "xp.sqrt(positive)",
    "xp.sqrt(not_negative)",
    "xp.square(x)",
    "x + y",
    "x - y",
    "x * y",
    "x / positive",
    "-x",
    "1 - x",
    "2 * x",
    "x / 6",
    "1 / positive",
    "1 / special",
    "x + b",
    "x * y[:, :1]",
]
"""Operations that IEEE 754 rounds correctly: within half an ulp. Fast divisions and roots are within 2."""

COMPUTED = [
    *(f"xp.{name}(x)" for name in ("exp", "expm1", "tanh")),
    *(f"xp.{name}(y)" for name in ("sinh", "cos")),
    *(f"xp.{name}(positive)" for name in ("log", "log1p")),
    *(f"xp.{name}(special)" for name in ("exp", "expm1", "tanh")),
    *(f"xp.{name}(not_negative)" for name in ("log", "log1p")),
    *(f"xp.{name}(x{axis})" for name in ("sum", "mean") for axis in ("", ", axis=0", ", axis=-1")),
    *(f"xp.{name}(x, axis=-1, keepdims=True)" for name in ("sum", "mean")),
    "xp.mean(x, axis=(0,))",
    "xp.cumulative_sum(v)",
    "positive ** 2.5",
    "0.97 ** y",
    "x @ W",
    "(x * 2 + 1) @ W",
    "xp.matrix_transpose(x) @ y",
    "x @ xp.matrix_transpose(y)",
]
"""Functions and sums, in ulp of the larger of |result| and 1."""

RELATIVE = [f"xp.{name}(small)" for name in ("expm1", "log1p", "tanh")]
"""Functions that must be accurate close to 0, in ulp of the result."""


def checks() -> list[Check]:
    """The checks of this part."""
    return [
        *(_check(formula, 0.0) for formula in EXACT),
        Check("functions", "float(xp.finfo(x.dtype).eps)", _finfo, BASIC),
        Check("functions", "default_dtypes", _default_dtypes, BASIC),
        *(_check(formula, 0.0, needs=(*BASIC, "bit_operations")) for formula in BITS),
        *(_check(formula, 2.0) for formula in ROUNDED),
        Check("functions", "y += x; y -= 0.5; y *= x; y /= x", _in_place, BASIC, 8.0),
        *(_check(formula, 16.0) for formula in COMPUTED),
        *(_check(formula, 16.0, scale=0.0) for formula in RELATIVE),
    ]


def _check(formula: str, limit: float, scale: float = 1.0, needs: tuple[str, ...] = BASIC) -> Check:
    code = compile(formula, formula, "eval")
    arrays = {name: ARRAYS[name] for name in code.co_names if name in ARRAYS}

    def value(*given: Array) -> dict[str, Array | None]:
        names = dict(zip(arrays, given, strict=True))
        return {"": eval(code, {"xp": array_namespace(given[0]), "device": device, **names})}

    def measure(column: Column) -> Deviation:
        return _twice(column, value, *arrays.values(), scale=scale)

    return Check("functions", formula, measure, needs, limit)


def _in_place(column: Column) -> Deviation:
    def value(x: Array, y: Array) -> dict[str, Array | None]:
        y = y * 1.0
        y += x
        y -= 0.5
        y *= x
        y /= x
        return {"": y}

    return _twice(column, value, ARRAYS["positive"], ARRAYS["y"])


def _twice(
    column: Column, value: Callable[..., dict[str, Array | None]], *arrays: np.ndarray, scale: float = 1.0
) -> Deviation:
    """The largest deviation of a formula of these arrays, and of the same numbers as results of operations."""

    def of_results(*given: Array) -> dict[str, Array | None]:
        return value(*(x * 1 for x in given))  # exact in every dtype, also for -0.0

    runs = {"": value, "on a result of operations": of_results}
    return largest((name, partial(beside, column, f, *arrays, scale=scale)) for name, f in runs.items())


def _finfo(column: Column) -> None:
    xp, x = column.xp, column.array(ARRAYS["x"])
    eps, expected = float(xp.finfo(x.dtype).eps), float(np.finfo(column.dtype).eps)
    assert eps == expected, f"xp.finfo(x.dtype).eps is {eps!r}, expected {expected!r}"


def _default_dtypes(column: Column) -> None:
    xp, x = column.xp, column.array(ARRAYS["x"])
    default = xp.__array_namespace_info__().default_dtypes(device=device(x))["real floating"]
    assert xp.isdtype(default, "real floating"), (
        f"the default dtype of real numbers is {default!r}, expected xp.float32 or another for which "
        'xp.isdtype(dtype, "real floating") is true'
    )
