"""Operations of native kernels on edge cases: the numbers of NumPy, and defined ones where C and LLVM define none."""

from __future__ import annotations

import numpy as np
import pytest

from dlarray.planner.kernel.loops import Call, Input, Kernel, Operation
from tests.support.kernels import by_native

pytest.importorskip("llvmlite")

SHAPES = {"flat": (1, 83), "wide": (3, 47), "narrow": (35, 3)}
"""Each with elements that fill no vector."""
EDGES = [0.0, -0.0, 0.7, -0.7, 2.5, -2.5, 127.5, -129, 255.9, 300, -300, 32768, 65536, 7e4, -7e4, 1e30, -1e30]
EDGES += [sign * 2.0**n * part for sign in (1, -1) for n in (31, 32, 40, 62, 63, 64) for part in (1, 1 + 2**-20, 1.5)]
EDGES += [float("nan"), float("inf"), -float("inf")]
INTEGERS = [f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)]


def placed(values: np.ndarray, shape: str) -> np.ndarray:
    """The values in an array whose kernel has this shape of loops: not dense if it is wide or narrow."""
    made = np.resize(values, SHAPES[shape])
    return made if shape == "flat" else np.asfortranarray(made)


def converted(x: np.ndarray, dtype: str) -> np.ndarray:
    """``x.astype(dtype)`` by a kernel."""
    given = Input("E", x.dtype.name, x.flags.c_contiguous)
    kernel = Kernel((given,), (), (Operation("astype", (0,), "E", dtype, 0),), (1,))
    out = np.zeros(x.shape, dtype)
    by_native(Call(kernel, *x.shape, [], [x], [out]))
    return out


def as_integer(x: float, dtype: str) -> int:
    """What no int32 or int64 can hold becomes the smallest one; a small type has its lowest bits."""
    size = np.dtype(dtype).itemsize * 8
    width = max(size, 32)
    offset = 2 ** (width - 1) if dtype.startswith("u") and size == width and x >= 2.0 ** (width - 1) else 0
    smallest = -(2 ** (width - 1))
    whole = int(x) if np.isfinite(x) else smallest
    held = whole - offset if -smallest > whole - offset >= smallest else smallest
    bits = (held + offset) % 2**size
    return bits - 2**size if not dtype.startswith("u") and bits >= 2 ** (size - 1) else bits


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_float_becomes_a_defined_integer(dtype, shape):
    x = placed(np.array(EDGES, dtype), shape)
    for to in INTEGERS:
        expected = np.array([as_integer(float(v), to) for v in x.ravel()], to).reshape(x.shape)
        np.testing.assert_array_equal(converted(x, to), expected, f"{dtype} to {to}")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("values", [[-0.0], [0.0, -0.0], [np.inf, 1.0, 2.0], [1.0, np.inf, -np.inf], [np.nan, 1.0]])
def test_zeros_infinities_and_nan_are_summed_as_by_numpy(values, dtype, shape):
    x = placed(np.array(values, dtype), shape)
    axes = {"C": ("row", 1), "R": ("column", 0), "S": ("all", None)} if len(x) > 1 else {"S": ("all", None)}
    operations = tuple(Operation("sum", (0,), kind, dtype, 0, over) for kind, (over, _) in axes.items())
    given = Input("E", dtype, x.flags.c_contiguous)
    with np.errstate(invalid="ignore"):
        expected = [x.sum(axis, keepdims=True) for _, axis in axes.values()]
    outputs = [np.empty_like(e) for e in expected]
    kernel = Kernel((given,), (), operations, tuple(range(1, 1 + len(axes))))
    by_native(Call(kernel, *x.shape, [], [x], outputs))
    for made, e in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(made, e)
        np.testing.assert_array_equal(np.signbit(made)[~np.isnan(e)], np.signbit(e)[~np.isnan(e)])


@pytest.mark.parametrize("shape", ["wide", "narrow"])
@pytest.mark.parametrize("kind", "ERCS")
def test_a_number_to_the_power_of_many_and_many_to_that_of_one(kind: str, shape: str):
    rows, cols = SHAPES[shape]
    small = {"E": (rows, cols), "R": (1, cols), "C": (rows, 1), "S": (1, 1)}[kind]
    x, y = (np.random.default_rng(0).uniform(0.5, 2, size) for size in (small, (rows, cols)))
    inputs = Input(kind, "float64"), Input("E", "float64")  # pyright: ignore[reportArgumentType]
    operations = tuple(Operation("power", args, "E", "float64", 0) for args in ((0, 1), (1, 0)))
    outputs = [np.empty((rows, cols)) for _ in operations]
    by_native(Call(Kernel(inputs, (), operations, (2, 3)), rows, cols, [], [x, y], outputs))
    for made, expected in zip(outputs, (x**y, y**x), strict=True):
        np.testing.assert_allclose(made, expected, rtol=1e-14)
