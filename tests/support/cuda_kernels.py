"""Kernels by hand for the printer of CUDA C, and shapes to run them on."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.planner.kernel.loops import Input, Kernel, Operation
from tests.support import kernels

__all__ = ["HAND", "IN_PLACE", "SIZES", "values"]

SIZES = [*kernels.SIZES, (1, 130), (130, 1), (4097, 1), (5, 4097), (130, 10), (600, 3), (33, 16)]


def values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return abs(np.random.default_rng(1).normal(size=shape).astype(dtype)) + np.asarray(0.5, dtype)


def tiles(dtype: str) -> dict[str, Kernel]:
    """Kernels of which columns are reduced, and rows are not."""

    def op(name: str, args: tuple[int, ...], kind: Any, over: Any = "") -> Operation:
        return Operation(name, args, kind, dtype, 0, over)

    e, r, c = Input("E", dtype), Input("R", dtype), Input("C", dtype)
    return {
        "slopes and their sums": Kernel(  # written over what was read
            (e, r, e),
            (),
            (op("multiply", (0, 1), "E"), op("multiply", (3, 2), "E"), op("sum", (4,), "R", "column")),
            (4, 5),
        ),
        "columns of everything": Kernel(
            (Input("E", dtype, False), Input("R", dtype, False), Input("C", dtype, False), c, e),
            (dtype,),
            (
                op("add", (1, 5), "R"),
                op("multiply", (2, 3), "C"),
                op("index", (), "E"),
                op("add", (0, 6), "E"),
                op("multiply", (9, 7), "E"),
                op("subtract", (10, 4), "E"),
                op("max", (11,), "R", "column"),
                op("sum", (11,), "R", "column"),
                op("sum", (8,), "R", "column"),
                op("min", (11,), "S", "all"),
                op("max", (7,), "S", "all"),
            ),
            (7, 10, 12, 13, 14, 15, 16),
        ),
        "all of everything": Kernel(
            (Input("E", dtype, False), r, Input("C", dtype, False), Input("E", "bool")),
            (),
            (
                op("add", (0, 1), "E"),
                op("square", (2,), "C"),
                op("where", (3, 4, 5), "E"),
                op("sum", (6,), "S", "all"),
                op("min", (5,), "S", "all"),
            ),
            (5, 6, 7, 8),
        ),
    }


HAND = {
    (dtype, name): kernel
    for dtype in kernels.FLOATS
    for name, kernel in (kernels.by_hand(dtype) | tiles(dtype)).items()
}
IN_PLACE = kernels.IN_PLACE | {"slopes and their sums": {0: 2}}
