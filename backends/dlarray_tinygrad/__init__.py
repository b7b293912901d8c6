"""tinygrad's tensors as plain arrays. Operations are recorded, and compiled and computed after each step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlarray.backend import OneDevice
from dlarray.core.array import Array
from dlarray.core.trees import leaves

__all__ = ["TinygradBackend", "backend"]


class TinygradBackend(OneDevice):
    """Tensors of tinygrad on the CPU, whose kernels clang compiles."""

    name = "tinygrad"
    array_modules = ("tinygrad",)
    requirement = "dlarray[tinygrad]"
    device_hint = (
        "the compiler clang; without one, pip install ziglang, and set CC to the path of an executable script with the "
        'lines #!/bin/sh and: exec python -m ziglang clang "$@"'
    )
    standard = False
    lazy = True
    writes_in_place = False

    def namespace(self) -> Any:
        from dlarray_tinygrad.namespace import namespace

        return namespace()

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        from tinygrad import Tensor

        return Tensor(np.array(host), device="CPU").realize()

    def to_numpy(self, x: Array) -> np.ndarray:
        return x.numpy()

    def view(self, x: Array, dtype: str) -> Array:
        return x.bitcast(getattr(self.namespace(), dtype))

    def settle(self, tree: Any) -> Any:
        from tinygrad import Tensor

        if arrays := [x for x in leaves(tree) if isinstance(x, Tensor)]:
            Tensor.realize(*arrays)
        return tree

    @contextmanager
    def computations(self) -> Generator[list[str]]:
        from tinygrad.helpers import GlobalCounters

        before, kernels = GlobalCounters.kernel_count, list[str]()
        yield kernels
        kernels += ["a kernel"] * (GlobalCounters.kernel_count - before)


backend = TinygradBackend()
