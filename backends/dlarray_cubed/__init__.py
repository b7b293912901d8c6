"""Cubed: arrays in chunks with bounded memory. Operations are recorded, and computed after each step."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dlarray.backend import OneDevice, Overlay
from dlarray.core.array import Array, is_array
from dlarray.core.trees import leaves, map_arrays

__all__ = ["CubedBackend", "backend"]


class CubedBackend(OneDevice):
    """Arrays of cubed.array_api, of which each that dlarray makes is one chunk.

    They are computed by the executor, and with the memory, that Cubed is configured for.
    """

    name = "cubed"
    array_modules = ("cubed",)
    requirement = "dlarray[cubed]"
    writes_in_place = False
    lazy = True

    def namespace(self) -> Any:
        return _namespace()

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return _namespace().asarray(np.array(host), chunks=host.shape)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x.compute())

    def settle(self, tree: Any) -> Any:
        import cubed

        computed = iter(cubed.compute(*filter(is_array, leaves(tree))))
        return map_arrays(tree, lambda x: self.asarray(np.asarray(next(computed)), "cpu"))

    def view(self, x: Array, dtype: str) -> Array:
        import cubed

        def bits(chunk: np.ndarray) -> np.ndarray:
            return chunk.view(dtype)

        return cubed.map_blocks(bits, x, dtype=np.dtype(dtype))


@cache
def _namespace() -> Any:
    import cubed.array_api as xp

    def take(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
        if indices.shape[0] != x.shape[axis]:
            return xp.take(x, indices, axis=axis)
        # Cubed takes as many indices as there are elements for all of them in their order, and returns x.
        more = xp.take(x, xp.concat([indices, indices[:1]]), axis=axis)
        return more[(slice(None),) * axis + (slice(-1),)]

    def reshape(x: Array, shape: tuple[int, ...]) -> Array:
        try:
            return xp.reshape(x, shape)
        except NotImplementedError:  # its chunks cannot be merged or split evenly
            return xp.reshape(x.rechunk(x.shape), shape)

    def cumulative_sum(x: Array, /, *, axis: int = 0, **options: Any) -> Array:
        return xp.cumulative_sum(x, axis=axis, **options)

    return Overlay(xp, take=take, reshape=reshape, cumulative_sum=cumulative_sum)


backend = CubedBackend()
