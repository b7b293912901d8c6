"""Kernels that two threads share, to be run in a process with a given number of threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from dlarray.planner.kernel.joining import StepArrays
from dlarray.planner.kernel.loops import Call
from dlarray.planner.native.executor import native
from tests.support import kernels
from tests.support.native_targets import printed

SIZES = [(1000, 41), (1001, 40), (4003, 10), (1, 50_003), (50_003, 1), (20_000, 1), (1, 19_999)]


def values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return (np.random.default_rng(1).random(shape) + 0.5).astype(dtype)


def digests(
    limit: Callable[[], AbstractContextManager[Any]] = nullcontext, check: bool = False
) -> tuple[dict[str, str], int]:
    """The results of kernels made by hand, and how many of them have code for two threads.

    They are made before the ``limit`` of threads begins, and run within it. With ``check`` they are compared with the
    interpreter.
    """
    found: dict[str, str] = {}
    shared: list[bool] = []

    def run(call: Call) -> None:
        joined: list[Any] = []
        for _, declared in printed(lambda: joined.append(native.join(native(call).calls, (), StepArrays()))):
            shared.append("dlarray_run" in "".join(declared))
        with limit():
            for function, args in joined[0].calls:
                function(*args)

    for dtype in kernels.FLOATS:
        for name, kernel in kernels.by_hand(dtype).items():
            for rows, cols in SIZES if kernel.sweeps else [(1, 1)]:
                for in_place in ({}, kernels.IN_PLACE.get(name, {})):
                    call = kernels.call(kernel, rows, cols, values, in_place)
                    if check:
                        kernels.check(kernels.copied(call), run)
                    run(call)
                    bits = b"".join(array.tobytes() for array in call.outputs)
                    found[f"{dtype} {name} {rows} x {cols} {in_place}"] = hashlib.sha256(bits).hexdigest()
    return found, sum(shared)
