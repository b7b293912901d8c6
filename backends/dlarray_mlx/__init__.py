"""MLX: Apple's library for its GPUs, and for CPUs. Operations are recorded, and computed after each step.

``fit(compile=True)`` uses mlx.core.compile. On a CPU a small step then takes a third of the time and its losses are the
same, but g++ compiles for a minute and more before the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dlarray.backend import Backend, Overlay, renamed
from dlarray.core.array import Array
from dlarray.device.memory import host_memory

__all__ = ["MlxBackend", "backend"]


class MlxBackend(Backend):
    """Arrays of mlx.core on the default device of MLX, "gpu" or "cpu": ``mlx.core.set_default_device`` changes it.

    The CPU and the GPU share the memory, so arrays have no device. float64 exists on the CPU alone. The backend was not
    tested on a GPU.
    """

    name = "mlx"
    array_modules = ("mlx",)
    requirement = "dlarray[mlx]"
    standard = False
    lazy = True
    exact_float64 = False  # its exp has 24 bits
    writes_in_place = False

    def namespace(self) -> Any:
        return _namespace()

    def devices(self) -> list[str]:
        import mlx.core as mx

        return ["gpu" if mx.default_device() == mx.gpu else "cpu"]

    def handle(self, device: str) -> Any:
        import mlx.core as mx

        if device not in (known := self.devices()):
            raise ValueError(
                f"mlx computes on its default device, {known[0]}, got {device!r}; "
                "call mlx.core.set_default_device(mlx.core.cpu) or (mlx.core.gpu)"
            )
        return mx.default_device()

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        import mlx.core as mx

        name = "bool_" if host.dtype == bool else host.dtype.name
        return mx.array(host, dtype=getattr(mx, name))  # without a dtype float64 would become float32

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.array(x)

    def to_device(self, x: Array, handle: Any) -> Array:
        return x

    def settle(self, tree: Any) -> Any:
        import mlx.core as mx

        mx.eval(tree)
        return tree

    def memory(self, handle: Any) -> tuple[int, int] | None:
        return host_memory() if self.devices() == ["cpu"] else None

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate" in str(error))

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        import mlx.core as mx

        return mx.compile(step)


_CREATION = ("arange", "asarray", "full", "full_like", "ones", "ones_like", "zeros", "zeros_like")


@cache
def _namespace() -> Any:
    import mlx.core as mx

    def total(x: Array, /, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Array:
        return mx.sum(x if dtype is None else x.astype(dtype), axis, keepdims)

    return Overlay(
        mx,
        **{name: renamed(getattr(mx, name), device=None) for name in _CREATION},
        astype=renamed(mx.astype, copy=None, device=None),
        bool=mx.bool_,
        sum=total,
    )


backend = MlxBackend()
