"""CuPy's namespace, with functions that neither wait for the GPU nor send anything to it.

In array_api_compat's namespace ``sign`` and ``clip`` index by a mask: the host waits until the GPU has counted the
selected numbers. ``concat`` and ``stack`` of more than eight arrays send a table of their addresses, and ``asarray``
sends its numbers at every call. In an eager step each of these would happen at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from threading import Lock
from types import ModuleType
from typing import Any, cast

import numpy as np

from dlarray.core.array import Array

__all__ = ["namespace"]

WITHOUT_TABLE = 8
"""CuPy joins so many arrays by copies; for more it sends a table of addresses."""
MAX_CONSTANT_BYTES = 2**16
MAX_CONSTANTS = 256
"""The limits of what ``asarray`` keeps: 16 MiB on all GPUs together."""


@cache
def namespace() -> ModuleType:
    """array_api_compat's namespace for CuPy, with five functions replaced."""
    import array_api_compat.cupy
    import cupy

    xp: Any = array_api_compat.cupy
    constants = _Constants()

    def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
        """A new array. Numbers of a list or tuple are sent to a GPU once, and copied there at later calls."""
        if copy is not False and _holds_numbers(obj):
            with cupy.cuda.Device(device):
                if (found := constants.copy(np.asarray(obj, dtype))) is not None:
                    return found
        return xp.asarray(obj, dtype=dtype, device=device, copy=copy)

    def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002 - the standard's names
        """min(max(x, min), max) in the dtype of x; NaN stays NaN."""
        found = x if min is None else cupy.maximum(x, min)
        found = found if max is None else cupy.minimum(found, max)
        return found.astype(x.dtype, copy=found is x)

    def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
        """The arrays one after the other: each is copied into its part of the result."""
        if axis is None:
            arrays, axis = [x.reshape(-1) for x in arrays], 0
        if len(arrays) <= WITHOUT_TABLE:
            return xp.concat(arrays, axis=axis)
        before, after = _around(arrays[0], axis)
        if any(_around(x, axis) != (before, after) for x in arrays):
            return xp.concat(arrays, axis=axis)  # raises
        ends = list(accumulate(x.shape[len(before)] for x in arrays))
        joined = cupy.empty((*before, ends[-1], *after), cupy.result_type(*(x.dtype for x in arrays)))
        for x, end in zip(arrays, ends, strict=True):
            joined[(*(slice(None),) * len(before), slice(end - x.shape[len(before)], end))] = x
        return joined

    def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
        """The arrays along a new axis."""
        return concat([cupy.expand_dims(x, axis) for x in arrays], axis=axis)

    own = ModuleType(xp.__name__, xp.__doc__)
    replaced = {"asarray": asarray, "clip": clip, "concat": concat, "sign": cupy.sign, "stack": stack}
    own.__dict__.update({**cast("dict[str, Any]", xp.__dict__), **replaced})
    return own


def _around(x: Array, axis: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The lengths of the axes before and after an axis. Raises IndexError if the array has no such axis."""
    axis = range(x.ndim)[axis]
    return x.shape[:axis], x.shape[axis + 1 :]


def _holds_numbers(obj: object) -> bool:
    """Whether this is a list or tuple, perhaps of others, of Python's numbers alone."""
    if not isinstance(obj, (list, tuple)):
        return False
    items = cast("Sequence[object]", obj)
    return all(isinstance(x, (bool, int, float)) or _holds_numbers(x) for x in items)


class _Constants:
    """Arrays of numbers that formulas have written as lists or tuples, such as the weights of classes."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[int, str, tuple[int, ...], bytes], Array] = {}
        self._lock = Lock()

    def copy(self, host: np.ndarray) -> Array | None:
        """A copy on the current GPU; None if these numbers are not kept."""
        import cupy

        if not 0 < host.nbytes <= MAX_CONSTANT_BYTES:
            return None
        key = (cupy.cuda.runtime.getDevice(), host.dtype.str, host.shape, host.tobytes())
        with self._lock:
            if key not in self._arrays:
                if len(self._arrays) >= MAX_CONSTANTS:
                    return None
                sent = cupy.array(host)
                cupy.cuda.get_current_stream().synchronize()  # other streams will copy from it
                self._arrays[key] = sent
        return self._arrays[key].copy()
